import type { Static, TSchema } from '../schema.ts';
import type { Credentials } from '../credential/lease.ts';
import type { SidecarError } from '../error.ts';
import type { Facts } from '../policy/request.ts';
import type { Handshake, StreamContext } from './handshake.ts';
import type { RequestHead, ResponseHead } from './head.ts';
import type { Origin } from './origin.ts';
import type { RelayService } from './relay.ts';

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
  /** As `CredentialSpec.multiline`, of those by any other name. */
  readonly otherCredentialsMultiline?: boolean;
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
  /** For `secretless doctor`: what of this machine the connector needs, or is faster with. Touches nothing. */
  doctor?(): Promise<readonly DoctorFinding[]>;
}

export interface DoctorFinding {
  /** Noun phrase: `native ciphers of ssh2`. */
  readonly name: string;
  /** `slower`: it works all the same. `apart`: it works, and not through the sidecar. */
  readonly verdict: 'good' | 'slower' | 'apart' | 'wrong';
  /** One sentence with what to do next, lower case, no full stop; where it is not good. */
  readonly next?: string;
}

export interface HttpConnector<Schema extends TSchema = TSchema, Name extends string = string> extends Describe<
  Schema,
  Name
> {
  readonly kind: 'http';
  /** For `secretless env`: absent where a program needs no more than the address. */
  environment?(config: Static<Schema>, question: EnvironmentQuestion): AgentEnvironment;
  /**
   * True where the connector itself finds out where a request goes, so that a service may have neither `target` nor
   * patterns.
   */
  readonly routes?: boolean;
  /**
   * Of one that `routes`: whether requests for a host are its own, so that a service without an address is reached
   * through `egress` by https on port 443. Asked before any name is resolved, for each tunnel and request; false for
   * every host that it could not place. `host`: lower case, without a port.
   */
  reaches?(config: Static<Schema>, host: string): boolean;
  /** One instance per service; it may keep state. */
  open(config: Static<Schema>): HttpService<Name>;
}

/**
 * What is asked of a connector about one exchange, in this order; all but `authenticate` optional. `head` has no
 * hop-by-hop fields any more, and its target is what the upstream will see.
 */
export interface HttpHandling<Name extends string = string> {
  /** What policy may match on beyond method, path and host; `body` where it was taken `first`. */
  facts?(head: RequestHead, body?: Uint8Array): Partial<Facts>;
  /**
   * True where the upstream takes a path as the bytes it is, so that `..` and `//` are plain names in it (an object
   * store); path rules still refuse such a path, which they cannot be held against.
   */
  readsPathLiterally?(head: RequestHead): boolean;
  /** Default `stream`. */
  body?(head: RequestHead): BodyNeed;
  /** Puts the credential on the request. Errors: `credential-unfit`, `credential-missing`, those of the request. */
  authenticate(
    head: RequestHead,
    credentials: Credentials<Name>,
    context: AuthenticateContext,
  ): Authenticated | Promise<Authenticated>;
  /**
   * Looks at a refusal of the upstream before the downstream does: asked for each answer of `REVIEWED`, with the first
   * bytes of its body (`REVIEWED_BYTES_MAX` at most). Default: `pass`.
   */
  review?(response: ResponseHead, beginning: Uint8Array, context: ReviewContext): Review;
  /** The refusal in the service's own dialect, `id` for whoever asks the operator; absent: problem+json (RFC 9457). */
  refuse?(error: SidecarError, head: RequestHead, id: string): ResponseHead & { readonly body: Uint8Array };
}

/** How the core reads the body of a request. */
export type BodyNeed =
  /** As it comes. */
  | 'stream'
  /** Whole, of so many bytes at most; `AuthenticateContext.body` has it. */
  | { readonly buffer: number }
  /**
   * Hashed before it is sent: held in memory up to `memory` bytes, then in an unlinked file up to `disk` bytes. `first`:
   * before policy decides, which hears of it through `facts`; in memory only.
   */
  | { readonly digest: { readonly memory: number; readonly disk: number }; readonly first?: boolean };

/** Statuses that `HttpHandling.review` is asked about. */
export const REVIEWED: ReadonlySet<number> = new Set([301, 307, 400, 401, 403]);
export const REVIEWED_BYTES_MAX = 16 * 1024;

export type Review =
  | 'pass'
  /** Begin once more, as if the request had just come; passes where the body is gone or it has been tried. */
  | 'again'
  /** As `again`, with credentials that are asked for anew; passes where the providers have no others. */
  | 'lease-anew';

export interface ReviewContext {
  readonly origin: Origin;
  readonly now: Date;
}

/** What an agent's programs must be told to find a service. */
export type AgentEnvironment =
  | {
      readonly set: Readonly<Record<string, string>>;
      /** Variables that would lead past the sidecar. */
      readonly unset: readonly string[];
      /** Address in the form that programs of this protocol take, where it is not `EnvironmentQuestion.url`. */
      readonly url?: string;
    }
  /** One sentence with what to do next. */
  | { readonly problem: string };

export interface EnvironmentQuestion {
  /**
   * Where the service listens: `http://127.0.0.1:8080`; of kinds `stream` and `relay` `tcp://127.0.0.1:2222` or
   * `unix:///run/agent.sock`. Absent: of kind `http` it is reached by the upstream's own URL, through a proxy.
   */
  readonly url?: string;
  /** Whoever the listener belongs to. */
  readonly owner: string;
  /** Asked for by name. */
  readonly agent?: string;
  /** Whether the service has a `target`. */
  readonly target: boolean;
  /** Asked for by name; the connector says what it is good for. */
  readonly region?: string;
}

/** A connector for one service. Without `begin` it handles every exchange itself. */
export interface HttpService<Name extends string = string> extends HttpHandling<Name> {
  /** Reads one request before anything is decided: who sends it, what it is, where it goes. Errors: any refusal. */
  begin?(arrival: Arrival): Begun<Name>;
  close?(): void;
}

/** One request as it arrived. */
export interface Arrival {
  /** With all its fields but those that `Connection` names; the target in origin form, as the downstream wrote it. */
  readonly head: RequestHead;
  /** Where the service's `target` or the request's absolute form says it goes; absent: the connector must know. */
  readonly origin?: Origin;
  /** True where the configuration names the origin (`target`, or a pattern with a host), false where only the request does. */
  readonly bound: boolean;
  /** What of `target` stands before every path; empty, or begins with a slash. */
  readonly basePath: string;
  readonly now: Date;
}

/** What a connector made of one request; answers for that exchange in place of the service. */
export interface Begun<Name extends string = string> extends HttpHandling<Name> {
  /** `Arrival.origin` where that is given; one that is not `bound` may become https on the same host. */
  readonly origin: Origin;
  /** Fields as they arrived; the target is what the upstream will see, `basePath` included. */
  readonly head: RequestHead;
  /** The agent that the request proves to come from; absent: whoever the listener belongs to. */
  readonly agent?: string;
  /** False: passes as it is, without a credential; policy and ledger see it all the same. */
  readonly credentialed: boolean;
  /**
   * Proves what only the whole body can: called with its hex SHA-256 before a credential is leased, where `body` asked
   * for a digest. Errors: `caller-unproven`.
   */
  prove?(sha256: string): void;
}

export interface AuthenticateContext {
  readonly origin: Origin;
  /** The whole body where `body` asked for it. */
  readonly body?: Uint8Array;
  /** Hex SHA-256 of the whole body where `body` asked for a digest; that of nothing where there is no body. */
  readonly bodySha256?: string;
  readonly now: Date;
  /** Changes when any of the credentials does, and says nothing of them: for keys that are derived once. */
  readonly version: string;
}

export interface Authenticated {
  readonly head: RequestHead;
  /** Absent: the body goes on as it came. */
  readonly body?: ChangedBody;
}

/** A body that is changed on its way. */
export interface ChangedBody {
  /**
   * Bytes of it, where they are known beforehand; undefined: sent in chunks. Errors thrown by the iteration end the
   * exchange, and the upstream sees a cut body.
   */
  readonly bytes: number | undefined;
  transform(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
}

export interface StreamConnector<Schema extends TSchema = TSchema, Name extends string = string> extends Describe<
  Schema,
  Name
> {
  readonly kind: 'stream';
  /** For `secretless env`: absent where a program needs no more than the address. */
  environment?(config: Static<Schema>, question: EnvironmentQuestion): AgentEnvironment;
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

export interface RelayConnector<Schema extends TSchema = TSchema, Name extends string = string> extends Describe<
  Schema,
  Name
> {
  readonly kind: 'relay';
  /**
   * True where several services may share a listener: `relay` of the first by name then finds out which one is meant
   * (`RelayConnection.choose`).
   */
  readonly sharesListeners?: boolean;
  /** For `secretless env`: absent where a program needs no more than the address. */
  environment?(config: Static<Schema>, question: EnvironmentQuestion): AgentEnvironment;
  /** For `secretless ssh config`: how clients of SSH log in to the sidecar; absent where its clients are no such. */
  clientLogin?(config: Static<Schema>): ClientLogin;
  /** Name of the service whose upstream is the way to this one's: `dial` may go `via` it and no other. */
  via?(config: Static<Schema>): string | undefined;
  /** One instance per service; it may keep state. A promise where its code is loaded at the first use. */
  open(config: Static<Schema>): RelayService<Name> | Promise<RelayService<Name>>;
}

/** How a client of SSH shows whose agent it is. */
export interface ClientLogin {
  /** Name of the method (RFC 4252). */
  readonly method: 'none' | 'publickey' | 'password';
  /** Agents that prove themselves with it; absent: whoever the listener belongs to. */
  readonly agents?: readonly string[];
}

export type Connector = HttpConnector | StreamConnector | RelayConnector;

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

/** As `defineHttpConnector`, for protocols whose whole conversation the connector leads. */
export function defineRelayConnector<Schema extends TSchema, const Name extends string>(
  connector: RelayConnector<Schema, Name>,
): RelayConnector<Schema, Name> {
  return connector;
}
