import { xmlAnswer, type Answer } from './dialect.ts';
import type { Call } from './call.ts';
import type { StoredObject } from './object-store.ts';
import { uriEncode } from './canonical-form.ts';

interface Page {
  readonly contents: readonly (readonly [key: string, object: StoredObject])[];
  readonly prefixes: readonly string[];
  /** The last key or prefix, where there are more. */
  readonly next: string | undefined;
}

const PAGE_KEYS_MAX = 1000;

function pageOf(objects: ReadonlyMap<string, StoredObject>, query: ReadonlyMap<string, string>, after: string): Page {
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const limit = Math.min(Number(query.get('max-keys') ?? PAGE_KEYS_MAX), PAGE_KEYS_MAX);
  const keys = [...objects.keys()].filter((key) => key.startsWith(prefix));
  keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const contents: [string, StoredObject][] = [];
  const prefixes: string[] = [];
  let last = '';
  for (const key of keys) {
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    const name = cut < 0 ? key : key.slice(0, cut + delimiter.length);
    if (Buffer.compare(Buffer.from(name), Buffer.from(after)) <= 0 || name === prefixes.at(-1)) continue;
    if (contents.length + prefixes.length === limit) return { contents, prefixes, next: last };
    if (cut < 0) contents.push([key, objects.get(key)!]);
    else prefixes.push(name);
    last = name;
  }
  return { contents, prefixes, next: undefined };
}

/** ListObjects and ListObjectsV2. */
export function listObjects(bucket: string, objects: ReadonlyMap<string, StoredObject>, { query }: Call): Answer {
  const second = query.get('list-type') === '2';
  const token = query.get('continuation-token');
  const after = second
    ? token === undefined
      ? (query.get('start-after') ?? '')
      : Buffer.from(token, 'base64url').toString()
    : (query.get('marker') ?? '');
  const page = pageOf(objects, query, after);
  const url = query.get('encoding-type') === 'url';
  const named = (key: string): string => (url ? uriEncode(Buffer.from(key), true) : key);
  return xmlAnswer({
    'ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"': {
      Name: bucket,
      Prefix: named(query.get('prefix') ?? ''),
      Delimiter: query.get('delimiter'),
      MaxKeys: query.get('max-keys') ?? PAGE_KEYS_MAX,
      EncodingType: url ? 'url' : undefined,
      KeyCount: second ? page.contents.length + page.prefixes.length : undefined,
      IsTruncated: page.next !== undefined,
      Marker: second ? undefined : named(after),
      NextMarker: second || page.next === undefined ? undefined : named(page.next),
      NextContinuationToken:
        second && page.next !== undefined ? Buffer.from(page.next).toString('base64url') : undefined,
      Contents: page.contents.map(([key, object]) => ({
        Key: named(key),
        LastModified: object.modified.toISOString(),
        ETag: `"${object.etag}"`,
        Size: object.bytes,
        StorageClass: 'STANDARD',
      })),
      CommonPrefixes: page.prefixes.map((prefix) => ({ Prefix: named(prefix) })),
    },
  });
}
