import { type Asking, read, type Side, SidecarError } from 'secretless-sidecar/connector';

/** Bytes of one frame before ReadyForQuery at most. A server's own login messages stay far below. */
export const FRAME_BYTES_MAX = 64 * 1024;
const HEADER_BYTES = 5;

/** A typed message: one byte of type, `int32` length that counts itself, body. */
export interface Frame {
  readonly type: number;
  readonly body: Buffer;
  /** The whole frame as it came. */
  readonly bytes: Buffer;
}

/** Types that a login knows: their first byte. PostgreSQL protocol, "Message Formats". */
export const TYPE = {
  authentication: 0x52,
  backendKey: 0x4b,
  error: 0x45,
  notice: 0x4e,
  negotiateVersion: 0x76,
  parameterStatus: 0x53,
  password: 0x70,
  ready: 0x5a,
} as const;

/** The next frame of a side. Errors: those of `read`, and `<side>-protocol` where its length cannot be. */
export function* readFrame(side: Side, bytesMax = FRAME_BYTES_MAX): Asking<Frame> {
  const header = yield* read(side, HEADER_BYTES);
  const length = header.readUInt32BE(1);
  if (length < 4 || length + 1 > bytesMax) {
    throw new SidecarError(`${side}-protocol`, { detail: `a frame claims ${length} bytes` });
  }
  const body = yield* read(side, length - 4);
  return { type: header[0]!, body, bytes: Buffer.concat([header, body]) };
}

/** A frame of that type. The memory is its own, so that it can be wiped. */
export function frameOf(type: number, body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + body.length);
  bytes[0] = type;
  bytes.writeUInt32BE(body.length + 4, 1);
  bytes.set(body, HEADER_BYTES);
  return bytes;
}

/** The text up to the NUL at or after `from`, and where the next begins; undefined where no NUL follows. */
export function cStringAt(bytes: Buffer, from: number): { readonly value: Buffer; readonly next: number } | undefined {
  const end = bytes.indexOf(0, from);
  return end === -1 ? undefined : { value: bytes.subarray(from, end), next: end + 1 };
}
