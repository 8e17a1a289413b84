import { createHmac, randomBytes } from 'node:crypto';
import { formatOrigin, headerValues, type Origin, type RequestHead } from 'secretless-sidecar/connector';

/** Bytes of a form body that is held back to be signed. */
export const FORM_BYTES_MAX = 1024 * 1024;

export interface OauthKeys {
  readonly consumerKey: string;
  readonly consumerSecret: string;
  readonly token: string;
  readonly tokenSecret: string;
}

/** What makes one signature unlike the next (RFC 5849 section 3.3). */
export interface OauthStamp {
  readonly nonce: string;
  /** Seconds since 1970. */
  readonly timestampSeconds: number;
}

/** What is signed. */
export interface OauthRequest {
  readonly head: RequestHead;
  readonly origin: Origin;
  readonly body?: Uint8Array | undefined;
}

type Parameter = readonly [name: string, value: string];

export function freshStamp(now: Date): OauthStamp {
  return { nonce: randomBytes(16).toString('hex'), timestampSeconds: Math.floor(now.getTime() / 1000) };
}

/** Value of the Authorization field, signed with HMAC-SHA1 (RFC 5849 sections 3.4.2 and 3.5.1). */
export function oauthAuthorization(request: OauthRequest, keys: OauthKeys, stamp: OauthStamp): string {
  const parameters: Parameter[] = [
    ['oauth_consumer_key', keys.consumerKey],
    ['oauth_nonce', stamp.nonce],
    ['oauth_signature_method', 'HMAC-SHA1'],
    ['oauth_timestamp', String(stamp.timestampSeconds)],
    ['oauth_token', keys.token],
    ['oauth_version', '1.0'],
  ];
  const signature = oauthSignature(signatureBase(request, parameters), keys);
  const signed: Parameter[] = [...parameters.slice(0, 2), ['oauth_signature', signature], ...parameters.slice(2)];
  return `OAuth ${signed.map(([name, value]) => `${name}="${encode(value)}"`).join(', ')}`;
}

/** RFC 5849 section 3.4.2: the key is both secrets, encoded and joined, each present even when empty. */
export function oauthSignature(base: string, keys: OauthKeys): string {
  const key = `${encode(keys.consumerSecret)}&${encode(keys.tokenSecret)}`;
  return createHmac('sha1', key).update(base).digest('base64');
}

/** Signature base string (RFC 5849 section 3.4.1). */
export function signatureBase(request: OauthRequest, parameters: readonly Parameter[]): string {
  const { method, target } = request.head;
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const all: Parameter[] = parameters.map(([name, value]) => [encode(name), encode(value)]);
  if (mark >= 0) all.push(...formParameters(Buffer.from(target.slice(mark + 1), 'latin1')));
  if (request.body !== undefined && hasForm(request.head)) all.push(...formParameters(Buffer.from(request.body)));
  // Section 3.4.1.3.2: sorted after encoding, by bytes; what is encoded is ASCII.
  all.sort(([nameA, valueA], [nameB, valueB]) => compare(nameA, nameB) || compare(valueA, valueB));
  const normalized = all.map(([name, value]) => `${name}=${value}`).join('&');
  // Section 3.4.1.2: lower-case host, the scheme's own port left out, no query.
  const uri = `${formatOrigin(request.origin)}${path === '' ? '/' : path}`;
  return `${method.toUpperCase()}&${encode(uri)}&${encode(normalized)}`;
}

/** True where the body is one form and its parameters are signed (RFC 5849 section 3.4.1.3.1). */
export function hasForm(head: RequestHead): boolean {
  const types = headerValues(head.headers, 'content-type');
  return types.some((type) => /^\s*application\/x-www-form-urlencoded\s*(?:;|$)/i.test(type));
}

/**
 * Takes the protocol parameters that a client put into the query out again: each may be there once only, and ours are
 * in the Authorization field (RFC 5849 sections 3.1 and 3.5). The rest stays byte for byte.
 */
export function withoutOauthQuery(head: RequestHead): RequestHead {
  const mark = head.target.indexOf('?');
  if (mark < 0) return head;
  const pairs = head.target.slice(mark + 1).split('&');
  const kept = pairs.filter((pair) => !PROTOCOL.has(nameOf(pair)));
  if (kept.length === pairs.length) return head;
  return { ...head, target: head.target.slice(0, mark) + (kept.length === 0 ? '' : `?${kept.join('&')}`) };
}

const PROTOCOL = new Set([
  'oauth_consumer_key',
  'oauth_nonce',
  'oauth_signature',
  'oauth_signature_method',
  'oauth_timestamp',
  'oauth_token',
  'oauth_version',
]);

function nameOf(pair: string): string {
  return decodeForm(Buffer.from(pair.split('=', 1)[0]!, 'latin1')).toString('latin1');
}

const EQUALS = 0x3d;
const AMPERSAND = 0x26;
const PLUS = 0x2b;
const PERCENT = 0x25;

/** Decoded and encoded again, name and value: bytes that are not UTF-8 come through unchanged. */
function formParameters(form: Buffer): Parameter[] {
  const parameters: Parameter[] = [];
  for (let at = 0; at < form.length;) {
    const found = form.indexOf(AMPERSAND, at);
    const end = found < 0 ? form.length : found;
    const pair = form.subarray(at, end);
    at = end + 1;
    if (pair.length === 0) continue;
    const equals = pair.indexOf(EQUALS);
    const name = equals < 0 ? pair : pair.subarray(0, equals);
    const value = equals < 0 ? '' : encodeBytes(decodeForm(pair.subarray(equals + 1)));
    parameters.push([encodeBytes(decodeForm(name)), value]);
  }
  return parameters;
}

/** `+` and percent-escapes to bytes; a percent sign that begins no escape stands for itself. */
function decodeForm(raw: Buffer): Buffer {
  if (!raw.includes(PLUS) && !raw.includes(PERCENT)) return raw;
  const text = raw.toString('latin1').replaceAll('+', ' ');
  const decoded = text.replace(/%([\da-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(decoded, 'latin1');
}

/** RFC 5849 section 3.6: all but the unreserved characters of RFC 3986, in upper-case hexadecimal. */
function encode(text: string): string {
  if (UNRESERVED.test(text)) return text;
  return encodeURIComponent(text).replace(/[!'()*]/g, escapeByte);
}

function encodeBytes(bytes: Buffer): string {
  return bytes.toString('latin1').replace(/[^\w.~-]/g, escapeByte);
}

const UNRESERVED = /^[\w.~-]*$/;

function escapeByte(byte: string): string {
  return `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
