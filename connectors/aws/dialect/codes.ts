import type { ErrorCode, Fault } from 'secretless-sidecar/connector';
import type { Kind } from './kind.ts';

/**
 * Error codes that the SDKs know ("Common Errors" of the services; S3 API Reference, "Error responses"), so that they
 * retry what may pass and nothing else. The columns: JSON and CBOR, S3, query, EC2.
 */
const CODES = {
  denied: ['AccessDeniedException', 'AccessDenied', 'AccessDenied', 'UnauthorizedOperation'],
  throttled: ['ThrottlingException', 'SlowDown', 'Throttling', 'RequestLimitExceeded'],
  unknownKey: ['UnrecognizedClientException', 'InvalidAccessKeyId', 'InvalidClientTokenId', 'AuthFailure'],
  unproven: ['InvalidSignatureException', 'SignatureDoesNotMatch', 'SignatureDoesNotMatch', 'AuthFailure'],
  expired: ['RequestExpired', 'RequestTimeTooSkewed', 'RequestExpired', 'RequestExpired'],
  unreadable: ['IncompleteSignatureException', 'AuthorizationHeaderMalformed', 'IncompleteSignature', 'AuthFailure'],
  invalid: ['ValidationException', 'InvalidRequest', 'ValidationError', 'InvalidRequest'],
  tooLarge: ['RequestEntityTooLargeException', 'EntityTooLarge', 'RequestEntityTooLarge', 'RequestEntityTooLarge'],
  late: ['RequestTimeoutException', 'RequestTimeout', 'RequestTimeout', 'RequestTimeout'],
  unsupported: ['UnsupportedOperationException', 'NotImplemented', 'UnsupportedOperation', 'UnsupportedOperation'],
  unavailable: ['ServiceUnavailableException', 'ServiceUnavailable', 'ServiceUnavailable', 'Unavailable'],
  failed: ['InternalFailure', 'InternalError', 'InternalFailure', 'InternalError'],
} as const;

type Meaning = keyof typeof CODES;

const MEANINGS: Partial<Readonly<Record<ErrorCode, Meaning>>> = {
  'rate-limited': 'throttled',
  'foreign-credential': 'unknownKey',
  'caller-unproven': 'unproven',
  'request-expired': 'expired',
  'signature-malformed': 'unreadable',
  'origin-refused': 'denied',
  'body-too-large': 'tooLarge',
  'headers-too-large': 'tooLarge',
  'request-timeout': 'late',
  'payload-unsupported': 'unsupported',
  'connections-exhausted': 'unavailable',
  draining: 'unavailable',
  'ledger-unavailable': 'unavailable',
};

const BY_FAULT: Readonly<Record<Fault, Meaning>> = {
  config: 'failed',
  policy: 'denied',
  provider: 'unavailable',
  downstream: 'invalid',
  upstream: 'unavailable',
  internal: 'failed',
};

const COLUMNS: Readonly<Record<Kind, 0 | 1 | 2 | 3>> = {
  'json-1.0': 0,
  'json-1.1': 0,
  'rest-json': 0,
  cbor: 0,
  s3: 1,
  query: 2,
  ec2: 3,
};

export function awsCode(code: ErrorCode, fault: Fault, kind: Kind): string {
  return CODES[MEANINGS[code] ?? BY_FAULT[fault]][COLUMNS[kind]];
}
