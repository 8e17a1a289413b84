import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { Transform } from 'node:stream';
import { onTestFinished } from 'vitest';
import type { Identity } from '../../src/certificate/certificate.ts';

/** PostgreSQL protocol, "Message Formats": SSLRequest. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);
const PLUS = Buffer.from('SCRAM-SHA-256-PLUS\0');

export interface Attack {
  /** What it shows to those who connect. */
  readonly identity: Identity;
  /** Takes the mechanism that binds the channel out of the server's list. */
  readonly strip?: true;
}

/** Somebody on the way who ends TLS with a certificate of their own and begins it anew towards the server. */
export async function startManInTheMiddle(upstreamPort: number, attack: Attack): Promise<number> {
  const server = createServer((socket) => void intercept(socket, upstreamPort, attack).catch(() => socket.destroy()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

async function intercept(downstream: Socket, upstreamPort: number, { identity, strip }: Attack): Promise<void> {
  const upstream = connect(upstreamPort, '127.0.0.1');
  for (const socket of [downstream, upstream]) {
    socket.on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
  }
  await once(downstream, 'data');
  upstream.write(SSL_REQUEST);
  const [answer] = (await once(upstream, 'data')) as [Buffer];
  if (answer.toString() !== 'S') throw new Error('the server has no TLS');
  const outward = connectTls({ socket: upstream, rejectUnauthorized: false });
  await once(outward, 'secureConnect');
  downstream.pause();
  downstream.write('S');
  const inward = new TLSSocket(downstream, { isServer: true, cert: identity.certificate, key: identity.key });
  for (const socket of [inward, outward]) socket.on('error', () => undefined);
  inward.pipe(outward);
  outward.pipe(strip === true ? withoutPlus() : new Transform(copying)).pipe(inward);
}

const copying = {
  transform(chunk: Buffer, _encoding: string, done: (error: null, chunk: Buffer) => void): void {
    done(null, chunk);
  },
};

/** AuthenticationSASL comes whole in one record. */
function withoutPlus(): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const at = chunk.indexOf(PLUS);
      if (at < 0) return done(null, chunk);
      const shorter = Buffer.concat([chunk.subarray(0, at), chunk.subarray(at + PLUS.length)]);
      shorter.writeUInt32BE(chunk.readUInt32BE(1) - PLUS.length, 1);
      done(null, shorter);
    },
  });
}
