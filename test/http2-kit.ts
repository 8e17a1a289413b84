import {
  connect as connectHttp2,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type ClientSessionOptions,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type SecureClientSessionOptions,
} from 'node:http2';
import { onTestFinished } from 'vitest';
import { keepArtefact } from './canary.ts';
import { dial, type Peer } from './http-kit.ts';

/** A client with prior knowledge, through node's engine; closed after the test. */
export function openSession(
  port: number,
  options: ClientSessionOptions | SecureClientSessionOptions = {},
  scheme = 'http',
) {
  const session = connectHttp2(`${scheme}://localhost:${port}`, options);
  session.on('error', () => undefined);
  onTestFinished(() => session.destroy());
  return session;
}

export interface Http2Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly trailers: IncomingHttpHeaders | undefined;
  /** Interim answers. */
  readonly interim: IncomingHttpHeaders[];
}

/** One whole exchange. Rejects where the stream is reset, or ends without END_STREAM. */
export async function askHttp2(
  session: ClientHttp2Session,
  fields: OutgoingHttpHeaders | readonly string[] = {},
  body?: Buffer,
): Promise<Http2Answer> {
  const stream = session.request(fields, { endStream: body === undefined });
  if (body !== undefined) stream.end(body);
  return answerOf(stream);
}

export function answerOf(stream: ClientHttp2Stream): Promise<Http2Answer> {
  const interim: IncomingHttpHeaders[] = [];
  const chunks: Buffer[] = [];
  let headers: IncomingHttpHeaders | undefined;
  let trailers: IncomingHttpHeaders | undefined;
  stream.on('headers', (fields: IncomingHttpHeaders) => interim.push(fields));
  stream.on('response', (fields: IncomingHttpHeaders) => (headers = fields));
  stream.on('trailers', (fields: IncomingHttpHeaders) => (trailers = fields));
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve, reject) => {
    stream.once('error', reject);
    stream.once('close', () => {
      if (headers === undefined || stream.rstCode !== 0) {
        reject(new Error(`reset with ${stream.rstCode}, after ${Buffer.concat(chunks).length} bytes`));
        return;
      }
      const body = Buffer.concat(chunks);
      keepArtefact('downstream', body);
      keepArtefact('downstream', JSON.stringify(headers));
      resolve({ status: Number(headers[':status']), headers, body, trailers, interim });
    });
  });
}

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
export const TYPE = { data: 0, headers: 1, priority: 2, reset: 3, settings: 4, ping: 6, goaway: 7, window: 8, more: 9 };
export const END_STREAM = 1;
export const END_HEADERS = 4;

export function frame(type: number, flags: number, stream: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** Fields as HPACK literals that are never indexed, byte for byte as written (RFC 7541 section 6.2.3). */
export function literals(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(fields.flatMap(([name, value]) => [Buffer.from([0x10]), text(name), text(value)]));
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
  return Buffer.concat([Buffer.from([...length, rest]), bytes]);
}

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function framesOf(bytes: Buffer): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at + 9 <= bytes.length;) {
    const length = bytes.readUIntBE(at, 3);
    if (at + 9 + length > bytes.length) break;
    frames.push({
      type: bytes[at + 3]!,
      flags: bytes[at + 4]!,
      stream: bytes.readUInt32BE(at + 5),
      payload: bytes.subarray(at + 9, at + 9 + length),
    });
    at += 9 + length;
  }
  return frames;
}

/** A client that writes its frames itself. */
export async function dialHttp2(port: number): Promise<Peer> {
  return dial(port, Buffer.concat([PREFACE, frame(TYPE.settings, 0, 0)]));
}

/** Error code of the GOAWAY that came; undefined where none did. */
export function goawayOf(peer: Peer): number | undefined {
  return framesOf(peer.content)
    .find(({ type }) => type === TYPE.goaway)
    ?.payload.readUInt32BE(4);
}

/** Resolves once the other side has closed. */
export async function closed(peer: Peer): Promise<void> {
  while (!peer.closed && !peer.ended) await new Promise((resolve) => setTimeout(resolve, 5));
}
