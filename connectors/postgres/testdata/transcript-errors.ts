import type { ErrorCode } from 'secretless-sidecar/connector';

/** The SQLSTATE that a client hears, for each error that can end a login: as documented, not as computed. */
export const STATES: readonly (readonly [ErrorCode, string])[] = [
  ['upstream-unreachable', '08001'],
  ['upstream-timeout', '08001'],
  ['upstream-tls', '08001'],
  ['upstream-plaintext', '08001'],
  ['upstream-closed', '08006'],
  ['upstream-protocol', '08P01'],
  ['downstream-protocol', '08P01'],
  ['credential-refused', '28P01'],
  ['credential-unavailable', '57P03'],
  ['credential-timeout', '57P03'],
  ['credential-missing', '57P03'],
  ['credential-unfit', '57P03'],
  ['provider-tool-missing', '57P03'],
  ['provider-paused', '57P03'],
  ['ledger-unavailable', '57P03'],
  ['connections-exhausted', '53300'],
  ['rate-limited', '53300'],
  ['draining', '57P01'],
  ['grant-ended', '57P01'],
  ['login-unsupported', '0A000'],
  ['policy-denied', '42501'],
  ['internal', 'XX000'],
];
