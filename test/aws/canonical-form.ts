import { createHash } from 'node:crypto';
import { AwsRefusal, malformed } from './refusal.ts';
import { cutAt, onlyHeader, percentDecode, type ReceivedHead } from './received-head.ts';

/**
 * The canonical request of Signature Version 4, from the specification alone (IAM User Guide, "Create a signed AWS API
 * request"; S3 API Reference, "Signature Calculations for the Authorization Header").
 */

const S3_FAMILY = new Set(['s3', 's3express', 's3-outposts', 's3-object-lambda']);

export function isS3(service: string): boolean {
  return S3_FAMILY.has(service);
}

/** RFC 3986 section 2.3: all but the unreserved characters, in upper-case hex. */
export function uriEncode(bytes: Uint8Array, keepSlash = false): string {
  let encoded = '';
  for (const byte of bytes) {
    const char = String.fromCharCode(byte);
    const plain = /[A-Za-z0-9\-._~]/.test(char) || (keepSlash && char === '/');
    encoded += plain ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** S3 encodes the name of the object once and never normalises; everybody else normalises and encodes what was sent. */
function canonicalPath(path: string, service: string): string {
  if (isS3(service)) return uriEncode(percentDecode(path), true) || '/';
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  const folder = /(\/|\/\.|\/\.\.)$/.test(path) && kept.length > 0 ? '/' : '';
  return uriEncode(Buffer.from(`/${kept.join('/')}${folder}`, 'latin1'), true);
}

function canonicalQuery(query: string): string {
  const pairs = query
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const [name, value = ''] = cutAt(pair.replaceAll('+', ' '), '=');
      return [uriEncode(percentDecode(name)), uriEncode(percentDecode(value))] as const;
    })
    .filter(([name]) => name !== 'X-Amz-Signature');
  const order = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
  return pairs
    .sort(([nameA, valueA], [nameB, valueB]) => order(nameA, nameB) || order(valueA, valueB))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

/**
 * What is signed of a request, one byte a character. Errors: 400 and 403 where the list of signed headers does not
 * fit the request.
 */
export function canonicalRequest(
  head: ReceivedHead,
  service: string,
  signedHeaders: readonly string[],
  payloadHash: string,
): string {
  const sorted = [...signedHeaders].sort();
  if (sorted.some((name, at) => name !== signedHeaders[at] || name === sorted[at - 1] || name !== name.toLowerCase()))
    throw malformed('SignedHeaders must be lower case, sorted and unique');
  const headers = signedHeaders.map((name) => {
    const value = onlyHeader(head, name);
    if (value === undefined) throw malformed(`the signed header ${name} is not in the request`);
    return `${name}:${value.replace(/^[ \t]+|[ \t]+$/g, '').replace(/ +/g, ' ')}\n`;
  });
  requireSigned(head, service, signedHeaders);
  return [
    head.method,
    canonicalPath(head.path, service),
    canonicalQuery(head.query),
    headers.join(''),
    signedHeaders.join(';'),
    payloadHash,
  ].join('\n');
}

function requireSigned(head: ReceivedHead, service: string, signedHeaders: readonly string[]): void {
  if (!signedHeaders.includes('host')) throw malformed("'Host' must be a signed header");
  if (!isS3(service)) return;
  const loose = head.lines
    .map(([name]) => name)
    .filter((name) => (name.startsWith('x-amz-') || name === 'content-md5') && !signedHeaders.includes(name));
  if (loose.length === 0) return;
  throw new AwsRefusal(
    403,
    'AccessDenied',
    `There were headers present in the request which were not signed: HeadersNotSigned ${loose.join(', ')}`,
  );
}

export function sha256Hex(text: string | Uint8Array): string {
  const bytes = typeof text === 'string' ? Buffer.from(text, 'latin1') : text;
  return createHash('sha256').update(bytes).digest('hex');
}
