import type { LimitsConfig } from '../config/config.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Endpoint } from './endpoints.ts';
import { httpLimits, loadFronts, openFront, type Front } from './fronts.ts';
import type { Generation } from './generation.ts';
import { Listener } from './listener.ts';
import type { ListenerStatus } from './state.ts';

interface Slot {
  readonly listener: Listener;
  /** Replaced where a reload gives the address to another kind of connector. */
  serving: Front;
  /** Replaced at a reload; the listener and its connections stay. */
  endpoint: Endpoint;
  /** True once no configuration has the address any more. */
  gone: boolean;
}

/** All listeners of the sidecar, across reloads: an address that stays keeps accepting without a gap. */
export class Listeners {
  readonly #log: Log;
  readonly #metrics: Metrics;
  readonly #slots = new Map<string, Slot>();
  /** Removed by a reload, with work still running; true where that ends in time. */
  readonly #leaving = new Map<Listener, Promise<boolean>>();

  constructor(log: Log, metrics: Metrics) {
    this.#log = log;
    this.#metrics = metrics;
  }

  get connections(): number {
    const listeners = [...[...this.#slots.values()].map(({ listener }) => listener), ...this.#leaving.keys()];
    return listeners.reduce((sum, { connections }) => sum + connections, 0);
  }

  /**
   * Binds the addresses that a generation adds; those it shares with the present one are left alone. Nothing is
   * served on the new ones before `commit`. Binds all or none. Errors: `address-unavailable`.
   */
  async open(generation: Generation): Promise<Map<string, Slot>> {
    const added = new Map<string, Slot>();
    await loadFronts([...generation.endpoints.values()].map(({ kind }) => kind));
    try {
      for (const [key, endpoint] of generation.endpoints) {
        if (!this.#slots.has(key)) added.set(key, await this.#bind(key, endpoint, generation.config.limits));
      }
      return added;
    } catch (thrown) {
      for (const { listener } of added.values()) listener.close();
      throw thrown;
    }
  }

  /** Switches to a generation in one step, and lets the listeners go that it does not have. */
  commit(generation: Generation, added: ReadonlyMap<string, Slot>): void {
    for (const [key, slot] of this.#slots) {
      const endpoint = generation.endpoints.get(key);
      if (endpoint === undefined) {
        this.#slots.delete(key);
        slot.gone = true;
        this.#letGo(slot.listener, generation.config.limits.drainSeconds);
      } else {
        if (slot.endpoint.socketMode !== endpoint.socketMode) this.#changeMode(slot.listener, endpoint.socketMode);
        slot.endpoint = endpoint;
        this.#refit(key, slot, generation.config.limits);
        slot.listener.limit(generation.config.limits.connections, generation.config.limits.keepAliveSeconds);
      }
    }
    for (const [key, slot] of added) {
      this.#slots.set(key, slot);
      slot.listener.begin();
    }
  }

  /** Drains all; false where the time was over first and connections were cut. */
  async drain(seconds: number): Promise<boolean> {
    const staying = [...this.#slots.values()].map(({ listener }) => drainWithin(listener, seconds));
    const leaving = [...this.#leaving].map(([listener, gone]) => goneWithin(listener, gone, seconds));
    return (await Promise.all([...staying, ...leaving])).every(Boolean);
  }

  /** Cuts everything. */
  close(): void {
    for (const { listener } of this.#slots.values()) listener.close();
    for (const listener of this.#leaving.keys()) listener.close();
  }

  /** Addresses that should accept and do not. */
  deaf(): string[] {
    return [...this.#slots.values()]
      .filter(({ listener }) => !listener.accepting)
      .map(({ listener }) => listener.address);
  }

  status(): ListenerStatus[] {
    return [...this.#slots.values()].map(({ listener, endpoint }) => ({
      address: listener.address,
      services: endpoint.services,
      connections: listener.connections,
      ...(endpoint.kind === 'egress' ? { egress: endpoint.handler.mode } : {}),
    }));
  }

  async #bind(key: string, endpoint: Endpoint, limits: LimitsConfig): Promise<Slot> {
    const serving = openFront(key, endpoint, limits, this.#metrics, () => (slot.gone ? undefined : slot.endpoint));
    const listener = await Listener.open(
      {
        address: endpoint.address,
        connectionsMax: limits.connections,
        silentSeconds: limits.keepAliveSeconds,
        socketMode: endpoint.socketMode,
        metrics: this.#metrics.listener(key),
        log: this.#log,
      },
      serving.front,
    );
    const slot: Slot = { listener, serving, endpoint, gone: false };
    return slot;
  }

  /** After the endpoint of a slot was replaced: new limits, or a new front. */
  #refit(key: string, slot: Slot, limits: LimitsConfig): void {
    const { serving, endpoint } = slot;
    if (serving.kind === 'http' && endpoint.kind === 'http') {
      serving.front.limit(httpLimits(endpoint, limits));
    } else if (serving.kind === 'tunnel' && endpoint.kind === 'tunnel') {
      serving.front.limit(httpLimits(endpoint, limits));
      serving.front.recheck();
    } else if (serving.kind === 'egress' && endpoint.kind === 'egress') {
      serving.front.limit(httpLimits(endpoint, limits));
      serving.front.recheck();
    } else if (serving.kind === 'stream' && endpoint.kind === 'stream') {
      serving.front.limit(limits);
      serving.front.recheck();
    } else if (serving.kind === 'relay' && endpoint.kind === 'relay') {
      serving.front.limit(limits);
      serving.front.recheck();
    } else {
      slot.serving = openFront(key, endpoint, limits, this.#metrics, () => (slot.gone ? undefined : slot.endpoint));
      slot.listener.replace(slot.serving.front);
    }
  }

  #changeMode(listener: Listener, mode: number): void {
    listener.setMode(mode).catch((error: unknown) => {
      this.#log.error({ listener: listener.address, error }, 'the mode of the socket could not be changed');
    });
  }

  #letGo(listener: Listener, seconds: number): void {
    const gone = drainWithin(listener, seconds);
    this.#leaving.set(listener, gone);
    void gone.then(() => this.#leaving.delete(listener));
  }
}

function drainWithin(listener: Listener, seconds: number): Promise<boolean> {
  return goneWithin(
    listener,
    listener.drain().then(() => true),
    seconds,
  );
}

/** Cuts what is left of a draining listener when the time is over; then it is false. */
async function goneWithin(listener: Listener, gone: Promise<boolean>, seconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), seconds * 1000);
  });
  const inTime = await Promise.race([gone, late]);
  clearTimeout(timer);
  if (!inTime) listener.close();
  return inTime;
}
