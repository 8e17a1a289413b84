import type { KeyObject } from 'node:crypto';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Address } from '../connector/handshake.ts';
import type { Loan, Permission, RelayConnection, RelayEnd, RelayService } from '../connector/relay.ts';
import type { Credentials } from '../credential/lease.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import type { Facts, Principal } from '../policy/request.ts';
import { outcomeOf } from '../telemetry/metrics.ts';
import type { RelayBinding, RelayHandler, RelayParts } from './binding.ts';
import { CannotAsk, confirm } from './confirm.ts';
import { Passage, type Journey } from './passage.ts';
import { Permissions } from './permission.ts';

/** For the last words of either side to be taken in. */
const LINGER_MS = 1_000;
/** For what was written before an end that nothing forced: whoever reads slowly gets all of it. */
const FLUSH_MS = 30_000;
/** For a connector to end once it must; then its connection is over without it. */
const ABANDON_MS = 5_000;
/** Questions that wait for a person at a time, of one service. */
const CONFIRMATIONS_MAX = 4;

export interface AcceptedOptions {
  readonly id: string;
  /** The configuration that the connection begins with. */
  readonly handler: RelayHandler;
  /** The one in effect; undefined where the listener has no relay services any more. */
  readonly current: () => RelayHandler | undefined;
  readonly downstream: Socket;
  /** Address of the listener, for the ledger. */
  readonly listener: string;
  readonly headerSeconds: number;
  readonly refusal: SidecarError | undefined;
}

/** One accepted connection: all that its connector may ask of the sidecar, until the end. */
export class AcceptedConnection implements RelayConnection {
  readonly downstream: Socket;
  readonly #options: AcceptedOptions;
  readonly #begun = performance.now();
  readonly #abort = new AbortController();
  readonly #ending = new AbortController();
  readonly #permissions: Permissions;
  readonly #journey: Journey;
  readonly #upstreams = new Set<Duplex>();
  readonly #timers: NodeJS.Timeout[] = [];
  #passage: Passage;
  #principal: Principal;
  /** True once anything was asked for: who asks, and for which service, is settled. */
  #settled = false;
  #working = false;
  #over = false;
  #revoked: SidecarError | undefined;
  #abandon: (error: SidecarError) => void = () => undefined;

  constructor(options: AcceptedOptions) {
    this.#options = options;
    this.downstream = options.downstream;
    const binding = options.handler.bindings[0]!;
    this.#principal = binding.principal;
    this.#permissions = new Permissions(options.handler.parts.ledger);
    this.#journey = this.#makeJourney();
    this.#passage = new Passage(this.#journey, binding);
    // While nobody listens, an error must not end the process.
    options.downstream.on('error', () => options.downstream.destroy());
    options.downstream.once('close', () => {
      if (!this.#over) this.#stop(new SidecarError('downstream-closed'));
    });
  }

  get id(): string {
    return this.#options.id;
  }

  get service(): string {
    return this.#binding.service;
  }

  get agent(): string {
    return this.#principal.agent;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  get loginSeconds(): number {
    return this.#binding.loginSeconds;
  }

  get headerSeconds(): number {
    return this.#options.headerSeconds;
  }

  get idleSeconds(): number {
    return this.#binding.idleSeconds;
  }

  get refusal(): SidecarError | undefined {
    return this.#options.refusal;
  }

  get services(): readonly string[] {
    return this.#options.handler.bindings.map(({ service }) => service);
  }

  get #binding(): RelayBinding {
    return this.#passage.binding;
  }

  hostKey(): Promise<KeyObject> {
    return this.#options.handler.parts.hostKey();
  }

  prove(agent: string, by: 'key' | 'token'): void {
    this.#refuseIfSettled();
    this.#principal = { agent, attested: by };
  }

  choose(service: string): RelayService | undefined {
    this.#refuseIfSettled();
    const { connector } = this.#binding;
    const found = this.#options.handler.bindings.find((each) => each.service === service);
    if (found?.connector !== connector) return undefined;
    this.#passage = new Passage(this.#journey, found);
    if (this.#principal.attested === 'listener') this.#principal = found.principal;
    return found.instance;
  }

  async authorize(facts: Facts, upstream: (credentials: Credentials) => string): Promise<Loan> {
    this.#settled = true;
    return this.#passage.authorize(facts, upstream);
  }

  reauthorize(loan: Loan): Promise<Loan | undefined> {
    return this.#passage.reauthorize(loan);
  }

  async admit(facts: Facts): Promise<Permission> {
    this.#settled = true;
    return this.#passage.admit(facts);
  }

  dial(address: Address, via?: string): Promise<Duplex> {
    return this.#passage.dial(address, via);
  }

  refused(facts: Facts, error: SidecarError): Promise<void> {
    return this.#passage.refused(facts, error);
  }

  passed(bytes: number): void {
    this.#passage.passed(bytes);
  }

  async confirm(program: readonly string[], question: string, seconds: number): Promise<boolean> {
    const { confirmations } = this.#options.handler.parts;
    const uncount = confirmations.begin(this.service, CONFIRMATIONS_MAX);
    if (uncount === undefined) {
      this.warn('a confirmation is taken as a no: too many wait for an answer');
      return false;
    }
    try {
      return await confirm({ program, question, seconds }, this.signal);
    } catch (error) {
      if (!(error instanceof CannotAsk)) throw error;
      this.#log.warn({ ...this.#named, error }, 'a confirmation is taken as a no');
      return false;
    } finally {
      uncount();
    }
  }

  working(): void {
    if (this.#working) return;
    this.#working = true;
    this.#binding.metrics.ended('ok', undefined, this.#seconds);
  }

  warn(message: string): void {
    this.#log.warn(this.#named, message);
  }

  /** Runs the connector's conversation. Resolves when all of it is over and closed; never rejects. */
  async run(): Promise<void> {
    let end: RelayEnd;
    try {
      end = await this.#lead();
    } catch (thrown) {
      end = { error: asSidecarError(thrown), bytesUp: 0, bytesDown: 0 };
    }
    this.#over = true;
    const error = end.error ?? this.#revoked ?? this.#cutBy();
    this.#permissions.endAll(error);
    if (end.error !== undefined) this.#report(end.error);
    if (this.#permissions.count > 0) this.#note(end, error);
    for (const timer of this.#timers) clearTimeout(timer);
    const flushMs = this.signal.aborted ? LINGER_MS : FLUSH_MS;
    // Whatever still waits for anything, a passage of another service perhaps, is over too.
    this.#abort.abort(error ?? new SidecarError('downstream-closed'));
    await Promise.all([...this.#upstreams, this.downstream].map((stream) => letEnd(stream, flushMs)));
  }

  /** Ends as soon as nothing is in progress. */
  endSoon(reason: SidecarError): void {
    this.#ending.abort(reason);
  }

  /** True once its permission has ended. */
  get revoked(): boolean {
    return this.#revoked !== undefined;
  }

  /** Its permission has ended: work in progress gets `graceSeconds`. */
  revoke(reason: SidecarError, graceSeconds: number): void {
    this.#revoked = reason;
    this.endSoon(reason);
    this.stopAfter(reason, graceSeconds);
  }

  /** Ends with the time, whatever is in progress. */
  stopAfter(reason: SidecarError, seconds: number): void {
    this.#timers.push(setTimeout(() => this.#stop(reason), seconds * 1000));
  }

  /** Ends at once. */
  cut(reason: SidecarError): void {
    this.#stop(reason);
    this.#destroy();
  }

  /** Whether all that it was permitted would be permitted now. */
  isPermitted(handler: RelayHandler | undefined): boolean {
    const { service, connector } = this.#binding;
    const now = handler?.bindings.find((each) => each.service === service && each.connector === connector);
    if (handler === undefined || now === undefined) return false;
    // Whoever has proven who it is need not be the one that the listener belongs to.
    const { agent, attested } = this.#principal;
    const same = attested === 'listener' ? now.principal.agent === agent : now.instance.knows?.(agent) !== false;
    if (!same) return false;
    const { policy } = handler.parts;
    return this.#permissions
      .requests()
      .every((request) => handler.relays.has(request.service) && policy.permits(request));
  }

  #makeJourney(): Journey {
    const { id, handler, current, refusal } = this.#options;
    const principal = (): Principal => this.#principal;
    return {
      id,
      signal: this.#abort.signal,
      permissions: this.#permissions,
      get principal() {
        return principal();
      },
      parts: (): RelayParts => (current() ?? handler).parts,
      refuseIfOver: () => {
        if (refusal !== undefined) throw refusal;
        this.#abort.signal.throwIfAborted();
      },
      refuseIfRevoked: () => {
        if (this.#revoked !== undefined) throw this.#revoked;
      },
      way: (service) => handler.relays.get(service),
      keep: (upstream, closed) => this.#keep(upstream, closed),
    };
  }

  #lead(): Promise<RelayEnd> {
    const abandoned = new Promise<never>((_, reject) => (this.#abandon = reject));
    return Promise.race([this.#binding.instance.relay(this), abandoned]);
  }

  #keep(upstream: Duplex, closed: () => void): void {
    const gone = (): void => {
      this.#upstreams.delete(upstream);
      closed();
    };
    upstream.on('error', () => upstream.destroy());
    upstream.once('close', gone);
    this.#upstreams.add(upstream);
    if (upstream.closed) gone();
    if (!this.#over && !this.signal.aborted) return;
    upstream.destroy();
    this.signal.throwIfAborted();
  }

  /** The connector must end; what it leaves open is closed a moment later. */
  #stop(reason: SidecarError): void {
    if (this.#over || this.signal.aborted) return;
    this.#abort.abort(reason);
    const abandon = (): void => this.#abandon(new SidecarError('internal', { detail: 'the connector did not end' }));
    this.#timers.push(
      setTimeout(() => this.#destroy(), LINGER_MS),
      setTimeout(abandon, ABANDON_MS),
    );
  }

  /** Why the sidecar ended it; undefined where the downstream did. */
  #cutBy(): SidecarError | undefined {
    const { aborted, reason } = this.signal as { aborted: boolean; reason: unknown };
    return aborted && reason instanceof SidecarError && reason.code !== 'downstream-closed' ? reason : undefined;
  }

  #destroy(): void {
    for (const upstream of this.#upstreams) upstream.destroy();
    this.downstream.destroy();
  }

  #refuseIfSettled(): void {
    if (this.#settled) throw new SidecarError('internal', { detail: 'policy was asked already' });
  }

  get #seconds(): number {
    return (performance.now() - this.#begun) / 1000;
  }

  get #named(): { readonly id: string; readonly service: string } {
    return { id: this.id, service: this.service };
  }

  get #log(): RelayParts['log'] {
    return this.#options.handler.parts.log;
  }

  #report(error: SidecarError): void {
    if (!this.#working) this.#binding.metrics.ended(outcomeOf(error), undefined, this.#seconds);
    const fields = { ...this.#named, error };
    const mild = error.fault === 'downstream' || error.fault === 'policy';
    if (mild) this.#log.info(fields, this.#working ? 'connection ended' : 'login refused');
    else this.#log.warn(fields, this.#working ? 'connection failed' : 'login failed');
  }

  #note({ bytesUp, bytesDown }: RelayEnd, error: SidecarError | undefined): void {
    const { handler, listener } = this.#options;
    handler.parts.ledger.note({
      type: 'connection.closed',
      ...this.#passage.use({}),
      listener,
      result: error === undefined || this.#working ? 'allow' : 'error',
      reason: error?.code,
      exchanges: this.#permissions.count,
      bytesUp,
      bytesDown,
      ms: Math.round(performance.now() - this.#begun),
    });
  }
}

/** Lets what was written go out, for `flushMs` at most, and the other side end for a moment. */
async function letEnd(stream: Duplex, flushMs: number): Promise<void> {
  if (stream.destroyed) return;
  const closed = new Promise<void>((resolve) => void stream.once('close', () => resolve()));
  const destroy = (): void => void stream.destroy();
  let timer = setTimeout(destroy, stream.writableFinished ? LINGER_MS : flushMs);
  stream.once('finish', () => {
    clearTimeout(timer);
    timer = setTimeout(destroy, LINGER_MS);
  });
  stream.end();
  // Reading on for a moment keeps the reset for unread bytes from overtaking the last words.
  stream.resume();
  await closed;
  clearTimeout(timer);
}
