import type { Socket } from 'node:net';
import { decide, lend, lendAnew, toldOf, type Use } from '../admission/admission.ts';
import type { Address, Handover, Peer, Step, TlsClientOptions, TlsServerOptions } from '../connector/handshake.ts';
import { streamContext } from '../connector/handshake.ts';
import type { Lease } from '../credential/lease.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import type { AccessRequest, Facts, Grant } from '../policy/request.ts';
import { outcomeOf } from '../telemetry/metrics.ts';
import type { StreamBinding, StreamParts } from './binding.ts';
import { dial, peerOf, sameAddress } from '../upstream/dial.ts';
import { drive } from './drive.ts';
import { Splicing } from './splice.ts';
import { startDownstreamTls, startUpstreamTls, tlsFacts } from './start-tls.ts';
import { Wire } from './wire.ts';

/** For the downstream to take in the last words of a login that failed. */
const LINGER_MS = 1_000;

export interface StreamConnectionOptions {
  readonly id: string;
  readonly parts: StreamParts;
  readonly binding: StreamBinding;
  readonly downstream: Socket;
  /** Address of the listener, for the ledger. */
  readonly listener: string;
  /** For the downstream to send its login. */
  readonly headerSeconds: number;
  /** Why this connection is not to be served; the login hears it as soon as it asks for anything. */
  readonly refusal?: SidecarError;
}

type AuthorizeStep = Extract<Step, { do: 'authorize' }>;

/**
 * One stream connection, from its first byte to the end: performs the steps of the connector's login, then copies.
 * The guards stand here: nothing is dialled before a grant, no TLS begins over unread plaintext.
 */
export class StreamConnection {
  readonly #options: StreamConnectionOptions;
  readonly #down: Wire;
  readonly #begun = performance.now();
  readonly #abort = new AbortController();
  readonly #forget: (() => void)[] = [];
  #up: Wire | undefined;
  #peer: Peer | undefined;
  #downUntil: number;
  #upUntil = 0;
  #request: AccessRequest | undefined;
  #grant: Grant | undefined;
  #lease: Lease | undefined;
  #upstream: string | undefined;
  /** The one address that `dial` may reach without a grant. */
  #recalled: Address | undefined;
  #splicing: Splicing | undefined;
  /** Set where the connection is to end though it is still in its login. */
  #ending: SidecarError | undefined;
  #revoked: NodeJS.Timeout | undefined;

  constructor(options: StreamConnectionOptions) {
    this.#options = options;
    this.#down = new Wire('downstream', options.downstream);
    this.#downUntil = this.#begun + options.headerSeconds * 1000;
    options.downstream.once('close', () => {
      // After the login there is nothing left to abort, and the reason of an abort is dear to make.
      if (this.#splicing !== undefined) return;
      this.#abort.abort();
      this.#up?.socket.destroy();
    });
  }

  /** What policy said yes to; undefined before that. */
  get request(): AccessRequest | undefined {
    return this.#request;
  }

  /**
   * Resolves when both sockets are closed; never rejects. `loggedIn` is called once, as soon as the connection needs
   * nothing of its configuration any more.
   */
  async run(loggedIn: () => void): Promise<void> {
    const { binding, id } = this.#options;
    let handover: Handover;
    try {
      handover = await drive(binding.instance.handshake(streamContext(id, binding.service)), (step) =>
        this.#perform(step),
      );
    } catch (thrown) {
      handover = { then: 'close', error: asSidecarError(thrown) };
    }
    this.#lease?.release();
    this.#measure(handover);
    loggedIn();
    if (handover.then === 'close') await this.#close(handover.error);
    else await this.#splice(handover);
    clearTimeout(this.#revoked);
    for (const forget of this.#forget) forget();
  }

  /** Ends at the next rest; during the login, right after it. */
  endAtRest(reason: SidecarError): void {
    if (this.#splicing === undefined) this.#ending = reason;
    else this.#splicing.endAtRest(reason);
  }

  /** True once its permission has ended. */
  get revoked(): boolean {
    return this.#revoked !== undefined;
  }

  /** Its permission has ended: work in progress gets `graceSeconds`. */
  revoke(reason: SidecarError, graceSeconds: number): void {
    this.endAtRest(reason);
    this.#revoked = setTimeout(() => this.cut(reason), graceSeconds * 1000);
  }

  cut(reason?: SidecarError): void {
    if (this.#splicing !== undefined) this.#splicing.cut(reason);
    this.#down.socket.destroy();
    this.#up?.socket.destroy();
  }

  #perform(step: Step): unknown {
    switch (step.do) {
      case 'read':
        return this.#wire(step.side).read(step.count, this.#until(step.side));
      case 'peek':
        return this.#wire(step.side).peek(step.count, this.#until(step.side));
      case 'unread':
        return this.#wire(step.side).unread;
      case 'readEnd':
        return this.#wire(step.side).ended(this.#until(step.side));
      case 'write':
        return this.#wire(step.side).write(step.data, step.secret === true);
      case 'authorize':
        return this.#authorize(step);
      case 'reauthorize':
        return this.#reauthorize();
      case 'dial':
        return this.#dial(step.address);
      case 'startTls':
        return step.side === 'upstream' ? this.#startUpstreamTls(step.options) : this.#startDownstreamTls(step.options);
      case 'compute':
        return step.work();
      case 'remember':
        return this.#remember(step.key, step.value);
      case 'recall':
        return this.#recall(step.key);
      default:
        return step satisfies never;
    }
  }

  #wire(side: 'downstream' | 'upstream'): Wire {
    if (side === 'downstream') return this.#down;
    if (this.#up === undefined) throw new SidecarError('internal', { detail: 'nothing is dialled' });
    return this.#up;
  }

  #until(side: 'downstream' | 'upstream'): number {
    return side === 'downstream' ? this.#downUntil : this.#upUntil;
  }

  async #authorize({ facts, upstream }: AuthorizeStep) {
    const { parts, binding, refusal, headerSeconds } = this.#options;
    if (refusal !== undefined) throw refusal;
    if (this.#grant !== undefined) throw new SidecarError('internal', { detail: 'authorized already' });
    const request: AccessRequest = {
      service: binding.service,
      connector: binding.connector,
      principal: binding.principal,
      facts,
    };
    this.#grant = await decide(
      parts,
      () => request,
      () => this.#use(facts),
    );
    this.#request = request;
    const use = (lease: Lease | undefined): Use => {
      this.#upstream = lease === undefined ? undefined : upstream(lease.credentials);
      return this.#use(facts);
    };
    this.#lease = await lend(parts, binding.source, this.#grant, use, this.#abort.signal);
    this.#refuseIfGone();
    // The time that policy and providers took is not the downstream's.
    this.#downUntil = performance.now() + headerSeconds * 1000;
    return { credentials: this.#lease.credentials, version: this.#lease.version };
  }

  async #reauthorize() {
    const { parts, binding } = this.#options;
    const stale = this.#lease;
    if (stale === undefined) throw new SidecarError('internal', { detail: 'not authorized' });
    const use = (): Use => this.#use(this.#request!.facts);
    const fresh = await lendAnew(parts, binding.source, this.#grant!, stale, use, this.#abort.signal);
    this.#refuseIfGone();
    if (fresh === undefined) return undefined;
    stale.release();
    this.#lease = fresh;
    return { credentials: fresh.credentials, version: fresh.version };
  }

  async #dial(address: Address): Promise<Peer> {
    const { parts, binding } = this.#options;
    const recalled = this.#recalled !== undefined && sameAddress(this.#recalled, address);
    if (this.#lease === undefined && !recalled) {
      throw new SidecarError('internal', { detail: 'an upstream was dialled before policy said yes' });
    }
    this.#up?.socket.destroy();
    this.#up = undefined;
    const uncount = parts.upstreams.begin(binding.service, binding.upstreamConnections);
    if (uncount === undefined) throw new SidecarError('connections-exhausted');
    let socket: Socket;
    try {
      socket = await dial(address, binding.connectSeconds, this.#abort.signal);
    } catch (thrown) {
      uncount();
      throw thrown;
    }
    socket.once('close', uncount);
    this.#up = new Wire('upstream', socket);
    this.#upUntil = performance.now() + binding.loginSeconds * 1000;
    this.#peer = peerOf(socket, address);
    return this.#peer;
  }

  async #startUpstreamTls(options: TlsClientOptions) {
    const wire = this.#wire('upstream');
    // Bytes behind the answer to the request for TLS came from whoever is on the way (CVE-2021-23222).
    if (wire.unread > 0) throw new SidecarError('upstream-protocol', { detail: 'bytes before the TLS handshake' });
    const untilMs = performance.now() + this.#options.binding.connectSeconds * 1000;
    const socket = await startUpstreamTls(wire.socket, options, untilMs);
    wire.wrap(socket);
    this.#refuseIfGone();
    this.#upUntil = performance.now() + this.#options.binding.loginSeconds * 1000;
    return tlsFacts(socket);
  }

  async #startDownstreamTls(options: TlsServerOptions) {
    const wire = this.#down;
    // The same the other way round (CVE-2021-23214); unread bytes of a side that never spoke are the handshake itself.
    if (wire.unread > 0 && wire.spoken) {
      throw new SidecarError('downstream-protocol', { detail: 'bytes before the TLS handshake' });
    }
    const identity = options.identity ?? (await this.#options.parts.localIdentity());
    const socket = await startDownstreamTls(wire.socket, identity, options, this.#downUntil);
    wire.wrap(socket);
    return tlsFacts(socket);
  }

  #remember(key: Uint8Array, value: unknown): void {
    if (this.#peer === undefined) throw new SidecarError('internal', { detail: 'nothing is dialled' });
    const { parts, binding } = this.#options;
    this.#forget.push(parts.recollections.remember(binding.service, key, { value, peer: this.#peer }));
  }

  #recall(key: Uint8Array): unknown {
    const { parts, binding, refusal } = this.#options;
    const found = parts.recollections.recall(binding.service, key);
    const end = found === undefined || refusal !== undefined ? undefined : parts.recollections.begin(binding.service);
    if (found === undefined || end === undefined) {
      binding.metrics.recalled(found === undefined ? 'unknown' : 'refused');
      return undefined;
    }
    binding.metrics.recalled('found');
    this.#forget.push(end);
    this.#recalled = found.peer;
    return found.value;
  }

  #refuseIfGone(): void {
    if (this.#abort.signal.aborted) throw new SidecarError('downstream-closed');
  }

  async #splice(plan: Extract<Handover, { then: 'splice' }>): Promise<void> {
    const { binding } = this.#options;
    if (this.#up === undefined) return this.#close(new SidecarError('internal', { detail: 'nothing is dialled' }));
    this.#splicing = new Splicing(this.#down.socket, this.#up.socket, { plan, idleSeconds: binding.idleSeconds });
    if (this.#ending !== undefined) this.#splicing.endAtRest(this.#ending);
    await this.#splicing.over;
    this.#note(this.#splicing.ended);
  }

  async #close(error: SidecarError | undefined): Promise<void> {
    this.#up?.socket.destroy();
    if (error !== undefined) this.#log(error);
    if (this.#grant !== undefined) this.#note(error);
    const { socket } = this.#down;
    if (socket.destroyed) return;
    const closed = new Promise<void>((resolve) => void socket.once('close', () => resolve()));
    socket.end();
    // Reading on for a moment keeps the reset for unread bytes from overtaking the answer.
    socket.resume();
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    await closed;
    clearTimeout(timer);
  }

  /** A login counts as an exchange: its time is what the sidecar adds to a connection. */
  #measure(handover: Handover): void {
    const { metrics } = this.#options.binding;
    const seconds = (performance.now() - this.#begun) / 1000;
    if (handover.then === 'splice') metrics.ended('ok', undefined, seconds);
    else if (handover.error !== undefined) metrics.ended(outcomeOf(handover.error), undefined, seconds);
  }

  #note(error: SidecarError | undefined): void {
    const { parts, listener } = this.#options;
    parts.ledger.note({
      type: 'connection.closed',
      ...this.#use(this.#request?.facts ?? {}),
      listener,
      result: error === undefined || this.#splicing !== undefined ? 'allow' : 'error',
      reason: error?.code,
      bytesUp: this.#splicing?.bytesUp ?? 0,
      bytesDown: this.#splicing?.bytesDown ?? 0,
      ms: Math.round(performance.now() - this.#begun),
    });
  }

  #use(facts: Facts): Use {
    const { id, binding } = this.#options;
    return {
      id,
      service: binding.service,
      connector: binding.connector,
      principal: binding.principal,
      ...(this.#upstream === undefined ? {} : { upstream: this.#upstream }),
      ...toldOf(facts),
    };
  }

  #log(error: SidecarError): void {
    const { parts, binding, id } = this.#options;
    const fields = { id, service: binding.service, error };
    if (error.fault === 'downstream' || error.fault === 'policy') parts.log.info(fields, 'login refused');
    else parts.log.warn(fields, 'login failed');
  }
}
