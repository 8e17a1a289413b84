import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';

/** How the load generator gets to an origin. */
export interface Route {
  /** Port of a proxy on this machine; absent: the origin itself. */
  readonly proxyPort?: number;
  /** Name that is asked for, in the certificate too. */
  readonly host: string;
  readonly port: number;
  /** PEM of the authority that signed what the client is shown. */
  readonly ca: string;
}

const HEAD_END = '\r\n\r\n';
const contexts = new Map<string, SecureContext>();

/** A connection with a certificate that was verified, every time by a whole handshake. Throws where anything says no. */
export async function openTls({ proxyPort, host, port, ca }: Route, protocol: 'http/1.1' | 'h2'): Promise<TLSSocket> {
  const tcp = connectTcp({ host: '127.0.0.1', port: proxyPort ?? port, noDelay: true });
  await once(tcp, 'connect');
  if (proxyPort !== undefined) await askForTunnel(tcp, `${host}:${port}`);
  const tls = connectTls({ socket: tcp, servername: host, secureContext: contextOf(ca), ALPNProtocols: [protocol] });
  await once(tls, 'secureConnect');
  if (tls.alpnProtocol !== protocol) throw new Error(`${protocol} was not agreed on but ${String(tls.alpnProtocol)}`);
  return tls;
}

async function askForTunnel(tcp: Socket, authority: string): Promise<void> {
  tcp.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}${HEAD_END}`);
  let head = '';
  while (!head.endsWith(HEAD_END)) {
    const [chunk] = (await once(tcp, 'data')) as [Buffer];
    head += chunk.toString('latin1');
    if (!head.startsWith('HTTP/1.1 200')) throw new Error(`no tunnel: ${head.slice(0, 200)}`);
  }
  tcp.pause();
  tcp.removeAllListeners('data');
}

/** Parsed once: the client's share of a handshake should be small. */
function contextOf(ca: string): SecureContext {
  let context = contexts.get(ca);
  if (context === undefined) contexts.set(ca, (context = createSecureContext({ ca })));
  return context;
}
