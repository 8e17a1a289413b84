import { type ChangedBody, SidecarError } from 'secretless-sidecar/connector';
import { chunkedLength } from '../body/aws-chunked.ts';
import { AwsChunkedReader, decodeAwsChunked } from '../body/aws-chunked-reader.ts';
import { encodeAwsChunked } from '../body/aws-chunked-writer.ts';
import { UNSIGNED_PAYLOAD } from '../sign/canonical.ts';
import type { SignatureChain } from '../sign/chain.ts';
import { onlyValue } from '../sign/head.ts';
import { openChecksum } from './checksum.ts';
import type { ChunkPlan } from './plan.ts';
import { translated } from './translated.ts';

export interface Chains {
  /** Verifies what comes; absent where nobody knows its key. */
  readonly downstream: SignatureChain | undefined;
  /** Signs what goes; absent for bodies that are not signed. */
  readonly upstream: SignatureChain | undefined;
}

/** The body as `plan` says it goes upstream. Closes both chains when it is over. */
export function rechunk(plan: ChunkPlan, { downstream, upstream }: Chains): ChangedBody {
  const { writes, decodedLength } = plan;
  const trailers = writes.endsWith('-TRAILER') ? plan.trailers : undefined;
  const bytes =
    writes === UNSIGNED_PAYLOAD
      ? decodedLength
      : chunkedLength(decodedLength, {
          signed: upstream !== undefined,
          ...(trailers === undefined ? {} : { trailers }),
        });
  return {
    bytes,
    transform: (body) => translated(write(plan, body, { downstream, upstream }), [downstream, upstream]),
  };
}

function write(plan: ChunkPlan, body: AsyncIterable<Uint8Array>, { downstream, upstream }: Chains) {
  const { signatures, decodedLength, trailers, writes } = plan;
  const reader = new AwsChunkedReader({
    signatures,
    decodedLength,
    ...(trailers === undefined ? {} : { trailers }),
    ...(downstream === undefined ? {} : { chain: downstream }),
  });
  const payload = decodeAwsChunked(body, reader);
  const passes = writes.endsWith('-TRAILER');
  // A plain body is complete with its last byte, and whoever leaves a checksum out is the last who can compare it.
  const leavesOut = !passes && trailers !== undefined;
  const checked = writes === UNSIGNED_PAYLOAD || leavesOut ? proven(payload, reader, trailers ?? []) : payload;
  if (writes === UNSIGNED_PAYLOAD) return checked;
  return encodeAwsChunked(checked, {
    decodedLength,
    ...(upstream === undefined ? {} : { chain: upstream }),
    ...(passes ? { trailers: () => reader.trailers } : {}),
    ...(checked === payload && downstream !== undefined ? { readChunk: () => reader.chunk } : {}),
  });
}

/** Holds the last piece back until all signatures and checksums, those behind the body too, are right. */
async function* proven(
  payload: AsyncIterable<Uint8Array>,
  reader: AwsChunkedReader,
  names: readonly string[],
): AsyncGenerator<Uint8Array, void> {
  const checksums = names.flatMap((name) => openChecksum(name) ?? []);
  let held: Uint8Array | undefined;
  for await (const piece of payload) {
    for (const checksum of checksums) checksum.update(piece);
    if (held !== undefined) yield held;
    held = piece;
  }
  for (const checksum of checksums) {
    if (onlyValue(reader.trailers, checksum.name) !== checksum.digest())
      throw new SidecarError('body-malformed', { detail: 'the checksum behind the body is not that of its bytes' });
  }
  if (held !== undefined) yield held;
}
