import { hash } from 'node:crypto';
import type { EventChain } from '../sign/event-chain.ts';
import { BodyProblem } from './body-problem.ts';
import { checkSignature } from './check-signature.ts';
import { decodeFrame, FrameReader, sealFrame } from './event-stream.ts';

const TIMESTAMP = 8;
const BYTES = 6;
const SIGNATURE_BYTES = 32;
/** Milliseconds of the year 9999's end: what a signing date can say. */
const TIME_MAX = 253_402_300_799_999n;
/** How far a frame may be from its time, as a request at S3. */
const SKEW_MS = 15 * 60 * 1000;

/** What the agent signs with. */
export interface InboundEvents {
  /** Closed at the end. */
  readonly chain: EventChain;
  /** The agent's clock, in the head of the request. It may be wrong, but must go on as ours does. */
  readonly headTime: Date;
}

export interface EventResigning {
  /** Verifies the agent's signatures; absent where nobody asks for that. */
  readonly inbound?: InboundEvents | undefined;
  /** Makes the sidecar's. Closed at the end. */
  readonly outbound: EventChain;
  /** The sidecar's clock, one call a frame, and one at the beginning. */
  readonly now: () => Date;
  /** The upstream's clock at a time of the sidecar's; default the same. */
  readonly upstreamTime?: (now: Date) => Date;
}

interface SignedFrame {
  /** The eight bytes of `:date`, a view of the frame. */
  readonly date: Buffer;
  /** The 32 bytes of `:chunk-signature`, a view of the frame. */
  readonly signature: Buffer;
  readonly payload: Buffer;
}

/**
 * A `STREAMING-AWS4-HMAC-SHA256-EVENTS` body with the sidecar's dates and signatures: frame by frame, each as long as
 * it was, as soon as it is whole. It ends with a signed frame without payload. Errors: `BodyProblem`.
 */
export async function* resignEvents(
  source: AsyncIterable<Uint8Array>,
  resigning: EventResigning,
): AsyncGenerator<Uint8Array, void> {
  const { inbound, outbound, now } = resigning;
  const reader = new FrameReader();
  const begun = now();
  let ended = false;
  try {
    for await (const bytes of source) {
      for (const frame of reader.feed(bytes)) {
        if (ended) throw new BodyProblem('malformed-framing', 'frames follow the one that ends the body');
        ended = resignFrame(frame, resigning, begun);
        yield frame;
      }
    }
    reader.end();
    if (!ended) throw new BodyProblem('truncated', 'the body ends without its last frame');
  } finally {
    inbound?.chain.close();
    outbound.close();
  }
}

/** Verifies one frame and signs it anew, in place. True for the last one. */
function resignFrame(frame: Buffer, { inbound, outbound, now, upstreamTime }: EventResigning, begun: Date): boolean {
  const { date, signature, payload } = signedFrame(frame);
  const sha256 = hash('sha256', payload, 'hex');
  const received = now();
  if (inbound !== undefined) {
    const sent = timeOf(date);
    checkSignature(signed(inbound.chain, sent, sha256), signature.toString('hex'));
    const dueMs = inbound.headTime.getTime() + received.getTime() - begun.getTime();
    if (Math.abs(sent.getTime() - dueMs) > SKEW_MS)
      throw new BodyProblem('malformed-framing', 'the date of a frame is not that of its time');
  }
  const time = upstreamTime === undefined ? received : upstreamTime(received);
  date.writeBigInt64BE(BigInt(time.getTime()));
  signature.write(signed(outbound, time, sha256), 'hex');
  sealFrame(frame);
  return payload.length === 0;
}

function signed(chain: EventChain, time: Date, sha256: string): string {
  const signature = chain.sign(time, sha256);
  if (signature === undefined)
    throw new BodyProblem('too-long', 'a frame is neither of the day of the request nor of the next');
  return signature;
}

/** The outer frame has just the two headers of its signature; the event's own headers are in its payload. */
function signedFrame(frame: Buffer): SignedFrame {
  const { headers, payload } = decodeFrame(frame);
  const date = headers.find(({ name, type }) => name === ':date' && type === TIMESTAMP)?.value;
  const signature = headers.find(({ name, type }) => name === ':chunk-signature' && type === BYTES)?.value;
  if (headers.length !== 2 || date === undefined || signature?.length !== SIGNATURE_BYTES)
    throw new BodyProblem('malformed-framing', 'a frame does not have a date and a signature');
  return { date, signature, payload };
}

function timeOf(date: Buffer): Date {
  const milliseconds = date.readBigInt64BE();
  if (milliseconds < 0n || milliseconds > TIME_MAX)
    throw new BodyProblem('malformed-framing', 'the date of a frame is none');
  return new Date(Number(milliseconds));
}
