import { randomBytes } from 'node:crypto';
import { isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContext, TLSSocket } from 'node:tls';
import { formatOrigin } from '../connector/origin.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import { parseHost } from '../http/authority.ts';
import type { HttpFront, TunnelRequest, Tunnels } from '../http/front.ts';
import type { TunnelMetrics, TunnelOutcome } from '../telemetry/metrics.ts';
import type { Asked, EgressHandler, TunnelHandler, TunnelLimits } from './binding.ts';
import { connectTarget } from './connect-request.ts';
import { Distrust } from './distrust.ts';
import { CONNECT_ANSWERS, Door, REDIRECTED_ANSWERS } from './door.ts';
import { firstByte } from './first-byte.ts';
import { endTls } from './handshake.ts';
import { Passing, recordUnproven, type SplicedTunnel } from './passing.ts';
import { planOf, type Plan } from './plan.ts';
import { readHello } from './read-hello.ts';
import { proofOf, servedBy, type Ending } from './served.ts';
import { readSocks, SOCKS_ANSWERS } from './socks-door.ts';

/** How often the permission of a running tunnel is looked at: a window of time may have closed. */
const RECHECK_MS = 15_000;
/** First byte of a TLS handshake (RFC 8446 section 5.1). */
const HANDSHAKE = 22;
const HTTPS_PORT = 443;
/** Handshakes at a time for hosts that no configuration names: each may cost a certificate. */
const OPEN_HANDSHAKES_MAX = 256;

export interface TunnelOptions<Handler extends TunnelHandler> {
  /** Address of the listener, as in its endpoint. */
  readonly address: string;
  readonly limits: TunnelLimits;
  readonly metrics: TunnelMetrics;
  readonly current: () => Handler;
  /** Serves what ends here. */
  readonly attach: HttpFront['attach'];
}

/** The tunnels of one listener: each leads to a service, passes untouched, or is refused. */
export class ListenerTunnels<Handler extends TunnelHandler = TunnelHandler> implements Tunnels {
  readonly #address: string;
  readonly #current: () => Handler;
  readonly #attach: HttpFront['attach'];
  readonly #spliced = new Set<SplicedTunnel>();
  /** Sockets that nothing came through yet. */
  readonly #silent = new Set<Duplex>();
  readonly #opening = new Set<Socket>();
  readonly #distrust = new Distrust();
  readonly #metrics: TunnelMetrics;
  /** Handshakes for hosts that only clients name. */
  #handshakes = 0;
  #limits: TunnelLimits;
  #recheck: NodeJS.Timeout | undefined;
  #draining = false;

  constructor({ address, limits, metrics, current, attach }: TunnelOptions<Handler>) {
    this.#metrics = metrics;
    this.#address = address;
    this.#limits = limits;
    this.#current = current;
    this.#attach = attach;
  }

  limit(limits: TunnelLimits): void {
    this.#limits = limits;
  }

  open(request: TunnelRequest): void {
    const { socket, rest, id } = request;
    if (rest.length > 0) socket.unshift(rest);
    const door = new Door(socket, id, CONNECT_ANSWERS);
    void this.#serve(door, ({ routes }) => {
      const principal = routes.callers?.identify(request.headers);
      return { ...connectTarget(request), principal };
    });
  }

  /** A socket that begins with SOCKS. */
  openSocks(this: ListenerTunnels<EgressHandler>, socket: Socket): void {
    const door = new Door(socket, newId(), SOCKS_ANSWERS);
    void this.#serve(door, ({ callers }) => readSocks(socket, callers, this.#limits.headerSeconds));
  }

  /** A socket that was redirected here and begins with TLS: its SNI is the only word about where it should go. */
  openRedirected(this: ListenerTunnels<EgressHandler>, socket: Socket): void {
    const door = new Door(socket, newId(), REDIRECTED_ANSWERS);
    void this.#serve(door, async ({ callers }) => {
      const { serverName } = await readHello(socket, this.#limits.headerSeconds);
      if (serverName === undefined) throw new SidecarError('tls-malformed', { detail: 'no name in the hello' });
      return { host: serverName, port: HTTPS_PORT, principal: callers.identify([]) };
    });
  }

  /** Nothing new is opened; what runs goes on. */
  drain(): void {
    this.#draining = true;
    for (const socket of this.#silent) socket.destroy();
  }

  close(): void {
    this.#draining = true;
    clearInterval(this.#recheck);
    for (const { splicing } of this.#spliced) splicing.cut();
    for (const socket of this.#opening) socket.destroy();
  }

  /** Cuts the tunnels that would not be let through any more. Those that end here are asked with each request. */
  recheck(): void {
    const handler = this.#current();
    for (const { request, proof, splicing } of this.#spliced) {
      const { host, port } = request.facts;
      const passes = planOf(handler.routes, host!, port!)?.tls === 'splice';
      const proven = proofOf(handler, request.principal) === proof;
      if (!passes || !proven || !handler.context.policy.permits(request)) splicing.cut(new SidecarError('grant-ended'));
    }
  }

  /** Leads whoever is behind the door to where it asks. Never rejects. */
  async #serve(door: Door, read: (handler: Handler) => Asked | Promise<Asked>): Promise<void> {
    const { socket, id } = door;
    const handler = this.#current();
    handler.enter();
    this.#opening.add(socket);
    socket.once('close', () => this.#opening.delete(socket));
    socket.on('error', () => socket.destroy());
    let host: string | undefined;
    try {
      if (this.#draining) throw new SidecarError('draining');
      const asked = await identified(handler, id, read);
      ({ host } = asked);
      await this.#lead(door, handler, asked);
    } catch (thrown) {
      const error = asSidecarError(thrown);
      this.#log(handler, id, host, error);
      this.#metrics.asked(outcomeOf(error));
      door.refuse(error);
    } finally {
      this.#opening.delete(socket);
      handler.leave();
    }
  }

  #log({ context }: TunnelHandler, id: string, host: string | undefined, error: SidecarError): void {
    const fields = { id, listener: this.#address, ...(host === undefined ? {} : { host }), error };
    if (error.code === 'certificate-refused') {
      if (this.#distrust.isNews(host ?? '')) context.log.warn({ ...fields, next: error.next }, 'certificate refused');
    } else if (error.fault === 'downstream' || error.fault === 'policy') context.log.info(fields, 'tunnel refused');
    else context.log.warn(fields, 'tunnel failed');
  }

  async #lead(door: Door, handler: TunnelHandler, asked: Asked): Promise<void> {
    const { socket } = door;
    const { host, port, principal } = asked;
    const plan = planOf(handler.routes, host, port);
    const passing = new Passing(door, handler, asked, this.#address);
    if (plan === undefined) {
      const error = new SidecarError('no-service', { detail: formatOrigin(passing.origin) });
      await passing.refuse(error);
      throw error;
    }
    const secureContext =
      plan.tls === 'intercept' ? await this.#inTurn(plan, () => contextFor(handler, host)) : undefined;
    // What can only pass is dialled before the answer, which then says whether it could be.
    const early = plan.tls === 'splice' && !plan.clear ? await passing.dial() : undefined;
    door.open();
    const first = await this.#first(socket, early === undefined ? 'keepAliveSeconds' : 'headerSeconds');
    door.speaksTls = first === HANDSHAKE;
    if (first === undefined) {
      passing.drop();
      socket.destroy();
    } else if (first !== HANDSHAKE) {
      passing.drop();
      // Where nothing in clear is taken, the request hears so.
      this.#end(socket, handler, { authority: { scheme: 'http', host, port }, principal, misdirected: false });
    } else if (secureContext !== undefined) {
      const tls = await this.#inTurn(plan, () => endTls(socket, secureContext, this.#limits.headerSeconds));
      await this.#intercept(tls, handler, asked);
    } else if (plan.tls === 'splice') await this.#splice(door, passing, early ?? (await passing.dial()));
    else throw new SidecarError('no-service', { detail: 'TLS, where only http:// has a service' });
  }

  async #first(socket: Duplex, limit: keyof TunnelLimits): Promise<number | undefined> {
    this.#silent.add(socket);
    const first = await firstByte(socket, this.#limits[limit]);
    this.#silent.delete(socket);
    return first;
  }

  /** Errors: `connections-exhausted`, so that nobody keeps us at issuing certificates for names that come to their mind. */
  async #inTurn<Made>({ open }: Plan, work: () => Promise<Made>): Promise<Made> {
    if (!open) return work();
    if (this.#handshakes >= OPEN_HANDSHAKES_MAX) {
      throw new SidecarError('connections-exhausted', { detail: 'handshakes for hosts that only clients name' });
    }
    this.#handshakes += 1;
    try {
      return await work();
    } finally {
      this.#handshakes -= 1;
    }
  }

  async #intercept(socket: TLSSocket, handler: TunnelHandler, asked: Asked): Promise<void> {
    const { host, port, principal } = asked;
    const begunMs = performance.now();
    if ((await this.#first(socket, 'keepAliveSeconds')) !== undefined) {
      const misdirected = !names(socket.servername, host);
      this.#end(socket, handler, { authority: { scheme: 'https', host, port }, principal, misdirected });
      return;
    }
    socket.destroy();
    // Some clients look at the certificate only once the handshake is over.
    if (!this.#draining && performance.now() - begunMs < this.#limits.headerSeconds * 1000) {
      throw new SidecarError('certificate-refused', { detail: 'closed right behind the TLS handshake' });
    }
  }

  #end(socket: Socket, { context }: TunnelHandler, ending: Ending): void {
    this.#metrics.asked('intercepted');
    if (ending.misdirected) {
      const host = ending.authority.host;
      context.log.info({ listener: this.#address, host }, 'the TLS of a tunnel names another host');
    }
    this.#attach(socket, servedBy(this.#current, ending));
  }

  async #splice(door: Door, passing: Passing, upstream: Socket): Promise<void> {
    const { host } = passing.origin;
    try {
      const { serverName } = await readHello(door.socket, this.#limits.headerSeconds);
      // An address is no server name (RFC 6066 section 3); a client that knows a name says it.
      if (serverName === undefined ? isIP(host) === 0 : !names(serverName, host)) {
        throw new SidecarError('host-mismatch', { detail: 'the TLS of the tunnel is for another host' });
      }
    } catch (thrown) {
      passing.drop(asSidecarError(thrown));
      throw thrown;
    }
    const tunnel = passing.join(upstream);
    this.#metrics.asked('spliced');
    this.#spliced.add(tunnel);
    this.#recheck ??= setInterval(() => this.recheck(), RECHECK_MS).unref();
    await tunnel.splicing.over;
    this.#spliced.delete(tunnel);
    if (this.#spliced.size === 0) {
      clearInterval(this.#recheck);
      this.#recheck = undefined;
    }
    passing.closed(tunnel.splicing.ended, tunnel.splicing);
  }
}

function outcomeOf({ code, fault }: SidecarError): TunnelOutcome {
  if (code === 'certificate-refused') return 'distrusted';
  return fault === 'downstream' || fault === 'policy' ? 'refused' : 'failed';
}

/** Where somebody wants to be led; on record where they do not prove who they are. Errors: those of `read`. */
async function identified<Handler extends TunnelHandler>(
  handler: Handler,
  id: string,
  read: (handler: Handler) => Asked | Promise<Asked>,
): Promise<Asked> {
  try {
    return await read(handler);
  } catch (thrown) {
    const error = asSidecarError(thrown);
    if (error.code === 'proxy-auth-required') await recordUnproven(handler.context, id, error);
    throw error;
  }
}

function newId(): string {
  return randomBytes(8).toString('hex');
}

/** Whether the name of a handshake is the authority's; one without a name does not disagree. */
function names(serverName: string | false | null | undefined, host: string): boolean {
  if (typeof serverName !== 'string') return true;
  try {
    return parseHost(serverName) === host;
  } catch {
    return false;
  }
}

/** Errors: `config-invalid` where no certificate may be issued for the host. */
async function contextFor({ tunnelling }: TunnelHandler, host: string): Promise<SecureContext> {
  const interception = await tunnelling.interception();
  return interception.contextFor(host);
}
