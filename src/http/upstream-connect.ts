import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { formatOrigin, type Origin } from '../connector/origin.ts';
import { SidecarError } from '../error.ts';
import type { Dialer } from './dialer.ts';
import { upstreamError, type UpstreamTls } from './undici-upstream.ts';

export interface UpstreamRoute {
  readonly origin: Origin;
  readonly connectSeconds: number;
  readonly tls: UpstreamTls;
  /** Absent: the host is resolved and dialled as it is. */
  readonly dialer?: Dialer | undefined;
}

const KEEP_ALIVE_PROBE_MS = 60_000;

/** Opens connections to one origin under one credential identity; TLS sessions are resumed among them and nowhere else. */
export class UpstreamConnector {
  readonly #route: UpstreamRoute;
  #ticket: Buffer | undefined;

  constructor(route: UpstreamRoute) {
    this.#route = route;
  }

  /**
   * A connection that is ready for its first byte: with TLS, once the certificate is verified. `protocols`: what is offered by ALPN.
   * Errors: `upstream-unreachable`, `upstream-tls`, `upstream-closed`, those of the dialer.
   */
  async connect(protocols: readonly string[]): Promise<Socket | TLSSocket> {
    const { origin, connectSeconds } = this.#route;
    const abort = new AbortController();
    const timer = setTimeout(() => {
      const detail = `${formatOrigin(origin)}: no connection in ${connectSeconds} s`;
      abort.abort(new SidecarError('upstream-unreachable', { detail }));
    }, connectSeconds * 1000);
    try {
      const socket = await this.#dial(abort.signal);
      if (origin.scheme === 'http') return socket;
      return await this.#secure(socket, protocols, abort.signal);
    } catch (thrown) {
      throw upstreamError(thrown as Error);
    } finally {
      clearTimeout(timer);
    }
  }

  async #dial(signal: AbortSignal): Promise<Socket> {
    const { origin, dialer } = this.#route;
    const { host, port } = origin;
    const socket =
      dialer === undefined
        ? await opened(connectTcp({ host, port }), 'connect', signal)
        : await dialer.dial(host, port, signal);
    // Whoever has the socket hears of its end; until then an error must not end the process.
    socket.on('error', () => undefined);
    return socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_PROBE_MS);
  }

  async #secure(socket: Socket, protocols: readonly string[], signal: AbortSignal): Promise<TLSSocket> {
    const { origin, tls } = this.#route;
    const servername = tls.servername ?? (isIP(origin.host) === 0 ? origin.host : undefined);
    const secured = connectTls({
      socket,
      host: origin.host,
      rejectUnauthorized: true,
      ALPNProtocols: [...protocols],
      ...(servername === undefined ? {} : { servername }),
      ...(tls.ca === undefined ? {} : { ca: tls.ca }),
      ...(tls.certificate === undefined ? {} : { cert: tls.certificate }),
      ...(tls.key === undefined ? {} : { key: tls.key }),
      ...(this.#ticket === undefined ? {} : { session: this.#ticket }),
    });
    secured.on('session', (ticket) => (this.#ticket = ticket));
    try {
      return await opened(secured, 'secureConnect', signal);
    } catch (thrown) {
      // A session that the upstream does not take up any more is no use either.
      this.#ticket = undefined;
      socket.destroy();
      throw thrown;
    }
  }
}

/** Whether an upstream refused every protocol that was offered (RFC 7301 section 3.2). */
export function isAlpnRefusal(error: Error): boolean {
  const { code } = (error.cause ?? error) as NodeJS.ErrnoException;
  return code === 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL';
}

function opened<Kind extends Socket>(socket: Kind, event: string, signal: AbortSignal): Promise<Kind> {
  return new Promise((resolve, reject) => {
    const settle = (error: Error | undefined): void => {
      signal.removeEventListener('abort', abort);
      socket.off('error', settle).off('close', closed).off(event, ready);
      if (error === undefined) {
        resolve(socket);
        return;
      }
      socket.on('error', () => undefined);
      socket.destroy();
      reject(error);
    };
    const ready = (): void => settle(undefined);
    const closed = (): void => settle(new SidecarError('upstream-closed', { detail: 'closed in the handshake' }));
    const abort = (): void => settle(signal.reason as Error);
    socket.once('error', settle).once('close', closed).once(event, ready);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort);
  });
}
