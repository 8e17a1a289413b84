import { SidecarError } from 'secretless-sidecar/connector';
import type { Caller, Callers } from './callers.ts';
import { EMPTY_SHA256 } from './sign/canonical.ts';
import type { Authentication, V4Authentication } from './sign/authentication.ts';
import type { SignableHead } from './sign/head.ts';
import { readV2, verifyV2 } from './sign/v2.ts';
import { announcedPayloadHash, type Verdict, verifyInbound } from './sign/verify.ts';

type Signed = Extract<Authentication, { form: 'v2' | 'v4' }>;

/**
 * Fields that a signature need not cover: the hash is part of every signature besides, the token is taken out, and the
 * last two steer nothing.
 */
const FREE: ReadonlySet<string> = new Set([
  'x-amz-content-sha256',
  'x-amz-security-token',
  'x-amz-user-agent',
  'x-amz-date',
]);

export interface Inbound {
  readonly head: SignableHead;
  readonly authentication: Signed;
  /** False where the head says that no body follows. */
  readonly hasBody: boolean;
  readonly now: Date;
}

/**
 * Checks that `caller` signed the request as it came. Returns what is left to check once the hash of the body is
 * known, undefined where the head alone proves it. The clock of an agent may be wrong: only a URL that says how long it
 * lasts is held against ours. Errors: `caller-unproven`, `request-expired`, `signature-malformed`.
 */
export function checkCaller(
  callers: Callers,
  caller: Caller,
  inbound: Inbound,
): ((sha256: string) => void) | undefined {
  const { head, authentication, hasBody, now } = inbound;
  if (authentication.form === 'v2') {
    const signature = readV2(head, authentication.place);
    if (signature.expires !== undefined && signature.expires * 1000 < now.getTime()) throw expired();
    if (!verifyV2(head, signature, caller.secretAccessKey))
      throw unproven('the version 2 signature is not that of the key');
    return undefined;
  }
  if (authentication.place === 'query') refuseExpired(authentication, now);
  const verifier = callers.verifier(caller, authentication.algorithm, authentication.scope);
  const check = (sha256?: string): void => accept(verifyInbound(head, authentication, verifier, sha256));
  if (announcedPayloadHash(head, authentication) !== undefined) check();
  else if (!hasBody) check(EMPTY_SHA256);
  else return check;
  return undefined;
}

/** S3 API Reference, "Authenticating Requests: Using Query Parameters": valid from its date for its seconds. */
function refuseExpired({ time, expiresSeconds }: V4Authentication, now: Date): void {
  const ageSeconds = (now.getTime() - time.getTime()) / 1000;
  // A URL from the future would last longer than it says.
  if (expiresSeconds === undefined || ageSeconds > expiresSeconds || ageSeconds < -SKEW_SECONDS) throw expired();
}

/** AWS lets a clock be 15 minutes ahead. */
const SKEW_SECONDS = 900;

function accept(verdict: Verdict): void {
  if (!verdict.verified) throw unproven(`the signature does not hold: ${verdict.reason}`);
  const steering = verdict.unsigned.filter((name) => name.startsWith('x-amz-') && !FREE.has(name));
  // S3 answers HeadersNotSigned to these; signed by us, they would be taken for the agent's word.
  if (steering.length > 0) throw unproven('an x-amz field is not under the signature');
}

function unproven(detail: string): SidecarError {
  return new SidecarError('caller-unproven', { detail });
}

function expired(): SidecarError {
  return new SidecarError('request-expired');
}
