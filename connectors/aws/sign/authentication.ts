import { onlyValue, type SignableHead } from './head.ts';
import { SigningProblem } from './problem.ts';
import { parseQuery, type Parameter, splitTarget, V4_QUERY_NAMES } from './query.ts';
import { parseCredential, type Scope } from './scope.ts';
import { type Algorithm, amzDateOf, timeOfAmzDate } from './string-to-sign.ts';

/** How a request says who sends it. Nothing of it is proven before `verifyInbound`. */
export type Authentication =
  | { readonly form: 'none' }
  /** Another scheme: `Bearer`, `Basic` … */
  | { readonly form: 'other' }
  /** Signature Version 2, as boto presigns it against a custom endpoint. */
  | { readonly form: 'v2'; readonly place: 'header' | 'query'; readonly accessKeyId: string }
  | V4Authentication;

export interface V4Authentication {
  readonly form: 'v4';
  readonly place: 'header' | 'query';
  readonly algorithm: Algorithm;
  readonly accessKeyId: string;
  readonly scope: Scope;
  readonly amzDate: string;
  /** `amzDate` as a time. Nobody compared it with a clock. */
  readonly time: Date;
  /** Lower-case, ascending, with `host`. */
  readonly signedHeaders: readonly string[];
  /** Lower-case hex. */
  readonly signature: string;
  /** In a query only, where it may be absent. */
  readonly expiresSeconds?: number;
}

/** S3 API Reference, "Authenticating Requests: Using Query Parameters": seven days. */
export const EXPIRES_SECONDS_MAX = 604_800;
const AUTHORIZATION_LENGTH_MAX = 8192;
const ALGORITHMS: readonly Algorithm[] = ['AWS4-HMAC-SHA256', 'AWS4-ECDSA-P256-SHA256'];
/** RFC 9110 section 5.6.2, without capitals. */
const FIELD_NAMES = /^[a-z0-9!#$%&'*+.^_`|~-]+(?:;[a-z0-9!#$%&'*+.^_`|~-]+)*$/;
const HMAC_SIGNATURE = /^[0-9a-f]{64}$/;
/** DER of two 32-byte integers: 70 to 72 bytes, shorter where a number begins with zeros. */
const ECDSA_SIGNATURE = /^(?:[0-9a-f]{2}){8,72}$/;
const V2_AUTHORIZATION = /^AWS ([\x21-\x39\x3b-\x7e]{1,128}):[A-Za-z0-9+/=]{1,64}$/;
/** Fields that must not be there twice, whatever the form. */
const SINGLE = ['host', 'x-amz-date', 'x-amz-content-sha256', 'x-amz-security-token'] as const;
/** Any of these makes a URL a signed one. */
const QUERY_MARKS = ['x-amz-algorithm', 'x-amz-credential', 'x-amz-signature'] as const;

/**
 * Reads every spelling in use. Errors: `ambiguous-authorization` where two readers could see two different senders,
 * `unknown-algorithm`, `malformed-authorization`, `malformed-scope`, `malformed-date`, `malformed-escape`.
 */
export function readAuthentication(head: SignableHead): Authentication {
  for (const name of SINGLE) onlyValue(head.headers, name);
  const authorization = onlyValue(head.headers, 'authorization');
  const parameters = parseQuery(splitTarget(head.target).query);
  const marks = parameters.filter(([name]) => V4_QUERY_NAMES.has(name.toLowerCase()));
  const signedQuery = QUERY_MARKS.some((mark) => marks.some(([name]) => name.toLowerCase() === mark));
  const v2 = parameters.filter(([name]) => name === 'AWSAccessKeyId' || name === 'Signature');
  const v2Query = v2.some(([name]) => name === 'AWSAccessKeyId');

  if (authorization !== undefined) {
    if (signedQuery || v2Query) throw ambiguous('a request is signed by header and by query');
    return readHeader(authorization, head, marks);
  }
  if (signedQuery) {
    if (v2Query) throw ambiguous('a query is signed twice');
    return readQuery(marks);
  }
  if (!v2Query) return { form: 'none' };
  if (v2.length !== 2 || v2[0]![0] === v2[1]![0]) throw malformed('a signed query lacks a parameter or has it twice');
  return { form: 'v2', place: 'query', accessKeyId: v2.find(([name]) => name === 'AWSAccessKeyId')![1] };
}

function readHeader(authorization: string, head: SignableHead, marks: readonly Parameter[]): Authentication {
  if (authorization.length > AUTHORIZATION_LENGTH_MAX) throw malformed('the authorization is too long');
  const value = authorization.trim();
  if (value.startsWith('AWS ')) {
    const [, accessKeyId] = V2_AUTHORIZATION.exec(value) ?? [];
    if (accessKeyId === undefined) throw malformed('the authorization is not of the form AWS key:signature');
    return { form: 'v2', place: 'header', accessKeyId };
  }
  if (!/^AWS4-/i.test(value)) return { form: 'other' };
  if (marks.length > 0) throw ambiguous('a request signed by header has signature parameters in its query');
  const blank = value.search(/[ \t]/);
  const algorithm = algorithmOf(blank < 0 ? value : value.slice(0, blank));
  const parts = partsOf(blank < 0 ? '' : value.slice(blank));
  const amzDate = dateOf(head);
  return v4('header', algorithm, amzDate, parts.Credential, parts.SignedHeaders, parts.Signature);
}

/** `Credential=…, SignedHeaders=…, Signature=…` in any order; blanks after the commas are optional. */
function partsOf(text: string): Record<'Credential' | 'SignedHeaders' | 'Signature', string> {
  const parts = new Map<string, string>();
  for (const part of text.split(',', 4)) {
    const [, name, value] = /^[ \t]*(Credential|SignedHeaders|Signature)=([^ \t]*)[ \t]*$/.exec(part) ?? [];
    if (name === undefined || parts.has(name)) throw malformed('a part of the authorization is unknown or there twice');
    parts.set(name, value!);
  }
  const [Credential, SignedHeaders, Signature] = ['Credential', 'SignedHeaders', 'Signature'].map((name) =>
    parts.get(name),
  );
  if (Credential === undefined || SignedHeaders === undefined || Signature === undefined)
    throw malformed('the authorization lacks its credential, signed headers or signature');
  return { Credential, SignedHeaders, Signature };
}

function readQuery(marks: readonly Parameter[]): V4Authentication {
  const found = new Map<string, string>();
  for (const [name, value] of marks) {
    const lower = name.toLowerCase();
    if (found.has(lower)) throw ambiguous('a signature parameter is there twice');
    found.set(lower, value);
  }
  const take = (name: string): string => {
    const value = found.get(name);
    if (value === undefined) throw malformed('a signed query lacks a parameter');
    return value;
  };
  const algorithm = algorithmOf(take('x-amz-algorithm'));
  const [credential, names, signature] = ['x-amz-credential', 'x-amz-signedheaders', 'x-amz-signature'].map(take);
  const read = v4('query', algorithm, take('x-amz-date'), credential!, names!, signature!);
  const expires = found.get('x-amz-expires');
  return expires === undefined ? read : { ...read, expiresSeconds: expiresOf(expires) };
}

/** What SDKs sign in place of the host over HTTP/2, where the request has no such field. */
export const AUTHORITY = ':authority';

function v4(
  place: 'header' | 'query',
  algorithm: Algorithm,
  amzDate: string,
  credential: string,
  names: string,
  signature: string,
): V4Authentication {
  const { accessKeyId, scope } = parseCredential(credential, algorithm === 'AWS4-HMAC-SHA256');
  const time = timeOfAmzDate(amzDate);
  if (!amzDate.startsWith(`${scope.date}T`)) throw malformed('the date of the scope is not that of the request');
  const fields = names.startsWith(`${AUTHORITY};`) ? names.slice(AUTHORITY.length + 1) : names;
  if (!FIELD_NAMES.test(fields)) throw malformed('the list of signed headers is not one of lower-case names');
  const signedHeaders = names.split(';');
  if (signedHeaders.some((name, at) => at > 0 && signedHeaders[at - 1]! >= name))
    throw malformed('the signed headers are not in ascending order');
  if (signedHeaders.includes('host') === (fields !== names))
    throw malformed('the host is not among the signed headers');
  const form = algorithm === 'AWS4-HMAC-SHA256' ? HMAC_SIGNATURE : ECDSA_SIGNATURE;
  if (!form.test(signature)) throw malformed('the signature is not lower-case hex of the right length');
  return { form: 'v4', place, algorithm, accessKeyId, scope, amzDate, time, signedHeaders, signature };
}

/** `X-Amz-Date`, or `Date` in either of its forms where that is absent. */
function dateOf(head: SignableHead): string {
  const amzDate = onlyValue(head.headers, 'x-amz-date');
  if (amzDate !== undefined) return amzDate.trim();
  const date = onlyValue(head.headers, 'date')?.trim();
  if (date === undefined) throw new SigningProblem('malformed-date', 'a signed request has no date');
  if (!date.includes(',')) return date;
  const time = new Date(date);
  if (Number.isNaN(time.getTime())) throw new SigningProblem('malformed-date', 'the date is not an HTTP date');
  return amzDateOf(time);
}

function algorithmOf(name: string): Algorithm {
  const algorithm = ALGORITHMS.find((one) => one === name);
  if (algorithm === undefined) throw new SigningProblem('unknown-algorithm', 'the signing algorithm is not known');
  return algorithm;
}

function expiresOf(text: string): number {
  const seconds = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (seconds < 1 || seconds > EXPIRES_SECONDS_MAX) throw malformed('a signed URL lasts 1 to 604800 seconds');
  return seconds;
}

function malformed(message: string): SigningProblem {
  return new SigningProblem('malformed-authorization', message);
}

function ambiguous(message: string): SigningProblem {
  return new SigningProblem('ambiguous-authorization', message);
}
