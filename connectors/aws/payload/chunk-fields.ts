import type { ChunkPlan } from './plan.ts';
import { UNSIGNED_PAYLOAD } from '../sign/canonical.ts';

/**
 * The fields of a head whose aws-chunked body is written anew, so that they say what is sent: without the coding where
 * it is plain, without the trailers where they are left out.
 */
export function chunkFields(headers: readonly string[], { writes, trailers }: ChunkPlan): string[] {
  const plain = writes === UNSIGNED_PAYLOAD;
  const noTrailers = plain || !writes.endsWith('-TRAILER');
  const kept: string[] = [];
  for (let at = 0; at < headers.length; at += 2) {
    const [name, value] = [headers[at]!, headers[at + 1]!];
    const lower = name.toLowerCase();
    if (plain && lower === 'x-amz-decoded-content-length') continue;
    // The algorithm says what the trailer will hold; without one, the server would wait for it.
    if (noTrailers && trailers !== undefined && (lower === 'x-amz-trailer' || lower === 'x-amz-sdk-checksum-algorithm'))
      continue;
    if (!plain || lower !== 'content-encoding') {
      kept.push(name, value);
      continue;
    }
    const codings = value.split(',').filter((coding) => coding.trim().toLowerCase() !== 'aws-chunked');
    if (codings.length > 0) kept.push(name, codings.map((coding) => coding.trim()).join(','));
  }
  return kept;
}
