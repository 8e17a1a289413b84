/**
 * Every error the sidecar can speak of: its code, who must act, and the one sentence the downstream hears.
 *
 * The downstream hears the sentence and `next` of the table, never a message built of what was received: details and
 * causes may hold hosts, paths or provider text and go to the log only.
 */

/** Who must act. */
export type Fault = 'config' | 'policy' | 'provider' | 'downstream' | 'upstream' | 'internal';

interface ErrorEntry {
  readonly fault: Fault;
  /** HTTP status where the downstream speaks HTTP (RFC 9110 section 15). */
  readonly status: number;
  /** The fixed public sentence. */
  readonly sentence: string;
  /** What the reader does next. */
  readonly next: string;
}

function entry(fault: Fault, status: number, sentence: string, next: string): ErrorEntry {
  return { fault, status, sentence, next };
}

export const ERRORS = {
  'config-invalid': entry(
    'config',
    500,
    'the configuration is not valid',
    'run `secretless check` and mend what it names',
  ),
  'policy-denied': entry(
    'policy',
    403,
    'policy does not allow this use',
    'run `secretless explain` with this request to see the rule that decided',
  ),
  'rate-limited': entry(
    'policy',
    429,
    'the rule that allows this use has no rate left',
    'wait for the time in Retry-After and try again',
  ),
  'no-service': entry(
    'policy',
    403,
    'no service of this listener is bound to the requested origin',
    'add a service for the origin, or set `unmatched: pass` to let it through without a credential',
  ),
  'address-refused': entry(
    'policy',
    403,
    'the name leads to an address that nothing is sent to from here',
    'ask the operator whether `egress.reach.addresses` should have the address',
  ),
  'credential-unavailable': entry(
    'provider',
    503,
    'the credential could not be fetched',
    'ask the operator to look up the correlation id in the sidecar log',
  ),
  'credential-timeout': entry(
    'provider',
    503,
    'the credential provider did not answer in time',
    'try again; the operator finds the provider in the sidecar log under the correlation id',
  ),
  'credential-missing': entry(
    'provider',
    503,
    'the credential provider does not hold this credential',
    'ask the operator to look up the correlation id in the sidecar log',
  ),
  'credential-unfit': entry(
    'provider',
    503,
    'the credential has a form that this connector cannot send',
    'ask the operator to look up the correlation id in the sidecar log',
  ),
  'provider-tool-missing': entry(
    'provider',
    503,
    'the tool that this credential provider needs is not installed',
    'ask the operator to look up the correlation id in the sidecar log',
  ),
  'provider-paused': entry(
    'provider',
    503,
    'the credential provider failed repeatedly and is being left alone for a moment',
    'try again after the time in Retry-After',
  ),
  'request-malformed': entry(
    'downstream',
    400,
    'the request is not well-formed HTTP',
    'send a request as RFC 9112 or RFC 9113 defines it',
  ),
  'path-ambiguous': entry(
    'downstream',
    400,
    'the path can be read in more than one way',
    'send the path without dot segments, backslashes, doubled slashes or encoded separators',
  ),
  'header-refused': entry(
    'downstream',
    400,
    'a header field of the request is refused',
    'send each framing header once, spelled with hyphens',
  ),
  'headers-too-large': entry(
    'downstream',
    431,
    'the header section is larger than this listener accepts',
    'send fewer or shorter header fields',
  ),
  'method-refused': entry('downstream', 405, 'this method is never forwarded', 'use another method'),
  'connect-refused': entry(
    'downstream',
    405,
    'CONNECT is not supported on this listener',
    'use an http:// URL through this proxy, or a service with `target`',
  ),
  'proxy-auth-required': entry(
    'downstream',
    407,
    'this proxy asks which agent is calling',
    'send the token of the agent as Proxy-Authorization, or in the URL of the proxy: http://agent:token@host:port',
  ),
  'tls-malformed': entry(
    'downstream',
    400,
    'what was sent in this tunnel is not TLS, or does not say for which host it is',
    'speak TLS with the name of the host you connect to (SNI), or ask the operator for an `http://` target',
  ),
  'certificate-refused': entry(
    'downstream',
    400,
    'the client did not accept the certificate that this sidecar issued',
    'start the client with `secretless run`, or let it trust the file that `secretless env` names',
  ),
  'absolute-form-required': entry(
    'downstream',
    400,
    'this listener is a forward proxy and the request names no absolute URL',
    'set http_proxy to this address, or give the service a `target`',
  ),
  'host-mismatch': entry(
    'downstream',
    421,
    'the Host header disagrees with where this request goes',
    'send the Host of the URL you request',
  ),
  'request-timeout': entry(
    'downstream',
    408,
    'the request did not arrive in time',
    'send the whole request without pausing',
  ),
  'expectation-refused': entry(
    'downstream',
    417,
    'this expectation is not supported',
    'send only `Expect: 100-continue`',
  ),
  'body-too-large': entry('downstream', 413, 'the body is larger than this service accepts', 'send a smaller body'),
  'connections-exhausted': entry(
    'downstream',
    503,
    'this listener holds as many connections as it may',
    'close idle connections and try again',
  ),
  'origin-refused': entry(
    'downstream',
    403,
    'this socket is not for browsers or foreign hosts',
    'call it from a local program by its own address',
  ),
  'media-type-refused': entry(
    'downstream',
    415,
    'the body is not JSON',
    'send it with `content-type: application/json`',
  ),
  'not-found': entry('downstream', 404, 'there is nothing at this path', 'see the list of paths in the README'),
  'upstream-unreachable': entry(
    'upstream',
    502,
    'the upstream could not be reached',
    'check that the upstream is up; its address is in the sidecar log under the correlation id',
  ),
  'upstream-timeout': entry(
    'upstream',
    504,
    'the upstream did not answer in time',
    'try again, or raise `timeouts` for this service',
  ),
  'proxy-refused': entry(
    'upstream',
    502,
    'the proxy on the way to the upstream refused the connection',
    'ask the operator to check `egress.upstreamProxy`; the sidecar log has the correlation id',
  ),
  'upstream-tls': entry(
    'upstream',
    502,
    'the certificate of the upstream could not be verified',
    'ask the operator to check the TLS settings of this service',
  ),
  'host-key-unknown': entry(
    'upstream',
    502,
    'the host key of the upstream is not one that this service knows',
    'ask the operator to compare it with `hostKey` or `knownHosts` of this service: somebody may be on the way',
  ),
  'upstream-protocol': entry(
    'upstream',
    502,
    'the upstream answered with something that is not valid in its protocol',
    'ask the operator to look up the correlation id in the sidecar log',
  ),
  'upstream-closed': entry(
    'upstream',
    502,
    'the upstream closed the connection before it answered',
    'the request may have been processed: check before you send it again',
  ),
  'upstream-plaintext': entry(
    'upstream',
    502,
    'the upstream offers no TLS, and this service requires it',
    'switch TLS on at the upstream, or ask the operator for a weaker TLS mode of this service',
  ),
  'login-unsupported': entry(
    'upstream',
    502,
    'the upstream asks for a way to log in that this service cannot or may not use',
    'ask the operator to look up the correlation id in the sidecar log',
  ),
  'login-refused': entry(
    'upstream',
    502,
    'the upstream refused the login, for another reason than the credential',
    'read what the upstream says: it is passed on as it came',
  ),
  'credential-refused': entry(
    'provider',
    502,
    'the upstream refused the credential of this service',
    'ask the operator to check the credential; the sidecar log has the correlation id',
  ),
  'downstream-protocol': entry(
    'downstream',
    400,
    'what was sent is not valid in the protocol of this listener',
    'check that the client speaks the protocol that this service is for',
  ),
  'downstream-closed': entry(
    'downstream',
    400,
    'the downstream closed the connection before all was done',
    'connect again',
  ),
  'login-timeout': entry(
    'downstream',
    408,
    'the login did not arrive in time',
    'send the login right after connecting',
  ),
  'grant-ended': entry(
    'policy',
    403,
    'the permission for this connection has ended',
    'connect again; run `secretless explain` to see which rule decides now',
  ),
  'caller-unproven': entry(
    'downstream',
    403,
    'the request does not prove that it comes from an agent of this service',
    'sign it with the key that this agent was given for this sidecar',
  ),
  'foreign-credential': entry(
    'downstream',
    403,
    'the request is signed with a key that is not for this sidecar',
    'sign it with the key that this agent was given for this sidecar',
  ),
  'request-expired': entry(
    'downstream',
    403,
    'the signature of this request has expired, or is not valid yet',
    'sign the request anew; check the clock of the agent',
  ),
  'signature-malformed': entry(
    'downstream',
    400,
    'the signature of this request cannot be read in exactly one way',
    'sign once, by header or by query, with every signed field there once',
  ),
  'upstream-unclear': entry(
    'downstream',
    400,
    'the request does not say which upstream it is for',
    'use the endpoint of this sidecar that names the service: see `secretless env`',
  ),
  'body-malformed': entry(
    'downstream',
    400,
    'the body is not framed, hashed or signed as its head announces',
    'send the body as the head says; a proxy between may have changed it',
  ),
  'payload-unsupported': entry(
    'downstream',
    501,
    'this way to sign a body is not supported',
    'use another payload mode of the client',
  ),
  'connection-aged': entry('policy', 403, 'this connection has reached its greatest age', 'connect again'),
  'plaintext-refused': entry(
    'config',
    502,
    'a credential is not sent in clear to this origin',
    'use https, or write the `http://` target or `forceSSL: false` explicitly',
  ),
  'ledger-unavailable': entry(
    'internal',
    503,
    'the use cannot be recorded, so it is refused',
    'ask the operator to make the ledger writable; it recovers by itself',
  ),
  draining: entry('internal', 503, 'the sidecar is shutting down', 'try again on the next instance'),
  'address-unavailable': entry(
    'config',
    500,
    'the address cannot be listened on',
    'stop what holds it, or configure another address',
  ),
  'not-running': entry(
    'internal',
    503,
    'no sidecar answers on the control socket',
    'start one with `secretless start -f secretless.yml`, or point SECRETLESS_HOME at the state folder of the running one',
  ),
  internal: entry(
    'internal',
    500,
    'the sidecar failed',
    'ask the operator to look up the correlation id in the sidecar log',
  ),
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

export interface SidecarErrorOptions {
  /** For the log only: may name hosts, providers and ids, never a secret. */
  readonly detail?: string;
  readonly cause?: unknown;
  /**
   * In place of the table's `next`, where the program knows better: made of words that it has in a list, never of what
   * was received.
   */
  readonly next?: string;
  /** The rule that decided, where policy did. */
  readonly rule?: string;
  readonly retryAfterSeconds?: number;
}

export class SidecarError extends Error {
  override readonly name = 'SidecarError';
  readonly code: ErrorCode;
  readonly rule: string | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly detail: string | undefined;
  readonly #next: string | undefined;

  constructor(code: ErrorCode, options: SidecarErrorOptions = {}) {
    super(options.detail === undefined ? ERRORS[code].sentence : `${ERRORS[code].sentence}: ${options.detail}`, {
      cause: options.cause,
    });
    this.code = code;
    this.rule = options.rule;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.detail = options.detail;
    this.#next = options.next;
  }

  get fault(): Fault {
    return ERRORS[this.code].fault;
  }

  /** HTTP status for this error. */
  get status(): number {
    return ERRORS[this.code].status;
  }

  /** The only words the downstream may hear. */
  get sentence(): string {
    return ERRORS[this.code].sentence;
  }

  get next(): string {
    return this.#next ?? ERRORS[this.code].next;
  }
}

/** Wraps whatever was thrown, so that callers handle one class; a SidecarError passes as is. */
export function asSidecarError(thrown: unknown, code: ErrorCode = 'internal'): SidecarError {
  if (thrown instanceof SidecarError) return thrown;
  return new SidecarError(code, { cause: thrown, ...(thrown instanceof Error ? { detail: thrown.message } : {}) });
}
