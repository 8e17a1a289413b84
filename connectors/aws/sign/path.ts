import { percentDecode, percentEncode } from './percent.ts';

/**
 * How a service reads the path of a canonical request (IAM User Guide, "Create a signed AWS API request", step 1).
 *
 * `s3`: decoded and encoded once, never normalised, so that keys such as `a//b` and `../x` keep their meaning.
 * `general`: dot segments and empty segments removed, then the path as sent on the wire is encoded again, so that
 * `%3A` is signed as `%253A`.
 */
export type PathRule = 's3' | 'general';

const S3_FAMILY: ReadonlySet<string> = new Set(['s3', 's3express', 's3-outposts', 's3-object-lambda']);

/** The rule for a signing name, the fourth part of a credential scope. */
export function pathRuleOf(service: string): PathRule {
  return S3_FAMILY.has(service) ? 's3' : 'general';
}

/**
 * Path of the canonical request. `wire` is the path as received, without the query, latin1. For `s3` the result is
 * also the path to send: it means the same to a server that decodes first and to one that does not.
 * Errors: `malformed-escape`.
 */
export function canonicalPath(wire: string, rule: PathRule): string {
  if (wire === '' || wire === '/') return '/';
  return rule === 's3' ? encodeSegments(percentDecode(wire)) : encodeSegments(withoutDotSegments(wire));
}

function encodeSegments(path: string): string {
  return path.includes('/', 1) ? path.split('/').map(percentEncode).join('/') : `/${percentEncode(path.slice(1))}`;
}

/** Dot segments and empty segments removed; a trailing slash stays where a name stands before it. */
function withoutDotSegments(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') kept.pop();
    else if (segment !== '' && segment !== '.') kept.push(segment);
  }
  return kept.length > 0 && path.endsWith('/') ? `/${kept.join('/')}/` : `/${kept.join('/')}`;
}
