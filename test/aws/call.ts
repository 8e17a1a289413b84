import type { Content } from './object-store.ts';
import { cutAt, parameters, percentDecode, type ReceivedHead } from './received-head.ts';
import type { Signer } from './verify-head.ts';

/** One request whose signature and body were found to be right. */
export interface Call {
  readonly head: ReceivedHead;
  readonly query: ReadonlyMap<string, string>;
  /** Absent: unsigned. */
  readonly signer: Signer | undefined;
  readonly content: Content;
  readonly trailers: ReadonlyMap<string, string>;
}

export function queryOf(head: ReceivedHead): ReadonlyMap<string, string> {
  return new Map(parameters(head.query));
}

export function header(head: ReceivedHead, name: string): string | undefined {
  return head.lines.find(([each]) => each === name)?.[1];
}

/** Bucket and key of a path-style request; the key is decoded UTF-8. */
export function placeOf(path: string): { readonly bucket: string; readonly key: string } {
  const [bucket, key = ''] = cutAt(path.slice(1), '/');
  return { bucket: percentDecode(bucket).toString('utf8'), key: percentDecode(key).toString('utf8') };
}
