/**
 * Directory buckets of S3 Express One Zone (S3 User Guide, "Regional and Zonal endpoints"): what administers a bucket
 * goes to one host of the region with the bucket in the path, all else to the bucket's own host in its zone.
 */

const DIRECTORY_BUCKET = /^[a-z0-9][a-z0-9-]{0,48}--([a-z0-9]+(?:-[a-z0-9]+){1,2})--xa?-s3$/;
/** Subresources of a bucket that its own host serves; every other administers the bucket. */
const ZONAL_SUBRESOURCES: ReadonlySet<string> = new Set(['session', 'uploads', 'delete', 'list-type', 'prefix']);
/** Subresources that administer a bucket. */
const REGIONAL_SUBRESOURCES: ReadonlySet<string> = new Set([
  'abac',
  'encryption',
  'inventory',
  'lifecycle',
  'metrics',
  'policy',
  'policyStatus',
  'tagging',
]);

export interface BucketPath {
  /** First segment of the path, as it stands there. */
  readonly bucket: string;
  /** The target without it; begins with a slash. */
  readonly rest: string;
  /** Whether a key follows. */
  readonly hasKey: boolean;
  /** Names of the query parameters, as they stand there. */
  readonly parameters: readonly string[];
}

/** Takes the bucket out of a path-style target. */
export function splitBucket(target: string): BucketPath {
  const mark = target.indexOf('?');
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? '' : target.slice(mark + 1);
  const slash = path.indexOf('/', 1);
  const bucket = slash < 0 ? path.slice(1) : path.slice(1, slash);
  const parameters = query === '' ? [] : query.split('&').map((pair) => pair.split('=', 1)[0]!);
  // The JavaScript SDK writes `/bucket//?session` to an endpoint that is configured.
  const key = slash < 0 ? '' : path.slice(slash + 1);
  const bare = key === '/' && parameters.includes('session') ? '' : key;
  return { bucket, rest: `/${bare}${mark < 0 ? '' : `?${query}`}`, hasKey: bare !== '', parameters };
}

/** The host for a request; undefined where the path does not begin with a directory bucket. */
export function expressHost(method: string, path: BucketPath, region: string, suffix: string): string | undefined {
  const control = `s3express-control.${region}.${suffix}`;
  if (path.bucket === '') return method === 'GET' && !path.hasKey ? control : undefined;
  const [, zone] = DIRECTORY_BUCKET.exec(path.bucket) ?? [];
  if (zone === undefined) return undefined;
  if (!path.hasKey && isRegional(method, path.parameters)) return control;
  return `${path.bucket}.s3express-${zone}.${region}.${suffix}`;
}

function isRegional(method: string, parameters: readonly string[]): boolean {
  if (parameters.some((name) => REGIONAL_SUBRESOURCES.has(name))) return true;
  if (parameters.some((name) => ZONAL_SUBRESOURCES.has(name))) return false;
  return method === 'PUT' || method === 'DELETE';
}
