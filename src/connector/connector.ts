import type { Static, TSchema } from '../schema.ts';
import type { Credentials } from '../credential/lease.ts';
import type { SidecarError } from '../error.ts';
import type { Facts } from '../policy/request.ts';
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
  readonly message: string;
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
  /** Problems that the schema cannot see: a template that does not parse, a credential that nothing provides. */
  check?(config: Static<Schema>, credentialNames: readonly string[]): readonly ConfigProblem[];
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

export type Connector = HttpConnector;

/** Keeps the literal credential names, so that `credentials.get('typo')` does not compile. */
export function defineHttpConnector<Schema extends TSchema, const Name extends string>(
  connector: HttpConnector<Schema, Name>,
): HttpConnector<Schema, Name> {
  return connector;
}
