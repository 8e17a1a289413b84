import type { Socket } from 'node:net';
import {
  decide,
  recordRefusal,
  refusalEvent,
  useEvent,
  type AdmissionContext,
  type Use,
} from '../admission/admission.ts';
import { formatOrigin, type Origin } from '../connector/origin.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import { NO_SERVICE, type AccessRequest, type Principal } from '../policy/request.ts';
import { Splicing } from '../stream/splice.ts';
import type { Asked, TunnelHandler } from './binding.ts';
import type { Door } from './door.ts';
import { proofOf } from './served.ts';

/** Neither side sends a byte. */
const IDLE_SECONDS = 600;
const NOBODY: Principal = { agent: '-', attested: 'listener' };

/** Puts it on record that somebody asked for a tunnel who did not prove who they are. */
export async function recordUnproven(context: AdmissionContext, id: string, error: SidecarError): Promise<void> {
  const use: Use = { id, service: NO_SERVICE, connector: NO_SERVICE, principal: NOBODY, method: 'CONNECT' };
  await recordRefusal(context, refusalEvent(use, error, 'deny'));
}

/** A tunnel that passes untouched, while it runs. */
export interface SplicedTunnel {
  readonly request: AccessRequest;
  /** What the proof of who asked was made with. */
  readonly proof: string | undefined;
  readonly splicing: Splicing;
}

/** One tunnel that asks to pass untouched: policy, ledger, upstream. */
export class Passing {
  readonly origin: Origin;
  readonly #door: Door;
  readonly #handler: TunnelHandler;
  readonly #listener: string;
  readonly #request: AccessRequest;
  readonly #begunMs = performance.now();
  #upstream: Socket | undefined;

  constructor(door: Door, handler: TunnelHandler, { host, port, principal }: Asked, listener: string) {
    this.origin = { scheme: 'https', host, port };
    this.#door = door;
    this.#handler = handler;
    this.#listener = listener;
    this.#request = {
      service: NO_SERVICE,
      connector: NO_SERVICE,
      principal: principal ?? handler.routes.unmatched?.principal ?? NOBODY,
      facts: { method: 'CONNECT', host, port },
    };
  }

  /** Puts it on record that it does not pass. */
  async refuse(error: SidecarError): Promise<void> {
    await recordRefusal(this.#handler.context, refusalEvent(this.#use(), error, 'deny'));
  }

  /**
   * Asks policy, puts the answer on record and connects to the upstream. Errors: `policy-denied`, `ledger-unavailable`,
   * those of `Dialer.dial`.
   */
  async dial(): Promise<Socket> {
    const { context, tunnelling } = this.#handler;
    const { socket } = this.#door;
    const grant = await decide(
      context,
      () => this.#request,
      () => this.#use(),
    );
    await context.ledger.record(useEvent(this.#use(), grant.rule, {}));
    const abort = new AbortController();
    const gone = (): void => abort.abort(new SidecarError('downstream-closed'));
    if (socket.destroyed) gone();
    else socket.once('close', gone);
    try {
      const { host, port } = this.origin;
      this.#upstream = await tunnelling.dialer.dial(host, port, abort.signal);
      this.#upstream.on('error', () => this.#upstream!.destroy());
      return this.#upstream;
    } catch (thrown) {
      const error = asSidecarError(thrown, 'upstream-unreachable');
      if (error.fault === 'policy') await this.refuse(error);
      this.closed(error);
      throw error;
    } finally {
      socket.off('close', gone);
    }
  }

  /** Gives the upstream up, where there is one. */
  drop(error?: SidecarError): void {
    if (this.#upstream === undefined) return;
    this.#upstream.destroy();
    this.closed(error);
  }

  /** From here on bytes are copied. */
  join(upstream: Socket): SplicedTunnel {
    const splicing = new Splicing(this.#door.socket, upstream, { idleSeconds: IDLE_SECONDS, plan: { then: 'splice' } });
    return { request: this.#request, proof: proofOf(this.#handler, this.#request.principal), splicing };
  }

  /** Puts the end on record. */
  closed(error?: SidecarError, { bytesUp, bytesDown } = { bytesUp: 0, bytesDown: 0 }): void {
    this.#handler.context.ledger.note({
      type: 'connection.closed',
      ...this.#closedUse(),
      listener: this.#listener,
      result: error === undefined ? 'allow' : 'error',
      reason: error?.code,
      bytesUp,
      bytesDown,
      ms: Math.round(performance.now() - this.#begunMs),
    });
  }

  #closedUse(): Omit<Use, 'method'> {
    const { method: _, ...use } = this.#use();
    return use;
  }

  #use(): Use {
    const { service, connector, principal } = this.#request;
    const upstream = formatOrigin(this.origin);
    return { id: this.#door.id, service, connector, principal, upstream, method: 'CONNECT' };
  }
}
