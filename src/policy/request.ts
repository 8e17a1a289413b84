/** Who is asking. */
export interface Principal {
  readonly agent: string;
  readonly tenant?: string;
  readonly run?: string;
  readonly tool?: string;
  /**
   * How the agent was established: `listener` = whoever can reach the listener bound to this agent, `key` = the request
   * is signed with the agent's own key, `token` = the agent's own token came with it.
   */
  readonly attested: 'listener' | 'key' | 'token';
  readonly attributes?: Readonly<Record<string, string>>;
}

/** What policy may match on. A field that a connector does not know is absent. */
export interface Facts {
  readonly method?: string;
  /** Canonical path of an HTTP request: what the upstream will see, percent-escapes in upper case. */
  readonly path?: string;
  /** Why `path` can be read in more than one way; path rules refuse such a request. */
  readonly pathAmbiguity?: string;
  /** Upstream host: lower-case name or IP literal without brackets. */
  readonly host?: string;
  readonly port?: number;
  /** Database that a login asks for, or is given. */
  readonly database?: string;
  /** What the program calls itself; whoever connects may claim any. */
  readonly application?: string;
  /** True where the login asks for a replication stream. */
  readonly replication?: boolean;
  /** What a request to Amazon Web Services is, or to a store that speaks like it. */
  readonly aws?: AwsFacts;
  /** What is asked for over SSH, or of an agent that signs for it. */
  readonly ssh?: SshFacts;
  /** True where the answer holds a credential: only a rule that says so allows it. */
  readonly returnsCredentials?: boolean;
  /** How the credential reaches whoever asks; absent: `inject`, the agent never sees it. */
  readonly delivery?: Delivery;
}

/** `inject`: put on what passes. `value`: handed over as it is, only where a rule names it. */
export type Delivery = (typeof DELIVERIES)[number];

export const DELIVERIES = ['inject', 'value'] as const;

export interface AwsFacts {
  /** Signing name: the fourth part of the credential scope (`s3`, `dynamodb`, `execute-api`). */
  readonly service: string;
  /** Absent where the signature is for a set of regions. */
  readonly region?: string;
  /** Name of the operation (`GetObject`); absent where the request does not tell it. */
  readonly action?: string;
  readonly bucket?: string;
  /** Object key, decoded (UTF-8; bytes that are none as lone surrogates U+DC80 to U+DCFF). */
  readonly key?: string;
  /** Object that the request copies from (`x-amz-copy-source`); empty where what it says cannot be read. */
  readonly source?: AwsObject;
}

/** An object of a store, as far as a request tells it. */
export type AwsObject = Pick<AwsFacts, 'bucket' | 'key'>;

/**
 * - `login`: the connection itself, before it is known what it is for.
 * - `exec`, `shell`, `subsystem`, `pty`: what runs in a session.
 * - `forward`: a connection from the upstream to `destination`; `listen`: one back from there. `jump`: as `forward`, for
 *   another service of the configuration.
 * - `agent-forwarding`, `x11-forwarding`: the upstream may use the downstream's agent, or its screen.
 * - `keys`: which keys an agent has. `sign-login`: its signature for a login, `sign-document`: for anything else.
 */
export type SshRequest =
  | 'login'
  | 'exec'
  | 'shell'
  | 'subsystem'
  | 'pty'
  | 'forward'
  | 'listen'
  | 'jump'
  | 'agent-forwarding'
  | 'x11-forwarding'
  | 'keys'
  | 'sign-login'
  | 'sign-document';

export interface SshFacts {
  readonly request: SshRequest;
  /** Who it is upstream; absent where a signature does not tell. */
  readonly user?: string;
  /** Of `exec`, decoded (UTF-8; bytes that are none as lone surrogates U+DC80 to U+DCFF). */
  readonly command?: string;
  /** Where the command is one of git's; `unclear` where it may be one and cannot be read with certainty. */
  readonly git?: GitFacts | 'unclear';
  /** Name of the `subsystem`. */
  readonly subsystem?: string;
  /**
   * Of `forward`, `listen` and `jump`: `host:port` as it was sent, an IPv6 address in brackets, or the absolute path of
   * a socket.
   */
  readonly destination?: string;
  /** Of `sign-login`: SHA256 fingerprint of the host that is logged in to, where that is proven. */
  readonly hostKey?: string;
  /** Of `sign-document`: `git`, `file`, or any other (`PROTOCOL.sshsig`). */
  readonly namespace?: string;
  /** Of signatures and `keys`: asked for by a host on the way, not by a program beside the agent. */
  readonly forwarded?: boolean;
}

export interface GitFacts {
  /** Path of the repository without slashes around it and without `.git` at its end, in lower case. */
  readonly repository: string;
  readonly push: boolean;
}

/** In place of a service: what passes untouched, and no credential with it. */
export const NO_SERVICE = '-';

export interface AccessRequest {
  readonly service: string;
  readonly connector: string;
  readonly principal: Principal;
  readonly facts: Facts;
}

/** Proof that policy said yes; the only ticket to a lease. Made by `Policy` alone. */
export class Grant {
  // Private fields: what was granted cannot be changed afterwards, through the request or through the grant.
  readonly #service: string;
  readonly #principal: Principal;
  readonly #rule: string | undefined;

  private constructor(request: AccessRequest, rule: string | undefined) {
    this.#service = request.service;
    this.#principal = request.principal;
    this.#rule = rule;
  }

  get service(): string {
    return this.#service;
  }

  get principal(): Principal {
    return this.#principal;
  }

  /** Id of the rule that allowed; undefined where no rules are configured. */
  get rule(): string | undefined {
    return this.#rule;
  }

  /** True only for an object that this class made, whatever the compiler was told. */
  static isGenuine(candidate: unknown): candidate is Grant {
    return typeof candidate === 'object' && candidate !== null && #service in candidate;
  }

  /** @internal for `Policy` and tests; the architecture test names who may call it. */
  static issue(request: AccessRequest, rule: string | undefined): Grant {
    return new Grant(request, rule);
  }
}

export type Decision =
  | { readonly allow: true; readonly grant: Grant }
  | {
      readonly allow: false;
      readonly code: 'policy-denied' | 'rate-limited' | 'path-ambiguous';
      /** Id of the rule that denied; `default-deny` where none allowed. */
      readonly rule: string;
      /** For the ledger and the log. */
      readonly reason: string;
      readonly retryAfterSeconds?: number;
    };
