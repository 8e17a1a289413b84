import type { Fault, SidecarError } from '../error.ts';
import { Exposer, type Exposition } from './exposition.ts';
import { Children, Distribution, type Family, type Sample } from './families.ts';
import { processFamilies } from './process-families.ts';

/** How an exchange ended. A fixed set, so that no client can make series. */
export const OUTCOMES = ['ok', 'denied', 'provider', 'downstream', 'upstream', 'config', 'internal'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Outcome of an exchange that `error` ended: who must act, `denied` where policy said no. */
export function outcomeOf(error: Pick<SidecarError, 'fault'>): Outcome {
  const fault: Fault = error.fault;
  return fault === 'policy' ? 'denied' : fault;
}

/** Resolved once per service and kept, so that an exchange costs additions only. */
export interface ServiceMetrics {
  /** Seconds; undefined where the exchange did not get that far. */
  ended(outcome: Outcome, upstreamSeconds?: number, addedSeconds?: number): void;
  /** Another connection was asked for by a key that it gave out: a cancel. */
  recalled(outcome: Recall): void;
}

/** `unknown`: no living connection has the key; `refused`: too many ask at once. */
export const RECALLS = ['found', 'unknown', 'refused'] as const;
export type Recall = (typeof RECALLS)[number];

export interface ListenerMetrics {
  opened(): void;
  closed(): void;
}

/**
 * What became of a request for a tunnel. `intercepted`: it ends here; `spliced`: it passes untouched; `distrusted`: the
 * client did not take our certificate.
 */
export const TUNNEL_OUTCOMES = ['intercepted', 'spliced', 'refused', 'distrusted', 'failed'] as const;
export type TunnelOutcome = (typeof TUNNEL_OUTCOMES)[number];

export interface TunnelMetrics {
  asked(outcome: TunnelOutcome): void;
}

export interface ProviderMetrics {
  fetched(outcome: 'ok' | 'error', seconds: number): void;
}

export interface LedgerHealth {
  readonly up: boolean;
  /** Events accepted but not yet recorded. */
  readonly lagEvents: number;
}

export interface Metrics {
  service(name: string): ServiceMetrics;
  /** `address` as `formatListenAddress` writes it. */
  listener(address: string): ListenerMetrics;
  /** Of a listener that opens tunnels. */
  tunnels(address: string): TunnelMetrics;
  provider(name: string): ProviderMetrics;
  /** Asked at each scrape. */
  watchLedger(read: () => LedgerHealth): void;
  reloaded(outcome: 'ok' | 'failed'): void;
  scrape(): Promise<Exposition>;
}

export interface MetricsOptions {
  readonly version: string;
}

/** Metrics of one sidecar, in a registry of its own. */
export function openMetrics({ version }: MetricsOptions): Metrics {
  const services = new Children(() => new ServiceSeries());
  const listeners = new Children(() => new ListenerSeries());
  const tunnels = new Children(() => new TunnelSeries());
  const providers = new Children(() => new ProviderSeries());
  const reloads = { ok: 0, failed: 0 };
  let readLedger: (() => LedgerHealth) | undefined;
  const ledgerSamples = (value: (health: LedgerHealth) => number): Sample[] =>
    readLedger === undefined ? [] : [{ labels: {}, value: value(readLedger()) }];
  const exposer = new Exposer([
    ...listenerFamilies(listeners),
    family('secretless_tunnels_total', 'counter', 'Requests for a tunnel by what became of them', () =>
      tunnels.samples((listener, { outcomes }) => outcomeSamples({ listener }, outcomes)),
    ),
    ...serviceFamilies(services),
    ...providerFamilies(providers),
    family('secretless_ledger_lag_events', 'gauge', 'Events accepted but not yet recorded', () =>
      ledgerSamples((health) => health.lagEvents),
    ),
    family('secretless_ledger_up', 'gauge', '1 while the ledger can record', () =>
      ledgerSamples((health) => (health.up ? 1 : 0)),
    ),
    family('secretless_reloads_total', 'counter', 'Reloads of the configuration', () => outcomeSamples({}, reloads)),
    family('secretless_build_info', 'gauge', 'Version of this build', () => [{ labels: { version }, value: 1 }]),
    ...processFamilies(),
  ]);
  return {
    service: (name) => services.get(name),
    listener: (address) => listeners.get(address),
    tunnels: (address) => tunnels.get(address),
    provider: (name) => providers.get(name),
    watchLedger: (read) => void (readLedger = read),
    reloaded: (outcome) => void (reloads[outcome] += 1),
    scrape: () => exposer.scrape(),
  };
}

class ServiceSeries implements ServiceMetrics {
  readonly outcomes: Record<Outcome, number> = {
    ok: 0,
    denied: 0,
    provider: 0,
    downstream: 0,
    upstream: 0,
    config: 0,
    internal: 0,
  };
  readonly upstream = new Distribution();
  readonly added = new Distribution();
  readonly recalls: Record<Recall, number> = { found: 0, unknown: 0, refused: 0 };

  ended(outcome: Outcome, upstreamSeconds?: number, addedSeconds?: number): void {
    this.outcomes[outcome] += 1;
    if (upstreamSeconds !== undefined) this.upstream.observe(upstreamSeconds);
    if (addedSeconds !== undefined) this.added.observe(addedSeconds);
  }

  recalled(outcome: Recall): void {
    this.recalls[outcome] += 1;
  }
}

class ListenerSeries implements ListenerMetrics {
  open = 0;
  total = 0;

  opened(): void {
    this.open += 1;
    this.total += 1;
  }

  closed(): void {
    this.open -= 1;
  }
}

class TunnelSeries implements TunnelMetrics {
  readonly outcomes: Record<TunnelOutcome, number> = {
    intercepted: 0,
    spliced: 0,
    refused: 0,
    distrusted: 0,
    failed: 0,
  };

  asked(outcome: TunnelOutcome): void {
    this.outcomes[outcome] += 1;
  }
}

class ProviderSeries implements ProviderMetrics {
  readonly outcomes = { ok: 0, error: 0 };
  readonly seconds = new Distribution();

  fetched(outcome: 'ok' | 'error', seconds: number): void {
    this.outcomes[outcome] += 1;
    this.seconds.observe(seconds);
  }
}

function listenerFamilies(listeners: Children<ListenerSeries>): Family[] {
  return [
    family('secretless_connections', 'gauge', 'Open downstream sockets', () =>
      listeners.samples((listener, { open }) => [{ labels: { listener }, value: open }]),
    ),
    family('secretless_connections_total', 'counter', 'Accepted downstream sockets', () =>
      listeners.samples((listener, { total }) => [{ labels: { listener }, value: total }]),
    ),
  ];
}

function serviceFamilies(services: Children<ServiceSeries>): Family[] {
  const upstream = 'secretless_upstream_seconds';
  const added = 'secretless_added_seconds';
  return [
    family('secretless_exchanges_total', 'counter', 'Exchanges by how they ended', () =>
      services.samples((service, { outcomes }) => outcomeSamples({ service }, outcomes)),
    ),
    family(upstream, 'histogram', 'Time that the upstream took', () =>
      services.samples((service, series) => series.upstream.samples(upstream, { service })),
    ),
    family(added, 'histogram', 'Time that the sidecar added', () =>
      services.samples((service, series) => series.added.samples(added, { service })),
    ),
    family('secretless_recalls_total', 'counter', 'Cancels and the like, by whether their connection lives', () =>
      services.samples((service, { recalls }) => outcomeSamples({ service }, recalls)),
    ),
  ];
}

function providerFamilies(providers: Children<ProviderSeries>): Family[] {
  const seconds = 'secretless_lease_fetch_seconds';
  return [
    family('secretless_lease_fetches_total', 'counter', 'Fetches from providers', () =>
      providers.samples((provider, { outcomes }) => outcomeSamples({ provider }, outcomes)),
    ),
    family(seconds, 'histogram', 'Time of one fetch', () =>
      providers.samples((provider, series) => series.seconds.samples(seconds, { provider })),
    ),
  ];
}

function family(name: string, type: Family['type'], help: string, samples: () => readonly Sample[]): Family {
  return { name, help, type, samples };
}

/** Every outcome from the start, at 0: a rate over a series that appears late would miss its first event. */
function outcomeSamples(labels: Sample['labels'], counts: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(counts).map(([outcome, value]) => ({ labels: { ...labels, outcome }, value }));
}
