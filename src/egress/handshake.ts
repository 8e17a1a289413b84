import type { Socket } from 'node:net';
import { TLSSocket, type SecureContext } from 'node:tls';
import { SidecarError, type ErrorCode } from '../error.ts';

/** RFC 7301 section 3.1: each name behind its length. A socket, unlike a server, takes no other form. */
const PROTOCOLS = Buffer.from('\x02h2\x08http/1.1', 'latin1');

/** Alerts by which clients say that they do not trust a certificate (RFC 8446 section 6.2), as OpenSSL names them. */
const REFUSED = /ALERT_(?:UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_\w+|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED)/;

/**
 * Ends a client's TLS on a socket of which nothing of it was read. Errors: `certificate-refused`, also where the client
 * leaves without a word, as many do then; `tls-malformed`.
 */
export function endTls(raw: Socket, secureContext: SecureContext, seconds: number): Promise<TLSSocket> {
  // No callback of ours runs inside the handshake: one that throws would end the process.
  const socket = new TLSSocket(raw, { isServer: true, secureContext, ALPNProtocols: PROTOCOLS });
  return new Promise((resolve, reject) => {
    const settle = (error: SidecarError | undefined): void => {
      clearTimeout(timer);
      socket.off('secure', done).off('error', failed).off('close', closed).off('end', closed);
      socket.on('error', () => socket.destroy());
      // Of bytes that are no TLS, once the handshake is over, only a server of node's own hears as an `error`.
      socket.on('_tlsError', () => socket.destroy());
      if (error === undefined) {
        // Nobody needs it, and each one costs a signature.
        socket.disableRenegotiation();
        // Only a server of node's own says that the handshake is over; until then HTTP/2 sets up nothing.
        (socket as { secureConnecting?: boolean }).secureConnecting = false;
        resolve(socket);
        return;
      }
      socket.destroy();
      reject(error);
    };
    const fail = (code: ErrorCode, detail: string): void => settle(new SidecarError(code, { detail }));
    const done = (): void => settle(undefined);
    const failed = (error: NodeJS.ErrnoException): void => {
      const left = error.code === 'ECONNRESET' || error.code === 'EPIPE';
      const refused = left || REFUSED.test(error.code ?? '');
      fail(refused ? 'certificate-refused' : 'tls-malformed', error.message);
    };
    const closed = (): void => fail('certificate-refused', 'closed during the TLS handshake');
    const timer = setTimeout(() => fail('tls-malformed', 'no handshake in time'), seconds * 1000);
    socket.on('secure', done).on('error', failed).on('close', closed).on('end', closed);
  });
}
