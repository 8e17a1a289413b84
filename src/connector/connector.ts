import type { Static, TSchema } from '../schema.ts';
import type { Credentials } from '../credential/lease.ts';
import type { SidecarError } from '../error.ts';
import type { Facts } from '../policy/request.ts';
import type { Handshake, StreamContext } from './handshake.ts';
import type { RequestHead, ResponseHead } from './head.ts';
import type { Origin } from './origin.ts';

export interface CredentialSpec<Name extends string = string> {
  readonly name: Name;
  readonly required: boolean;
  /** Noun phrase for the README and for `check`. */
  readonly meaning: string;
  readonly example: string;
  /** True where line breaks belong to it (PEM); all others are refused with CR, LF, NUL or outer blanks. */
  readonly multiline?: boolean;
}

/** Something wrong with a connector's configuration, found before anything runs. */
export interface ConfigProblem {
  /** Keys from the service's `config` down: `['headers', 'Authorization']`. */
  readonly path: readonly (string | number)[];
  /** The credential that it is about; `path` then leads down from there and is mostly empty. */
  readonly credential?: string;
  /** One sentence, lower case, no full stop; quotes no credential. */
  readonly message: string;
  /** Default `error`; a `warning` lets the service start. */
  readonly severity?: 'error' | 'warning';
}

export interface Describe<Schema extends TSchema = TSchema, Name extends string = string> {
  /** Folder name, and the word in `connector:`. */
  readonly name: string;
  readonly aliases?: readonly string[];
  /** One line for `secretless help` and the catalog table. */
  readonly summary: string;
  /** Strict JSON schema of `config`. For kind `http` the core takes its own keys out of `config` before. */
  readonly config: Schema;
  readonly credentials: readonly CredentialSpec<Name>[];
  /** Meaning of credentials by any other name; absent: other names are refused. */
  readonly otherCredentials?: string;
  /**
   * Problems that the schema cannot see: a template that does not parse, a credential that nothing provides.
   * `literals` has the credentials that the file itself holds, by name: any of them may be a secret, so a message
   * names only values of a list that the connector has. Absent where only the names are known.
   */
  check?(
    config: Static<Schema>,
    credentialNames: readonly string[],
    literals?: Readonly<Record<string, string>>,
  ): readonly ConfigProblem[];
}

export interface HttpConnector<Schema extends TSchema = TSchema, Name extends string = string> extends Describe<
  Schema,
  Name
> {
  readonly kind: 'http';
  /** One instance per service; it may keep state. */
  open(config: Static<Schema>): HttpService<Name>;
}

/** Called in this order for each exchange; all but `authenticate` optional. */
export interface HttpService<Name extends string = string> {
  /** Where it really goes, when the listener does not say. */
  route?(head: RequestHead): { readonly origin: Origin; readonly head: RequestHead };
  /** What policy may match on beyond method, path and host. */
  facts?(head: RequestHead): Partial<Facts>;
  /** Default `stream`; `buffer` (bytes at most) where a signature needs the body whole. */
  body?(head: RequestHead): 'stream' | { readonly buffer: number };
  /**
   * Puts the credential on the request. `head` has no hop-by-hop fields any more and `origin` is where it goes.
   * Errors: `credential-unfit`, `credential-missing`.
   */
  authenticate(
    head: RequestHead,
    credentials: Credentials<Name>,
    context: AuthenticateContext,
  ): Authenticated | Promise<Authenticated>;
  /** The refusal in the service's own dialect; absent: problem+json (RFC 9457). */
  refuse?(error: SidecarError, head: RequestHead): ResponseHead & { readonly body: Uint8Array };
  close?(): void;
}

export interface AuthenticateContext {
  readonly origin: Origin;
  /** The whole body where `body` asked for it. */
  readonly body?: Uint8Array;
  readonly now: Date;
}

export interface Authenticated {
  readonly head: RequestHead;
}

export interface StreamConnector<Schema extends TSchema = TSchema, Name extends string = string> extends Describe<
  Schema,
  Name
> {
  readonly kind: 'stream';
  /** One instance per service; it may keep state. A promise where its code is loaded at the first use. */
  open(config: Static<Schema>): StreamService<Name> | Promise<StreamService<Name>>;
}

/** A protocol that logs in once and then copies bytes. */
export interface StreamService<Name extends string = string> {
  /**
   * The login of one connection. What is thrown into it by a step it may answer in its protocol before it returns
   * `close`; what it lets through closes the connection without a word.
   */
  handshake(context: StreamContext<Name>): Handshake;
  close?(): void;
}

export type Connector = HttpConnector | StreamConnector;

/** Keeps the literal credential names, so that `credentials.get('typo')` does not compile. */
export function defineHttpConnector<Schema extends TSchema, const Name extends string>(
  connector: HttpConnector<Schema, Name>,
): HttpConnector<Schema, Name> {
  return connector;
}

/** As `defineHttpConnector`, for protocols that log in once and then copy bytes. */
export function defineStreamConnector<Schema extends TSchema, const Name extends string>(
  connector: StreamConnector<Schema, Name>,
): StreamConnector<Schema, Name> {
  return connector;
}
