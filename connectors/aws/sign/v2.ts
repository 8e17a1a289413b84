import { createHmac, timingSafeEqual } from 'node:crypto';
import { onlyValue, type SignableHead } from './head.ts';
import { SigningProblem } from './problem.ts';
import { parseQuery, splitTarget } from './query.ts';

/**
 * Signature Version 2 of S3, inbound only: boto presigns with it against a custom endpoint (S3 Developer Guide, "Signing
 * and authenticating REST requests (AWS signature version 2)").
 */
export interface V2Signature {
  readonly signature: string;
  /** Seconds since 1970; of a query only. */
  readonly expires?: number;
}

/** Parameters that are part of the resource, as that page lists them, in order. */
// prettier-ignore
const SUBRESOURCES = [
  'accelerate', 'acl', 'analytics', 'cors', 'defaultObjectAcl', 'delete', 'encryption', 'inventory', 'legal-hold',
  'lifecycle', 'location', 'logging', 'metrics', 'notification', 'object-lock', 'partNumber', 'policy', 'policyStatus',
  'publicAccessBlock', 'replication', 'requestPayment', 'response-cache-control', 'response-content-disposition',
  'response-content-encoding', 'response-content-language', 'response-content-type', 'response-expires', 'restore',
  'retention', 'select', 'select-type', 'storageClass', 'tagging', 'torrent', 'uploadId', 'uploads', 'versionId',
  'versioning', 'versions', 'website',
] as const;
const SUBRESOURCE: ReadonlySet<string> = new Set(SUBRESOURCES);

const SIGNATURE = /^[A-Za-z0-9+/]{27}=$/;
const EXPIRES = /^\d{1,12}$/;
/** Parameters of a query that carry the signature, lower-case. */
export const V2_QUERY_NAMES: ReadonlySet<string> = new Set([
  'awsaccesskeyid',
  'expires',
  'signature',
  'x-amz-security-token',
]);

/** Errors: `malformed-authorization`, `ambiguous-authorization`. */
export function readV2(head: SignableHead, place: 'header' | 'query'): V2Signature {
  if (place === 'header') {
    const value = onlyValue(head.headers, 'authorization')!.trim();
    return { signature: checked(value.slice(value.lastIndexOf(':') + 1)) };
  }
  const parameters = parseQuery(splitTarget(head.target).query);
  const only = (name: string): string => {
    const values = parameters.filter(([one]) => one === name);
    if (values.length !== 1) throw malformed();
    return values[0]![1];
  };
  const expires = only('Expires');
  if (!EXPIRES.test(expires)) throw malformed();
  return { signature: checked(only('Signature')), expires: Number(expires) };
}

/** Whether the holder of the secret signed the request, as received. The clock is not looked at. */
export function verifyV2(
  head: SignableHead,
  { signature, expires }: V2Signature,
  secretAccessKey: Uint8Array,
): boolean {
  const text = stringToSignV2(head, expires);
  const mine = createHmac('sha1', secretAccessKey).update(text, 'latin1').digest();
  const theirs = Buffer.from(signature, 'base64');
  return mine.length === theirs.length && timingSafeEqual(mine, theirs);
}

function stringToSignV2({ method, target, headers }: SignableHead, expires: number | undefined): string {
  const amz = new Map<string, string>();
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!.toLowerCase();
    if (!name.startsWith('x-amz-')) continue;
    const before = amz.get(name);
    const value = headers[at + 1]!.trim();
    amz.set(name, before === undefined ? value : `${before},${value}`);
  }
  const date =
    expires === undefined ? (amz.has('x-amz-date') ? '' : (onlyValue(headers, 'date') ?? '')) : String(expires);
  const fields = [...amz].sort(([one], [other]) => (one < other ? -1 : 1)).map(([name, value]) => `${name}:${value}\n`);
  const plain = (name: string): string => onlyValue(headers, name)?.trim() ?? '';
  return `${method}\n${plain('content-md5')}\n${plain('content-type')}\n${date}\n${fields.join('')}${resourceOf(target)}`;
}

/** Path as it came, and the parameters that are part of the resource. */
function resourceOf(target: string): string {
  const { path, query } = splitTarget(target);
  const named = parseQuery(query)
    .filter(([name]) => SUBRESOURCE.has(name))
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => (value === '' ? name : `${name}=${value}`));
  return named.length === 0 ? path : `${path}?${named.join('&')}`;
}

function checked(signature: string): string {
  if (!SIGNATURE.test(signature)) throw malformed();
  return signature;
}

function malformed(): SigningProblem {
  return new SigningProblem('malformed-authorization', 'the version 2 signature cannot be read');
}
