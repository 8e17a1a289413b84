import { cutAt } from './received-head.ts';
import { header, placeOf, type Call } from './call.ts';
import { xmlAnswer, type Answer } from './dialect.ts';
import type { ObjectStore, StoredObject } from './object-store.ts';
import { AwsRefusal } from './refusal.ts';

const KEPT =
  /^(content-(type|language|disposition|encoding)|cache-control|expires|x-amz-meta-.+|x-amz-checksum-(?!algorithm|type).+)$/;

/** Headers of a request that come back with its object; `aws-chunked` belonged to the transfer alone. */
export function keptHeaders({ head, trailers }: Pick<Call, 'head' | 'trailers'>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of [...head.lines, ...trailers]) if (KEPT.test(name)) kept[name] = value;
  const coding = (kept['content-encoding'] ?? '').split(/ *, */).filter((each) => each !== 'aws-chunked');
  delete kept['content-encoding'];
  if (coding.join() !== '') kept['content-encoding'] = coding.join();
  return kept;
}

export function putObject(store: ObjectStore, bucket: string, key: string, call: Call): Answer {
  const source = header(call.head, 'x-amz-copy-source');
  if (source !== undefined) return copyObject(store, bucket, key, call, source);
  const kept = keptHeaders(call);
  const object = store.put(bucket, key, call.content, kept);
  const sums = Object.entries(kept).filter(([name]) => name.startsWith('x-amz-checksum-'));
  return { status: 200, headers: { etag: `"${object.etag}"`, ...Object.fromEntries(sums) } };
}

function copyObject(store: ObjectStore, bucket: string, key: string, call: Call, source: string): Answer {
  const from = sourceOf(store, source);
  const replace = header(call.head, 'x-amz-metadata-directive') === 'REPLACE';
  const object = store.put(bucket, key, from, replace ? keptHeaders(call) : from.headers);
  const CopyObjectResult = { LastModified: object.modified.toISOString(), ETag: `"${object.etag}"` };
  return xmlAnswer({ CopyObjectResult });
}

function sourceOf(store: ObjectStore, source: string): StoredObject {
  const place = placeOf(source.startsWith('/') ? source : `/${source}`);
  return store.object(place.bucket, place.key);
}

export function putPart(store: ObjectStore, call: Call): Answer {
  const upload = store.upload(call.query.get('uploadId')!);
  const number = Number(call.query.get('partNumber'));
  const source = header(call.head, 'x-amz-copy-source');
  if (source === undefined) {
    upload.parts.set(number, call.content);
    return { status: 200, headers: { etag: `"${call.content.etag}"` } };
  }
  const from = sourceOf(store, source);
  const range = rangeOf(header(call.head, 'x-amz-copy-source-range'), from.bytes) ?? { start: 0, end: from.bytes };
  const writer = store.writer();
  writer.write(from.body!.subarray(range.start, range.end));
  const part = writer.finish();
  upload.parts.set(number, part);
  return xmlAnswer({ CopyPartResult: { LastModified: new Date().toISOString(), ETag: `"${part.etag}"` } });
}

export function getObject(store: ObjectStore, bucket: string, key: string, { head, query }: Call): Answer {
  const object = store.object(bucket, key);
  const etag = `"${object.etag}"`;
  const overrides = [...query]
    .filter(([name]) => name.startsWith('response-'))
    .map(([name, value]) => [name.slice('response-'.length), value] as const);
  const headers = {
    'content-type': 'binary/octet-stream',
    ...object.headers,
    ...Object.fromEntries(overrides),
    etag,
    'last-modified': object.modified.toUTCString(),
    'accept-ranges': 'bytes',
  };
  if (header(head, 'if-none-match') === etag) return { status: 304, headers: { etag } };
  const match = header(head, 'if-match');
  if (match !== undefined && match !== etag)
    throw new AwsRefusal(412, 'PreconditionFailed', 'A precondition did not hold');
  const range = rangeOf(header(head, 'range'), object.bytes);
  const { start, end } = range ?? { start: 0, end: object.bytes };
  const partial = range === undefined ? {} : { 'content-range': `bytes ${start}-${end - 1}/${object.bytes}` };
  // The checksum is that of the whole.
  const shown = Object.entries(headers).filter(([name]) => range === undefined || !name.startsWith('x-amz-checksum-'));
  return {
    status: range === undefined ? 200 : 206,
    headers: { ...Object.fromEntries(shown), ...partial, 'content-length': end - start },
    ...(object.body === undefined ? { zeros: end - start } : { body: object.body.subarray(start, end) }),
  };
}

function rangeOf(text: string | undefined, bytes: number): { start: number; end: number } | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(text ?? '') ?? [];
  if (first === '' && last === '') return undefined;
  const start = first === '' ? Math.max(0, bytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? bytes : Math.min(bytes, Number(last) + 1);
  if (start >= end) throw new AwsRefusal(416, 'InvalidRange', 'The requested range is not satisfiable');
  return { start, end };
}

export function completeUpload(store: ObjectStore, bucket: string, key: string, call: Call): Answer {
  const numbers = [...call.content.body!.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber>/g)].map(([, number]) =>
    Number(number),
  );
  const object = store.complete(call.query.get('uploadId')!, numbers);
  const Location = `http://${header(call.head, 'host')}${call.head.path}`;
  return xmlAnswer({ CompleteMultipartUploadResult: { Location, Bucket: bucket, Key: key, ETag: `"${object.etag}"` } });
}

/** DeleteObjects. */
export function deleteObjects(store: ObjectStore, bucket: string, { content }: Call): Answer {
  const objects = store.bucket(bucket);
  const unescape = (text: string): string =>
    text.replace(/&(?:#x([0-9A-Fa-f]+)|#(\d+)|(amp|lt|gt|quot|apos));/g, (_, hex, decimal, name: string) =>
      name === undefined
        ? String.fromCodePoint(hex === undefined ? Number(decimal) : Number.parseInt(String(hex), 16))
        : { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }[name]!,
    );
  const keys = [...content.body!.toString().matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => unescape(key!));
  for (const key of keys) objects.delete(key);
  return xmlAnswer({ DeleteResult: { Deleted: keys.map((Key) => ({ Key })) } });
}

/** Whether the request has this word in its query, with a value or without. */
export function asks({ head }: Call, word: string): boolean {
  return head.query.split('&').some((pair) => cutAt(pair, '=')[0] === word);
}
