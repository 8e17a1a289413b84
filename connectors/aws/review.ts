import { headerValues, type ResponseHead, type Review, type ReviewContext } from 'secretless-sidecar/connector';
import type { BucketRegions } from './learnt/bucket-regions.ts';
import type { Clocks } from './learnt/clocks.ts';

export interface Learnt {
  readonly clocks: Clocks;
  readonly regions: BucketRegions;
}

/** Codes of refusals that another time in the signature mends. */
const SKEWED: ReadonlySet<string> = new Set([
  'RequestTimeTooSkewed',
  'RequestExpired',
  'RequestInTheFuture',
  'SignatureDoesNotMatch',
  'InvalidSignatureException',
]);
/** The two that come for a wrong key too say in their message whether it is the time. */
const TIME_IN_WORDS = /Signature (?:expired|not yet current)/;
const NEEDS_WORDS: ReadonlySet<string> = new Set(['SignatureDoesNotMatch', 'InvalidSignatureException']);

/** Codes of refusals that other credentials may mend. */
const STALE: ReadonlySet<string> = new Set([
  'ExpiredToken',
  'ExpiredTokenException',
  'InvalidAccessKeyId',
  'InvalidClientTokenId',
  'InvalidToken',
  'TokenRefreshRequired',
  'UnrecognizedClientException',
]);

/** The bucket that a request was for, and the region it was signed for. */
export interface Aim {
  readonly bucket: string;
  readonly region: string | undefined;
}

/** What a refusal of AWS says about us, and what to do; `aim` where another region can be tried. */
export function review(
  { clocks, regions }: Learnt,
  response: ResponseHead,
  beginning: Uint8Array,
  { origin, now }: ReviewContext,
  aim: Aim | undefined,
): Review {
  const [region] = headerValues(response.headers, 'x-amz-bucket-region');
  if (aim !== undefined && region !== undefined && region !== aim.region && regions.learn(aim.bucket, region))
    return 'again';
  const text = Buffer.from(beginning.buffer, beginning.byteOffset, beginning.length).toString('latin1');
  const code = codeOf(response, text);
  if (code === undefined) return 'pass';
  if (STALE.has(code)) return 'lease-anew';
  if (!SKEWED.has(code) || (NEEDS_WORDS.has(code) && !TIME_IN_WORDS.test(text))) return 'pass';
  const [date] = headerValues(response.headers, 'date');
  const [age] = headerValues(response.headers, 'age');
  return clocks.learn(origin.host, now, date, age) ? 'again' : 'pass';
}

/** The code of a refusal: a field of the JSON protocols, an element of XML, a member of JSON. */
function codeOf({ headers }: ResponseHead, text: string): string | undefined {
  const [type] = headerValues(headers, 'x-amzn-errortype');
  const found =
    type ?? /<Code>([^<]{1,128})<\/Code>/.exec(text)?.[1] ?? /"(?:__type|code)"\s*:\s*"([^"]{1,256})"/.exec(text)?.[1];
  // `aws.protocoltests#Code:http://…` is the longest form of it (Smithy, AWS JSON 1.1 protocol, operation errors).
  return found?.split(':', 1)[0]!.split('#').at(-1);
}
