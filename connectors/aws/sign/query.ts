import { percentDecode, percentEncode } from './percent.ts';

/** A decoded parameter, latin1. */
export type Parameter = readonly [name: string, value: string];

/** Query parameters that carry a Signature Version 4 (S3 API Reference, "Authenticating Requests: Query Parameters"). */
export const V4_QUERY_NAMES: ReadonlySet<string> = new Set([
  'x-amz-algorithm',
  'x-amz-credential',
  'x-amz-date',
  'x-amz-expires',
  'x-amz-region-set',
  'x-amz-security-token',
  'x-amz-signature',
  'x-amz-signedheaders',
]);

/**
 * Parameters of a query string without its `?`, in order. `+` is a space, as servers read it; an empty pair is no
 * parameter. Errors: `malformed-escape`.
 */
export function parseQuery(raw: string): Parameter[] {
  if (raw === '') return [];
  const parameters: Parameter[] = [];
  for (const pair of raw.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    if (equals < 0) parameters.push([decode(pair), '']);
    else parameters.push([decode(pair.slice(0, equals)), decode(pair.slice(equals + 1))]);
  }
  return parameters;
}

/**
 * Sorted by encoded name, then by encoded value; `name=` where the value is empty. This is the string to sign and the
 * string to send.
 */
export function canonicalQuery(parameters: readonly Parameter[]): string {
  if (parameters.length === 0) return '';
  const encoded = parameters.map(([name, value]): Parameter => [percentEncode(name), percentEncode(value)]);
  if (encoded.length > 1) encoded.sort(byNameThenValue);
  return encoded.map(([name, value]) => `${name}=${value}`).join('&');
}

/** Path and query of a target in origin form. */
export function splitTarget(target: string): { readonly path: string; readonly query: string } {
  const mark = target.indexOf('?');
  return mark < 0 ? { path: target, query: '' } : { path: target.slice(0, mark), query: target.slice(mark + 1) };
}

function decode(text: string): string {
  return percentDecode(text.includes('+') ? text.replaceAll('+', ' ') : text);
}

function byNameThenValue(one: Parameter, other: Parameter): number {
  return compare(one[0], other[0]) || compare(one[1], other[1]);
}

function compare(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
