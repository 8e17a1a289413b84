import { SigningProblem } from './problem.ts';

export type Algorithm = 'AWS4-HMAC-SHA256' | 'AWS4-ECDSA-P256-SHA256';

const AMZ_DATE = /^\d{8}T\d{6}Z$/;
const FOUR_CENTURIES_MS = 146_097 * 86_400_000;

/** The string to sign of a request. `scope` is `date/region/service/aws4_request`, without the region for ECDSA. */
export function stringToSign(algorithm: Algorithm, amzDate: string, scope: string, canonicalSha256: string): string {
  return `${algorithm}\n${amzDate}\n${scope}\n${canonicalSha256}`;
}

/** ISO 8601 basic, UTC, whole seconds: `20150830T123600Z`. Errors: `malformed-date` outside the years 0 to 9999. */
export function amzDateOf(time: Date): string {
  const year = time.getUTCFullYear();
  if (!(year >= 0 && year <= 9999))
    throw new SigningProblem('malformed-date', 'the time is outside the years 0 to 9999');
  const day = `${String(year).padStart(4, '0')}${two(time.getUTCMonth() + 1)}${two(time.getUTCDate())}`;
  return `${day}T${two(time.getUTCHours())}${two(time.getUTCMinutes())}${two(time.getUTCSeconds())}Z`;
}

/** The time that an `X-Amz-Date` tells. Errors: `malformed-date`, also for a day that no calendar has. */
export function timeOfAmzDate(text: string): Date {
  // Written by digits: every request has three of them, and Date.parse takes three times as long.
  const time = AMZ_DATE.test(text) ? timeOfDigits(text) : undefined;
  // A 30 February rolls over into March: only what comes back the same was a date.
  if (time === undefined || amzDateOf(time) !== text)
    throw new SigningProblem('malformed-date', 'the date is not of the form YYYYMMDDTHHMMSSZ');
  return time;
}

function timeOfDigits(text: string): Date {
  const at = (start: number, end: number): number => Number(text.slice(start, end));
  const year = at(0, 4);
  // Date.UTC takes the years 0 to 99 for those of the last century; 400 years later the calendar is the same.
  const later = year < 100 ? 400 : 0;
  const time = Date.UTC(year + later, at(4, 6) - 1, at(6, 8), at(9, 11), at(11, 13), at(13, 15));
  return new Date(later === 0 ? time : time - FOUR_CENTURIES_MS);
}

function two(number: number): string {
  return number < 10 ? `0${number}` : String(number);
}
