import type { Socket } from 'node:net';
import type { ErrorCode } from '../error.ts';
import { HttpFront, type HttpFrontLimits, type HttpHandler } from '../http/front.ts';
import type { TunnelMetrics } from '../telemetry/metrics.ts';
import type { EgressHandler, TunnelHandler } from './binding.ts';
import { SOCKS_VERSION } from './socks.ts';
import { ListenerTunnels } from './tunnels.ts';

/** First byte of SOCKS 4, which is refused in its own words. */
const SOCKS_4 = 4;
/** Of a TLS handshake (RFC 8446 section 5.1). */
const HANDSHAKE = 22;

/** Speaks HTTP on sockets that a listener accepted, and opens tunnels for those who ask by CONNECT. */
export class TunnelFront<Handler extends TunnelHandler = TunnelHandler> {
  readonly tunnels: ListenerTunnels<Handler>;
  readonly #http: HttpFront;
  #of: Handler | undefined;
  #opens: HttpHandler | undefined;

  constructor(address: string, limits: HttpFrontLimits, metrics: TunnelMetrics, current: () => Handler) {
    this.#http = new HttpFront(address, limits, () => this.#opening(current()));
    this.tunnels = new ListenerTunnels<Handler>({
      address,
      limits,
      metrics,
      current,
      attach: (socket, served) => this.#http.attach(socket, served),
    });
  }

  attach(socket: Socket): void {
    this.#http.attach(socket);
  }

  turnAway(socket: Socket, code: ErrorCode): void {
    this.#http.turnAway(socket, code);
  }

  limit(limits: HttpFrontLimits): void {
    this.#http.limit(limits);
    this.tunnels.limit(limits);
  }

  /** Ends the tunnels that would not be opened now. */
  recheck(): void {
    this.tunnels.recheck();
  }

  /** Running exchanges end, and tunnels that pass untouched. */
  drain(): void {
    this.#http.drain();
    this.tunnels.drain();
  }

  close(): void {
    this.#http.close();
    this.tunnels.close();
  }

  /** The present handler with the tunnels of this listener; made anew only when it is another. */
  #opening(handler: Handler): HttpHandler {
    if (this.#opens === undefined || this.#of !== handler) {
      const { context, routes } = handler;
      const http = { context, routes, enter: () => handler.enter(), leave: () => handler.leave() };
      this.#of = handler;
      // Who was redirected here knows nothing of a proxy.
      this.#opens = routes.byHost === true ? http : { ...http, tunnels: this.tunnels };
    }
    return this.#opens;
  }
}

/** Speaks SOCKS 5 as well and, where connections are redirected to it, TLS. */
export class EgressFront extends TunnelFront<EgressHandler> {
  readonly #current: () => EgressHandler;

  constructor(address: string, limits: HttpFrontLimits, metrics: TunnelMetrics, current: () => EgressHandler) {
    super(address, limits, metrics, current);
    this.#current = current;
  }

  override attach(socket: Socket): void {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) {
      socket.destroy();
      return;
    }
    socket.unshift(chunk);
    const [first] = chunk;
    const isTransparent = this.#current().mode === 'transparent';
    if (isTransparent && first === HANDSHAKE) this.tunnels.openRedirected(socket);
    else if (!isTransparent && (first === SOCKS_VERSION || first === SOCKS_4)) this.tunnels.openSocks(socket);
    else super.attach(socket);
  }
}
