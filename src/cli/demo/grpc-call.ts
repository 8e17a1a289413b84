import { once } from 'node:events';
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import type { TLSSocket } from 'node:tls';

/** One call with messages both ways. */
export interface GrpcCall {
  /** Sends a message and waits for the one that comes back. */
  exchange(text: string): Promise<string>;
  /** Says that there are no more, and returns the `grpc-status` of the trailers. */
  end(): Promise<string>;
}

/** Of a message: a byte that says whether it is compressed, and its length. */
const PREFIX_BYTES = 5;
/** Field 1 with a string (protobuf: number 1, wire type 2); the length of ours fits into one byte. */
const STRING_FIELD = 0x0a;

/** What every client of gRPC sends (PROTOCOL-HTTP2.md of gRPC), written by hand: the package is for development alone. */
export function openCall(session: ClientHttp2Session, headers: Readonly<Record<string, string>>): GrpcCall {
  const stream = session.request({
    ...{ ':method': 'POST', ':path': '/demo.Notes/Exchange' },
    ...{ 'content-type': 'application/grpc', te: 'trailers' },
    ...headers,
  });
  const trailers = once(stream, 'trailers') as Promise<[Record<string, string | undefined>]>;
  // Whoever does not ask for the end is told of a failure by the message it waits for.
  trailers.catch(() => undefined);
  return {
    exchange: async (text) => {
      stream.write(encoded(text));
      return decoded(await nextMessage(stream));
    },
    end: async () => {
      stream.end();
      stream.resume();
      const [{ 'grpc-status': status }] = await trailers;
      return status ?? 'none';
    },
  };
}

/** HTTP/2 on a socket that speaks TLS already. */
export function overSocket(authority: string, socket: TLSSocket): ClientHttp2Session {
  const session = connect(`https://${authority}`, { createConnection: () => socket });
  session.on('error', () => undefined);
  return session;
}

function encoded(text: string): Buffer {
  const content = Buffer.from(text);
  const message = Buffer.concat([Buffer.of(STRING_FIELD, content.length), content]);
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function decoded(message: Buffer): string {
  return message.subarray(PREFIX_BYTES + 2).toString();
}

/** Errors: those of the stream; `Error` where it ends before. */
function nextMessage(stream: ClientHttp2Stream): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let read = Buffer.alloc(0);
    const settle = (): void => {
      stream.off('data', take).off('error', fail).off('close', closed);
    };
    const fail = (error: Error): void => {
      settle();
      reject(error);
    };
    const closed = (): void => fail(new Error('the call ended before the message'));
    const take = (chunk: Buffer): void => {
      read = Buffer.concat([read, chunk]);
      if (read.length < PREFIX_BYTES || read.length < PREFIX_BYTES + read.readUInt32BE(1)) return;
      settle();
      resolve(read);
    };
    stream.on('data', take).once('error', fail).once('close', closed);
  });
}
