import { createHash, randomUUID } from 'node:crypto';
import type { Interception } from '../certificate/interception.ts';
import { formatListenAddress, type Config } from '../config/config.ts';
import type { Connector } from '../connector/connector.ts';
import type { SecretStore } from '../credential/store.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import { openLedger, type Ledger } from '../ledger/ledger.ts';
import { Policy } from '../policy/policy.ts';
import { RateWindows } from '../policy/rate.ts';
import type { RelayParts } from '../relay/binding.ts';
import type { StreamParts } from '../stream/binding.ts';
import { Recollections } from '../stream/recollections.ts';
import { Tally } from '../upstream/tally.ts';
import { openTelemetryServer, type HealthStatus, type TelemetryServer } from '../telemetry/health.ts';
import type { Log } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { openControl, type Control } from './control.ts';
import { EgressAuthority } from './egress-authority.ts';
import { Generation } from './generation.ts';
import { Listeners } from './listeners.ts';
import { prepareSocketPath } from './socket-path.ts';
import type { SidecarStatus } from './state.ts';

/** The stores of one configuration. */
export interface Stores {
  of(from: string): SecretStore;
  close(): Promise<void>;
}

export interface SidecarOptions {
  readonly version: string;
  readonly file: string;
  /** Reads and validates the file anew. Errors: `config-invalid`, after the problems were reported. */
  readonly load: () => Config;
  /** Where the sidecar's own host key is kept. */
  readonly stateFolder: string;
  readonly connectors: readonly Connector[];
  readonly openStores: (providers: Config['providers']) => Stores;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Where the files go that make clients trust the authority of `egress`; absent: nowhere. */
  readonly trust?: { readonly folder: string; readonly environment: Readonly<Record<string, string | undefined>> };
  /** Called with each configuration that takes effect. */
  readonly onConfig?: (config: Config) => void;
  /** Called when the control socket is asked to stop. */
  readonly onStopRequested: () => void;
}

/** What outlives reloads: no rate is reset, no cancel lost, no connection counted twice. */
interface Lasting
  extends
    Pick<StreamParts, 'recollections' | 'upstreams' | 'localIdentity'>,
    Pick<RelayParts, 'confirmations' | 'hostKey'> {
  readonly rates: RateWindows;
  readonly authority: EgressAuthority;
}

/** For closing what the exchanges used, once all of them are over. */
const CLOSE_SECONDS = 2;

/** The running sidecar: starts whole, reloads whole or not at all, drains. */
export class Sidecar {
  readonly #options: SidecarOptions;
  readonly #id = randomUUID();
  readonly #startedAt = new Date();
  readonly #lasting: Lasting;
  readonly #ledger: Ledger;
  readonly #listeners: Listeners;
  #generation: Generation;
  /** Those before it that are still in use. */
  readonly #retiring = new Set<Promise<void>>();
  #loadedAt = new Date();
  #telemetry: TelemetryServer | undefined;
  #control: Control | undefined;
  #opened = false;
  #reloading: Promise<void> = Promise.resolve();
  #draining: Promise<void> | undefined;

  private constructor(options: SidecarOptions, ledger: Ledger, lasting: Lasting, generation: Generation) {
    this.#options = options;
    this.#lasting = lasting;
    this.#ledger = ledger;
    this.#generation = generation;
    this.#listeners = new Listeners(options.log, options.metrics);
    options.metrics.watchLedger(() => ({ up: ledger.health.ok, lagEvents: ledger.health.lag }));
  }

  /**
   * Starts everything or nothing: no port is open before the whole configuration is good and the ledger can record.
   * Errors: `config-invalid`, `ledger-unavailable`, `address-unavailable`, those of providers.
   */
  static async start(options: SidecarOptions): Promise<Sidecar> {
    const config = options.load();
    // Another sidecar on this state folder answers here: said before its ledger is touched.
    await prepareSocketPath(config.control.socket);
    const ledger = await openLedger({
      ...config.ledger,
      onHealth: (health) =>
        health.ok
          ? options.log.info({}, 'the ledger records again')
          : options.log.error({ reason: health.reason }, 'the ledger cannot record: new uses are refused'),
    });
    const lasting: Lasting = {
      rates: new RateWindows(),
      recollections: new Recollections(),
      upstreams: new Tally(),
      confirmations: new Tally(),
      localIdentity: once(() =>
        import('../certificate/self-signed.ts').then(({ issueSelfSigned }) => issueSelfSigned()),
      ),
      authority: new EgressAuthority(options.stateFolder, options.log),
      hostKey: once(() => import('./host-key.ts').then(({ hostKey }) => hostKey(options.stateFolder))),
    };
    let sidecar: Sidecar | undefined;
    try {
      sidecar = new Sidecar(options, ledger, lasting, await openGeneration(options, config, ledger, lasting));
      const opening = sidecar.#open(config);
      // The control socket answers before the listeners do: a reload that it takes in between waits its turn.
      sidecar.#reloading = opening.catch(() => undefined);
      await opening;
      return sidecar;
    } catch (thrown) {
      if (sidecar !== undefined) await sidecar.#closeAll();
      await ledger.close().catch(() => undefined);
      throw thrown;
    }
  }

  async #open(config: Config): Promise<void> {
    const { log, metrics, version } = this.#options;
    this.#options.onConfig?.(config);
    await this.#ledger.record({ type: 'sidecar.started', id: this.#id, version, services: config.services.length });
    this.#control = await openControl({
      path: config.control.socket,
      log,
      handlers: {
        status: () => this.status(),
        stop: () => this.#options.onStopRequested(),
        reload: () => this.reload(),
      },
    });
    const added = await this.#listeners.open(this.#generation);
    this.#listeners.commit(this.#generation, added);
    if (config.telemetry.listenOn !== undefined) {
      const address = config.telemetry.listenOn;
      if (address.kind === 'unix') await prepareSocketPath(address.path);
      this.#telemetry = await openTelemetryServer({ address, metrics, status: () => this.health(), log });
    }
    this.#opened = true;
  }

  /**
   * Takes the file's present content. Whole or not at all: on any error the old configuration runs on.
   * Errors: as `start`, and `config-invalid` where a part changed that only a restart can change.
   */
  reload(): Promise<void> {
    const next = this.#reloading.then(() => this.#reload());
    this.#reloading = next.catch(() => undefined);
    return next;
  }

  async #reload(): Promise<void> {
    const { log, metrics } = this.#options;
    if (this.#draining !== undefined) throw new SidecarError('draining');
    let generation: Generation | undefined;
    try {
      const config = this.#options.load();
      refuseFixedChanges(this.#generation.config, config);
      generation = await openGeneration(this.#options, config, this.#ledger, this.#lasting);
      const added = await this.#listeners.open(generation);
      const old = this.#generation;
      this.#generation = generation;
      this.#loadedAt = new Date();
      this.#listeners.commit(generation, added);
      this.#retire(old);
      this.#options.onConfig?.(config);
      metrics.reloaded('ok');
      const services = config.services.length;
      this.#ledger.note({ type: 'config.reloaded', id: this.#id, result: 'ok', services });
      log.info({ file: this.#options.file, services }, 'configuration reloaded');
    } catch (thrown) {
      const error = asSidecarError(thrown);
      if (generation !== undefined) await generation.retire();
      metrics.reloaded('failed');
      this.#ledger.note({ type: 'config.reloaded', id: this.#id, result: 'error', reason: error.code });
      log.error({ file: this.#options.file, error }, 'reload refused, the old configuration runs on');
      throw error;
    }
  }

  #retire(old: Generation): void {
    const retired = old
      .retire()
      .catch((error: unknown) => this.#options.log.warn({ error }, 'closing the old configuration failed'))
      .finally(() => this.#retiring.delete(retired));
    this.#retiring.add(retired);
  }

  /** Open downstream connections of all listeners. */
  get connections(): number {
    return this.#listeners.connections;
  }

  /**
   * Stops accepting, lets running work end within `limits.drainSeconds`, or `secondsMax` where that is less, then cuts
   * what is left. Never rejects.
   */
  drain(secondsMax = Number.POSITIVE_INFINITY): Promise<void> {
    this.#draining ??= this.#drain(secondsMax);
    return this.#draining;
  }

  async #drain(secondsMax: number): Promise<void> {
    const { log } = this.#options;
    const drainSeconds = Math.min(this.#generation.config.limits.drainSeconds, secondsMax);
    log.info({ drainSeconds, connections: this.#listeners.connections }, 'draining');
    await this.#reloading;
    const inTime = await this.#listeners.drain(drainSeconds);
    if (!inTime) log.warn({ drainSeconds }, 'the time to drain is over, connections were cut');
    this.#ledger.note({ type: 'sidecar.stopped', id: this.#id, reason: inTime ? 'drained' : 'cut' });
    await this.#closeAll();
    const closed = this.#ledger
      .close()
      .catch((error: unknown) => log.error({ error }, 'the end of the ledger is lost'));
    await Promise.race([closed, afterSeconds(CLOSE_SECONDS)]);
    log.info({}, 'stopped');
  }

  async #closeAll(): Promise<void> {
    this.#listeners.close();
    // Everything was cut, so this takes a moment; whatever may hold it must not hold the end of the process.
    await Promise.race([Promise.all([this.#generation.retire(), ...this.#retiring]), afterSeconds(CLOSE_SECONDS)]);
    await this.#telemetry?.close();
    await this.#control?.close();
  }

  /** Live while the listeners accept; ready while new uses would be served. */
  health(): HealthStatus {
    const reasons: string[] = [];
    const { ok, reason } = this.#ledger.health;
    if (!this.#opened) reasons.push('starting');
    if (this.#draining !== undefined) reasons.push('draining');
    if (!ok) reasons.push(`the ledger cannot record: ${reason ?? 'unknown reason'}`);
    const deaf = this.#listeners.deaf();
    for (const address of deaf) reasons.push(`${address} does not accept`);
    return { live: this.#draining === undefined && deaf.length === 0, ready: reasons.length === 0, reasons };
  }

  status(): SidecarStatus {
    const { config } = this.#generation;
    const { ok, reason, lag } = this.#ledger.health;
    const { ready, reasons } = this.health();
    return {
      version: this.#options.version,
      pid: process.pid,
      startedAt: this.#startedAt.toISOString(),
      ready,
      reasons,
      config: {
        file: this.#options.file,
        loadedAt: this.#loadedAt.toISOString(),
        fingerprint: fingerprintOf(config),
      },
      listeners: this.#listeners.status(),
      services: config.services.map(({ name, connector, agent }) => ({ name, connector, agent })),
      ledger: {
        file: config.ledger.file,
        ok,
        seq: this.#ledger.tip.seq,
        lag,
        ...(reason === undefined ? {} : { reason }),
      },
      telemetry: this.#telemetry === undefined ? {} : { address: formatListenAddress(this.#telemetry.address) },
    };
  }
}

async function openGeneration(
  options: SidecarOptions,
  config: Config,
  ledger: Ledger,
  { rates, authority, ...shared }: Lasting,
): Promise<Generation> {
  const interception = authority.under(config.egress?.ca);
  // Clients are told of its certificate before the first of them connects.
  if (config.egress !== undefined) await tellClients(await interception(), options.trust);
  const stores = options.openStores(config.providers);
  const policy = new Policy(config.rules, { rates });
  const context = { policy, ledger, log: options.log, now: () => new Date(), ...shared };
  const store = (from: string): SecretStore => stores.of(from);
  const { connectors, metrics } = options;
  const parts = { connectors, context, metrics, store, fetchKeys: true, interception };
  return Generation.open(config, parts, () => stores.close());
}

async function tellClients({ certificate }: Interception, trust: SidecarOptions['trust']): Promise<void> {
  if (trust === undefined) return;
  const { shareTrust } = await import('./shared-trust.ts');
  await shareTrust(trust.folder, certificate, trust.environment);
}

/** Makes something at its first use; where that fails, the next use tries again. */
function once<Made>(make: () => Promise<Made>): () => Promise<Made> {
  let made: Promise<Made> | undefined;
  return () =>
    (made ??= make().catch((thrown: unknown) => {
      made = undefined;
      throw thrown;
    }));
}

function afterSeconds(seconds: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, seconds * 1000).unref());
}

/** What is bound for the life of the process. */
function refuseFixedChanges(old: Config, next: Config): void {
  const fixed = {
    ledger: [old.ledger, next.ledger],
    control: [old.control, next.control],
    'telemetry.listenOn': [old.telemetry.listenOn, next.telemetry.listenOn],
    'limits.headerBytes': [old.limits.headerBytes, next.limits.headerBytes],
  };
  for (const [key, [before, after]] of Object.entries(fixed)) {
    if (JSON.stringify(before) === JSON.stringify(after)) continue;
    throw new SidecarError('config-invalid', { detail: `\`${key}\` changes only at a restart` });
  }
}

/** Literals do not enter: a hash of them could be guessed. */
function fingerprintOf(config: Config): string {
  return createHash('sha256').update(JSON.stringify(config, withoutLiterals)).digest('hex').slice(0, 12);
}

function withoutLiterals(_key: string, value: unknown): unknown {
  if (typeof value === 'object' && value !== null && 'from' in value && value.from === 'literal') return 'literal';
  return value;
}
