import { type ErrorCode, SidecarError } from 'secretless-sidecar/connector';
import { SshError, type SshFault } from '../transport/index.ts';

const CODES: Readonly<Record<Exclude<SshFault, 'aborted'>, ErrorCode>> = {
  unfit: 'internal',
  protocol: 'upstream-protocol',
  algorithms: 'login-unsupported',
  'host-key': 'host-key-unknown',
  denied: 'credential-refused',
  unsupported: 'login-unsupported',
  timeout: 'upstream-timeout',
  closed: 'upstream-closed',
};

/** What a failed login upstream is to the sidecar. `host`: what was found out about the host key, for the log. */
export function upstreamError(error: unknown, signal: AbortSignal | undefined, host?: string): SidecarError {
  if (error instanceof SidecarError) return error;
  const reason: unknown = signal?.aborted === true ? signal.reason : undefined;
  if (reason instanceof SidecarError) return reason;
  if (!(error instanceof SshError) || error.fault === 'aborted') {
    return new SidecarError('internal', { detail: 'the login upstream was given up', cause: error });
  }
  const detail = error.fault === 'host-key' && host !== undefined ? host : error.message;
  return new SidecarError(CODES[error.fault], { detail, cause: error });
}

/**
 * Whether other credentials, asked for anew, may do better: the upstream refused these, or they do not fit together, as
 * happens where a key and its certificate change one after the other, or a certificate has expired in a cache.
 */
export function isWorthAnother(error: SidecarError): boolean {
  return error.code === 'credential-refused' || error.code === 'credential-unfit';
}
