import { SidecarError } from 'secretless-sidecar/connector';
import { errorResponse, sqlstateIn } from './error-response.ts';
import type { Frame } from './frame.ts';
import { INVALID_AUTHORIZATION, INVALID_PASSWORD, PROTOCOL_VIOLATION } from './sqlstate.ts';

/** The upstream answered the login with an ErrorResponse. Never leaves the connector. */
export class UpstreamRefusal extends Error {
  override readonly name = 'UpstreamRefusal';
  readonly frame: Frame;
  /** Undefined where the upstream sent none that is one. */
  readonly sqlstate: string | undefined;

  constructor(frame: Frame) {
    super('the upstream refused the login');
    this.frame = frame;
    this.sqlstate = sqlstateIn(frame.body);
  }

  /** Class 28: invalid authorization specification. */
  get ofCredential(): boolean {
    return this.sqlstate?.startsWith('28') ?? false;
  }

  /** For the log and the ledger. */
  get error(): SidecarError {
    if (this.ofCredential) return new SidecarError('credential-refused', { detail: `SQLSTATE ${this.sqlstate}` });
    if (this.sqlstate !== undefined) return new SidecarError('login-refused', { detail: `SQLSTATE ${this.sqlstate}` });
    return new SidecarError('upstream-protocol', { detail: 'ErrorResponse without a SQLSTATE' });
  }

  /**
   * What the downstream hears: the upstream's own words, except about credentials, where they name address, user and
   * database, and except without a SQLSTATE, where no server wrote them (CVE-2026-6666 of pgbouncer).
   */
  answer(id: string): Buffer {
    if (this.ofCredential) {
      const sqlstate = this.sqlstate === INVALID_PASSWORD ? INVALID_PASSWORD : INVALID_AUTHORIZATION;
      return errorResponse(this.error, id, sqlstate);
    }
    return this.sqlstate === undefined ? errorResponse(this.error, id, PROTOCOL_VIOLATION) : this.frame.bytes;
  }
}
