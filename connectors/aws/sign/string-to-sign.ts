import { SigningProblem } from './problem.ts';

export type Algorithm = 'AWS4-HMAC-SHA256' | 'AWS4-ECDSA-P256-SHA256';

const AMZ_DATE = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/;

/** The string to sign of a request. `scope` is `date/region/service/aws4_request`, without the region for ECDSA. */
export function stringToSign(algorithm: Algorithm, amzDate: string, scope: string, canonicalSha256: string): string {
  return `${algorithm}\n${amzDate}\n${scope}\n${canonicalSha256}`;
}

/** ISO 8601 basic, UTC, whole seconds: `20150830T123600Z`. Errors: `malformed-date` outside the years 0 to 9999. */
export function amzDateOf(time: Date): string {
  const iso = Number.isNaN(time.getTime()) ? '' : time.toISOString();
  if (iso.length !== 24) throw new SigningProblem('malformed-date', 'the time is outside the years 0 to 9999');
  return `${iso.slice(0, 4)}${iso.slice(5, 7)}${iso.slice(8, 13)}${iso.slice(14, 16)}${iso.slice(17, 19)}Z`;
}

/** The time that an `X-Amz-Date` tells. Errors: `malformed-date`, also for a day that no calendar has. */
export function timeOfAmzDate(text: string): Date {
  const match = AMZ_DATE.exec(text);
  const time = match === null ? undefined : new Date(text.replace(AMZ_DATE, '$1-$2-$3T$4:$5:$6Z'));
  // Date.parse rolls 30 February over into March: only what comes back the same was a date.
  if (time === undefined || Number.isNaN(time.getTime()) || amzDateOf(time) !== text)
    throw new SigningProblem('malformed-date', 'the date is not of the form YYYYMMDDTHHMMSSZ');
  return time;
}
