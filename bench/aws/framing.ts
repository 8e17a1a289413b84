import { createHash } from 'node:crypto';
import { SignatureChain } from '../../connectors/aws/sign/chain.ts';
import { signChunk } from '../../connectors/aws/sign/chunk-chain.ts';
import { clientKey, FILLING } from './requests.ts';

/** How a body goes over the wire. */
export type Framing =
  | 'none'
  | 'plain'
  /** `aws-chunked`: each chunk signed where there is a chain, a trailer line behind all where there is one. */
  | {
      readonly chunkBytes: number;
      readonly chain?: { readonly amzDate: string; readonly seed: string };
      readonly trailer?: string;
    };

/** A body ready to be sent: the chunks are equal but for the last, so only what stands between them is held. */
export interface Frames {
  readonly block: Buffer;
  /** What stands before each chunk; the line break behind the one before is in it. */
  readonly lines: readonly Buffer[];
  readonly ending: Buffer;
  /** Bytes of all of it, for `Content-Length`. */
  readonly length: number;
}

const PLAIN_BLOCK_BYTES = 64 * 1024;
const NOTHING = Buffer.alloc(0);

/** Signs all chunks beforehand, so that the client's own work is not in the time that is measured. */
export function framesOf(framing: Framing, bytes: number): Frames {
  if (framing === 'none' || framing === 'plain') {
    const count = Math.ceil(bytes / PLAIN_BLOCK_BYTES);
    const lines = Array.from({ length: count }, () => NOTHING);
    return { block: Buffer.alloc(PLAIN_BLOCK_BYTES, FILLING), lines, ending: NOTHING, length: bytes };
  }
  const { chunkBytes, trailer = '' } = framing;
  const block = Buffer.alloc(chunkBytes, FILLING);
  const chain = chainOf(framing);
  const lineOf = (size: number, sha256: string): string => {
    const extension = chain === undefined ? '' : `;chunk-signature=${signChunk(chain, sha256)}`;
    return `${size.toString(16)}${extension}\r\n`;
  };
  const whole = sha256(block);
  const lines: Buffer[] = [];
  for (let left = bytes; left > 0; left -= chunkBytes) {
    const size = Math.min(left, chunkBytes);
    const line = lineOf(size, size === chunkBytes ? whole : sha256(block.subarray(0, size)));
    lines.push(Buffer.from(lines.length === 0 ? line : `\r\n${line}`));
  }
  const last = `${lineOf(0, sha256(NOTHING))}${trailer}\r\n`;
  const ending = Buffer.from(lines.length === 0 ? last : `\r\n${last}`);
  chain?.close();
  const length = lines.reduce((sum, line) => sum + line.length, bytes + ending.length);
  return { block, lines, ending, length };
}

function chainOf({ chain }: Exclude<Framing, string>): SignatureChain | undefined {
  if (chain === undefined) return undefined;
  return new SignatureChain(clientKey('s3', chain.amzDate), chain.amzDate, chain.seed);
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
