import type { SignatureChain } from '../sign/chain.ts';
import { signEvent } from '../sign/event-chain.ts';
import { BodyProblem } from './body-problem.ts';
import { checkSignature } from './check-signature.ts';
import { decodeFrame, FrameReader, sealFrame } from './event-stream.ts';

const TIMESTAMP = 8;
const BYTES = 6;
const SIGNATURE_BYTES = 32;
/** Milliseconds of the year 9999's end: what a signing date can say. */
const TIME_MAX = 253_402_300_799_999n;

export interface EventResigning {
  /** Verifies the agent's signatures; absent where nobody asks for that. Closed at the end. */
  readonly inbound?: SignatureChain;
  /** Makes the sidecar's. Closed at the end. */
  readonly outbound: SignatureChain;
  /** The sidecar's clock, one call a frame. */
  readonly now: () => Date;
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
  { inbound, outbound, now }: EventResigning,
): AsyncGenerator<Uint8Array, void> {
  const reader = new FrameReader();
  let ended = false;
  try {
    for await (const bytes of source) {
      for (const frame of reader.feed(bytes)) {
        if (ended) throw new BodyProblem('malformed-framing', 'frames follow the one that ends the body');
        const { date, signature, payload } = signedFrame(frame);
        if (inbound !== undefined) checkSignature(signEvent(inbound, timeOf(date), payload), signature.toString('hex'));
        const time = now();
        date.writeBigInt64BE(BigInt(time.getTime()));
        signature.write(signEvent(outbound, time, payload), 'hex');
        sealFrame(frame);
        ended = payload.length === 0;
        yield frame;
      }
    }
    reader.end();
    if (!ended) throw new BodyProblem('truncated', 'the body ends without its last frame');
  } finally {
    inbound?.close();
    outbound.close();
  }
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
