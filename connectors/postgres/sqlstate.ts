import type { ErrorCode } from 'secretless-sidecar/connector';

/** SQLSTATE of an error without one of its own: internal_error. */
export const INTERNAL_ERROR = 'XX000';
export const PROTOCOL_VIOLATION = '08P01';
export const INVALID_PASSWORD = '28P01';
export const INVALID_AUTHORIZATION = '28000';
export const CANNOT_CONNECT_NOW = '57P03';
export const ADMIN_SHUTDOWN = '57P01';
export const FEATURE_NOT_SUPPORTED = '0A000';

/**
 * What clients act upon. 08001 and 57P03 make libpq and pgx try their next host, while 28xxx and 42501 end the attempt:
 * so a provider that is down is never an authorization error. PostgreSQL documentation, appendix A.
 */
const SQLSTATES: Partial<Record<ErrorCode, string>> = {
  'upstream-unreachable': '08001',
  'upstream-timeout': '08001',
  'upstream-tls': '08001',
  'upstream-plaintext': '08001',
  'upstream-closed': '08006',
  'upstream-protocol': PROTOCOL_VIOLATION,
  'downstream-protocol': PROTOCOL_VIOLATION,
  'login-timeout': '08006',
  'credential-refused': INVALID_PASSWORD,
  'login-unsupported': FEATURE_NOT_SUPPORTED,
  'policy-denied': '42501',
  'no-service': '42501',
  'rate-limited': '53300',
  'connections-exhausted': '53300',
  'credential-unavailable': CANNOT_CONNECT_NOW,
  'credential-timeout': CANNOT_CONNECT_NOW,
  'credential-missing': CANNOT_CONNECT_NOW,
  'credential-unfit': CANNOT_CONNECT_NOW,
  'provider-tool-missing': CANNOT_CONNECT_NOW,
  'provider-paused': CANNOT_CONNECT_NOW,
  'ledger-unavailable': CANNOT_CONNECT_NOW,
  'grant-ended': ADMIN_SHUTDOWN,
  'connection-aged': ADMIN_SHUTDOWN,
  draining: ADMIN_SHUTDOWN,
  'config-invalid': 'F0000',
};

export function sqlstateOf(code: ErrorCode): string {
  return SQLSTATES[code] ?? INTERNAL_ERROR;
}
