import type { Metric, Registry } from 'prom-client';
import type { Family } from './families.ts';

export interface Exposition {
  readonly contentType: string;
  readonly text: string;
}

/**
 * Writes families in the Prometheus text format through a registry of our own. prom-client is loaded by the first
 * scrape: a sidecar that nobody scrapes pays neither its start nor its memory.
 */
export class Exposer {
  readonly #families: readonly Family[];
  #registry: Promise<Registry> | undefined;

  constructor(families: readonly Family[]) {
    this.#families = families;
  }

  async scrape(): Promise<Exposition> {
    this.#registry ??= openRegistry(this.#families);
    const registry = await this.#registry;
    return { contentType: registry.contentType, text: await registry.metrics() };
  }
}

async function openRegistry(families: readonly Family[]): Promise<Registry> {
  const { Registry } = await import('prom-client');
  const registry = new Registry();
  for (const family of families) registry.registerMetric(collected(family));
  return registry;
}

/** The part of a metric that a registry calls: `get` at each scrape. */
function collected(family: Family): Metric {
  const { name, help, type } = family;
  const metric = {
    name,
    help,
    type,
    get: async () => ({ name, help, type, values: await family.samples(), aggregator: 'sum' }),
    reset: () => undefined,
  };
  return metric as unknown as Metric;
}
