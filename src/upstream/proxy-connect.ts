import type { Socket } from 'node:net';
import { SidecarError } from '../error.ts';
import type { ProxyCredentials } from './proxy-dialer.ts';

/** Bytes of the head that a proxy answers with. */
export const REPLY_BYTES_MAX = 16_384;

const HEAD_END = Buffer.from('\r\n\r\n');
/** RFC 9112 section 4. Nothing but a final answer may follow a CONNECT here. */
const STATUS_LINE = /^HTTP\/1\.[01] ([2-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const BASE64 = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');

/**
 * The request that opens a tunnel to `target` (`host:port`). May hold a credential: overwrite it once it is written.
 * Errors: `config-invalid` where the username cannot be sent.
 */
export function connectHead(target: string, credentials: ProxyCredentials | undefined): Buffer {
  const start = Buffer.from(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n`, 'latin1');
  if (credentials === undefined) return Buffer.concat([start, HEAD_END.subarray(2)]);
  const { username, password } = credentials;
  // RFC 7617 section 2: what stands before the first colon is the user.
  if (!/^[^:\p{Cc}]*$/u.test(username)) {
    throw new SidecarError('config-invalid', {
      detail: 'the username for the proxy has a colon or a control character',
    });
  }
  return password.expose((bytes) => {
    const pair = Buffer.allocUnsafeSlow(Buffer.byteLength(username) + 1 + bytes.length);
    bytes.copy(pair, pair.write(`${username}:`));
    const encoded = base64(pair);
    pair.fill(0);
    const field = Buffer.from('Proxy-Authorization: Basic ', 'latin1');
    const head = Buffer.allocUnsafeSlow(start.length + field.length + encoded.length + HEAD_END.length);
    let at = 0;
    for (const part of [start, field, encoded, HEAD_END]) at += part.copy(head, at);
    encoded.fill(0);
    return head;
  });
}

/** As bytes, which can be overwritten as a string cannot (RFC 4648 section 4). */
function base64(bytes: Uint8Array): Buffer {
  const text = Buffer.allocUnsafeSlow(4 * Math.ceil(bytes.length / 3));
  for (let from = 0, to = 0; from < bytes.length; from += 3, to += 4) {
    const group = (bytes[from]! << 16) | ((bytes[from + 1] ?? 0) << 8) | (bytes[from + 2] ?? 0);
    for (let part = 0; part < 4; part++) text[to + part] = BASE64[(group >> (18 - 6 * part)) & 63]!;
    if (from + 1 >= bytes.length) text[to + 2] = 0x3d;
    if (from + 2 >= bytes.length) text[to + 3] = 0x3d;
  }
  return text;
}

/**
 * The status of the answer to a CONNECT. What is behind its head stays in the socket. Errors: `proxy-refused`, the reason
 * of `signal`.
 */
export function readConnectReply(socket: Socket, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const head = Buffer.allocUnsafe(REPLY_BYTES_MAX);
    let filled = 0;
    const settle = (how: () => void): void => {
      signal.removeEventListener('abort', abort);
      socket.off('readable', read).off('end', ended).off('close', ended);
      how();
    };
    const refuse = (detail: string): void => settle(() => reject(new SidecarError('proxy-refused', { detail })));
    const abort = (): void => settle(() => reject(signal.reason as Error));
    const ended = (): void => refuse('the proxy closed the connection without an answer');
    const read = (): void => {
      for (;;) {
        const chunk = socket.read() as Buffer | null;
        if (chunk === null) return;
        const taken = chunk.copy(head, filled);
        const end = head.subarray(0, filled + taken).indexOf(HEAD_END, Math.max(0, filled - HEAD_END.length + 1));
        if (end >= 0) {
          const rest = chunk.subarray(end + HEAD_END.length - filled);
          const status = statusOf(head.subarray(0, end));
          if (status === undefined) refuse('the proxy answered with something that is no HTTP');
          else settle(() => resolve(status));
          if (rest.length > 0) socket.unshift(rest);
          return;
        }
        filled += taken;
        if (filled === REPLY_BYTES_MAX) {
          refuse(`the proxy answered with a head over ${REPLY_BYTES_MAX} bytes`);
          return;
        }
      }
    };
    socket.on('readable', read).once('end', ended).once('close', ended);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort);
    if (!socket.destroyed) read();
  });
}

function statusOf(head: Buffer): number | undefined {
  const [line = ''] = head.toString('latin1').split('\r\n', 1);
  const status = STATUS_LINE.exec(line)?.[1];
  return status === undefined ? undefined : Number(status);
}
