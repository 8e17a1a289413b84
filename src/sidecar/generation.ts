import type { Interception } from '../certificate/interception.ts';
import type { Config } from '../config/config.ts';
import { openEgress, openTunnelling, type OpenedEgress } from './egress.ts';
import type { Tunnelling } from '../egress/binding.ts';
import { endpointsOf, type ConnectionParts, type Counting, type Endpoint } from './endpoints.ts';
import { openService, type OpenedService, type OpeningParts } from './opening.ts';
import { openWayOut, type WayOut } from './way-out.ts';

/** The parts that outlive a configuration. */
export interface GenerationParts extends Omit<OpeningParts, 'wayOut'> {
  readonly context: ConnectionParts;
  /** Absent where nobody will be served. */
  readonly interception?: () => Promise<Interception>;
}

/**
 * Everything one configuration opened. A reload builds the next one whole; this one is retired and closes itself
 * after the last exchange, login or relay that began with it.
 */
export class Generation {
  readonly config: Config;
  /** By address as written. */
  readonly endpoints: ReadonlyMap<string, Endpoint>;
  readonly #opened: readonly { close(): Promise<void> }[];
  readonly #closeStores: () => Promise<void>;
  #running = 0;
  #retired: (() => void) | undefined;

  private constructor(
    config: Config,
    opened: readonly OpenedService[],
    egress: OpenedEgress | undefined,
    parts: { readonly context: ConnectionParts; readonly tunnelling: Tunnelling; readonly wayOut: WayOut },
    closeStores: () => Promise<void>,
  ) {
    this.config = config;
    const { wayOut, ...serving } = parts;
    this.#opened = egress === undefined ? [...opened, wayOut] : [...opened, egress, wayOut];
    this.#closeStores = closeStores;
    this.endpoints = endpointsOf(opened, egress, { ...serving, counting: this.#counting() });
  }

  /** Opens every service, or none. Errors: those of the providers that hold client keys and tokens. */
  static async open(config: Config, parts: GenerationParts, closeStores: () => Promise<void>): Promise<Generation> {
    const opened: OpenedService[] = [];
    try {
      const wayOut = openWayOut(config.egress, parts.store);
      const { context } = parts;
      for (const service of config.services) opened.push(await openService(service, config, { ...parts, wayOut }));
      const egress = config.egress && (await openEgress(config, config.egress, { ...parts, wayOut }));
      const tunnelling = egress?.tunnelling ?? openTunnelling({ ...parts, wayOut });
      return new Generation(config, opened, egress, { context, tunnelling, wayOut }, closeStores);
    } catch (thrown) {
      await Promise.all(opened.map((service) => service.close()));
      await closeStores();
      throw thrown;
    }
  }

  /** Resolves when the last user has left and everything is closed: with relays, that may be days. */
  async retire(): Promise<void> {
    if (this.#running > 0) await new Promise<void>((resolve) => (this.#retired = resolve));
    await Promise.all(this.#opened.map((service) => service.close()));
    await this.#closeStores();
  }

  #counting(): Counting {
    return {
      enter: () => {
        this.#running += 1;
      },
      leave: () => {
        this.#running -= 1;
        if (this.#running === 0) this.#retired?.();
      },
    };
  }
}
