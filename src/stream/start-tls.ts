import { isIP, type Socket } from 'node:net';
import { connect, createSecureContext, getCACertificates, TLSSocket, type SecureContext } from 'node:tls';
import type { TlsClientOptions, TlsFacts, TlsServerOptions } from '../connector/handshake.ts';
import { SidecarError, type ErrorCode } from '../error.ts';

/** Authorities take milliseconds to parse, and a service mostly has one set. */
const CONTEXTS_MAX = 16;
const contexts = new Map<string, SecureContext>();

/** Errors: `upstream-tls`, `upstream-timeout`. The key of the options is overwritten. */
export async function startUpstreamTls(raw: Socket, options: TlsClientOptions, untilMs: number): Promise<TLSSocket> {
  const { servername, verify, alpn } = options;
  if (verify === 'full' && servername === undefined)
    throw new SidecarError('internal', { detail: 'no name to verify' });
  let socket: TLSSocket;
  try {
    socket = connect({
      socket: raw,
      secureContext: clientContext(options),
      rejectUnauthorized: verify !== 'none',
      // An IP address is verified, but never sent as a name (RFC 6066 section 3).
      ...(servername === undefined ? {} : isIP(servername) ? { host: servername } : { host: servername, servername }),
      ...(verify === 'full' ? {} : { checkServerIdentity: () => undefined }),
      ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
    });
  } catch (cause) {
    throw failure('upstream-tls', cause);
  } finally {
    options.key?.fill(0);
  }
  await established(socket, 'secureConnect', untilMs, 'upstream-tls', 'upstream-timeout');
  return socket;
}

/** Errors: `downstream-protocol`, `login-timeout`. */
export async function startDownstreamTls(
  raw: Socket,
  identity: { readonly certificate: string; readonly key: string },
  { alpn }: TlsServerOptions,
  untilMs: number,
): Promise<TLSSocket> {
  let secureContext: SecureContext;
  try {
    secureContext = createSecureContext({ cert: identity.certificate, key: identity.key });
  } catch (cause) {
    throw failure('config-invalid', cause);
  }
  const socket = new TLSSocket(raw, {
    isServer: true,
    secureContext,
    ...(alpn === undefined ? {} : { ALPNProtocols: protocolNames(alpn) }),
  });
  await established(socket, 'secure', untilMs, 'downstream-protocol', 'login-timeout');
  // Of bytes that are no TLS, once the handshake is over, only a server of node's own hears as an `error`.
  socket.on('_tlsError', () => socket.destroy());
  // Nobody needs it, and each one costs a signature.
  socket.disableRenegotiation();
  return socket;
}

export function tlsFacts(socket: TLSSocket): TlsFacts {
  const { alpnProtocol } = socket;
  return {
    alpn: typeof alpnProtocol === 'string' && alpnProtocol !== '' ? alpnProtocol : undefined,
    peerCertificate: socket.getPeerX509Certificate()?.raw,
  };
}

/** RFC 7301 section 3.1: each name behind its length. A socket, unlike a server, takes no other form. */
function protocolNames(names: readonly string[]): Buffer {
  return Buffer.concat(names.map((name) => Buffer.concat([Buffer.of(name.length), Buffer.from(name, 'latin1')])));
}

function clientContext({ ca, certificate, key }: TlsClientOptions): SecureContext {
  // A context with a client key is used once: it would keep the key.
  if (key !== undefined) {
    return createSecureContext({ key, ...trust(ca), ...(certificate === undefined ? {} : { cert: certificate }) });
  }
  const name = ca ?? '';
  const held = contexts.get(name);
  if (held !== undefined) return held;
  const made = createSecureContext(trust(ca));
  if (contexts.size === CONTEXTS_MAX) contexts.delete(contexts.keys().next().value!);
  contexts.set(name, made);
  return made;
}

function trust(ca: string | undefined): { readonly ca?: string | string[] } {
  if (ca === undefined) return {};
  return { ca: ca === 'system' ? getCACertificates('system') : ca };
}

function established(
  socket: TLSSocket,
  event: 'secureConnect' | 'secure',
  untilMs: number,
  code: ErrorCode,
  late: ErrorCode,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error: SidecarError | undefined): void => {
      clearTimeout(timer);
      socket.off(event, done).off('error', failed).off('close', closed).off('end', closed);
      if (error === undefined) {
        resolve();
        return;
      }
      socket.on('error', () => undefined);
      socket.destroy();
      reject(error);
    };
    const done = (): void => settle(undefined);
    const failed = (error: Error): void => settle(failure(code, error));
    const closed = (): void => settle(new SidecarError(code, { detail: 'closed during the TLS handshake' }));
    const timer = setTimeout(() => settle(new SidecarError(late)), Math.max(1, untilMs - performance.now()));
    socket.on(event, done).on('error', failed).on('close', closed).on('end', closed);
  });
}

function failure(code: ErrorCode, cause: unknown): SidecarError {
  return new SidecarError(code, { cause, ...(cause instanceof Error ? { detail: cause.message } : {}) });
}
