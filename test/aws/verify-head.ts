import { canonicalRequest, isS3, sha256Hex } from './canonical-form.ts';
import { readClaim, type Claim } from './claim.ts';
import { AwsRefusal, malformed, mismatch } from './refusal.ts';
import { onlyHeader, type ReceivedHead } from './received-head.ts';
import { openSigningKey, requestStringToSign, type SigningKey } from './signing-key.ts';

export interface Account {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiresAt?: Date;
}

/** Whoever signed a request. */
export interface Signer {
  readonly claim: Claim;
  readonly account: Account;
  readonly key: SigningKey;
}

/** Seconds that a clock may be off: fifteen minutes for S3, five for the rest. */
function skewSeconds(service: string): number {
  return isS3(service) ? 900 : 300;
}

/** Finds out who claims to have signed, and when; undefined where nobody does. Errors: 400, 403. */
export function identifySigner(head: ReceivedHead, accounts: readonly Account[], now: Date): Signer | undefined {
  const claim = readClaim(head);
  if (claim === undefined) return undefined;
  const account = accounts.find(({ accessKeyId }) => accessKeyId === claim.accessKeyId);
  if (account === undefined)
    throw new AwsRefusal(
      403,
      isS3(claim.service) ? 'InvalidAccessKeyId' : 'UnrecognizedClientException',
      'No such key.',
    );
  if (account.sessionToken !== claim.sessionToken)
    throw new AwsRefusal(
      isS3(claim.service) ? 400 : 403,
      'InvalidToken',
      'The provided token is not the one of the key.',
    );
  if (account.expiresAt !== undefined && account.expiresAt <= now)
    throw new AwsRefusal(isS3(claim.service) ? 400 : 403, 'ExpiredToken', 'The provided token has expired.');
  checkTime(claim, now);
  if (claim.algorithm === 'AWS4-ECDSA-P256-SHA256' && claim.by === 'header') {
    const regions = onlyHeader(head, 'x-amz-region-set');
    if (regions === undefined || !claim.signedHeaders.includes('x-amz-region-set'))
      throw malformed('x-amz-region-set must be given and signed');
  }
  return { claim, account, key: openSigningKey(claim, account.secretAccessKey) };
}

function checkTime({ timestamp, day, service, expiresSeconds }: Claim, now: Date): void {
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(timestamp) ?? [];
  if (parts.length !== 6 || !timestamp.startsWith(day)) throw malformed('the date is not that of the credential scope');
  const [year, month, date, hour, minute, second] = parts.map(Number);
  const signedAt = Date.UTC(year!, month! - 1, date, hour, minute, second);
  const ageSeconds = (now.getTime() - signedAt) / 1000;
  const skew = skewSeconds(service);
  if (expiresSeconds !== undefined) {
    if (ageSeconds > expiresSeconds) throw new AwsRefusal(403, 'AccessDenied', 'Request has expired');
    if (ageSeconds < -skew) throw new AwsRefusal(403, 'AccessDenied', 'Request is not valid yet');
    return;
  }
  if (Math.abs(ageSeconds) <= skew) return;
  if (isS3(service))
    throw new AwsRefusal(
      403,
      'RequestTimeTooSkewed',
      'The difference between the request time and the time is too large.',
    );
  throw new AwsRefusal(403, 'InvalidSignatureException', `Signature ${ageSeconds > 0 ? 'expired' : 'not yet current'}`);
}

/**
 * What the hash of the body is in the signed text, as far as the head tells; undefined: that of the whole body.
 * Errors: 400.
 */
export function declaredPayload({ claim }: Signer): string | undefined {
  if (isS3(claim.service)) {
    if (claim.payload === undefined && claim.by === 'header')
      throw new AwsRefusal(400, 'InvalidRequest', 'Missing required header for this request: x-amz-content-sha256');
    return claim.payload ?? 'UNSIGNED-PAYLOAD';
  }
  if (claim.payload === undefined || /^[0-9a-f]{64}$/.test(claim.payload)) return claim.payload;
  throw new AwsRefusal(400, 'InvalidSignatureException', 'This service does not take an unsigned or streamed payload.');
}

/** Errors: 403 where the signature is not the one of this request. */
export function checkSignature(head: ReceivedHead, { claim, key }: Signer, payloadHash: string): void {
  const canonical = canonicalRequest(head, claim.service, claim.signedHeaders, payloadHash);
  if (!key.fits(requestStringToSign(claim, canonical), claim.signature)) throw mismatch('that of the request');
}

/** Text that a signature of a chunk is made over; `previous` is the signature before it. */
export function chunkStringToSign({ claim, key }: Signer, previous: string, sha256: string): string {
  const empty = sha256Hex('');
  return [`${key.algorithm}-PAYLOAD`, claim.timestamp, claim.scope, previous, empty, sha256].join('\n');
}

/** As `chunkStringToSign`, for the trailers, in their canonical form `name:value\n`. */
export function trailerStringToSign({ claim, key }: Signer, previous: string, trailers: string): string {
  return [`${key.algorithm}-TRAILER`, claim.timestamp, claim.scope, previous, sha256Hex(trailers)].join('\n');
}
