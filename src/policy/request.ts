/** Who is asking. */
export interface Principal {
  readonly agent: string;
  readonly tenant?: string;
  readonly run?: string;
  readonly tool?: string;
  /**
   * How the agent was established: `listener` = whoever can reach the listener bound to this agent, `key` = the request
   * is signed with the agent's own key.
   */
  readonly attested: 'listener' | 'key';
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
  /** True where the answer holds a credential: only a rule that says so allows it. */
  readonly returnsCredentials?: boolean;
}

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
