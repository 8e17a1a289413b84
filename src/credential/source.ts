import { SidecarError } from '../error.ts';
import { Grant } from '../policy/request.ts';
import { AgentSource } from './agent-source.ts';
import type { BreakerOptions } from './breaker.ts';
import type { Clock } from './clock.ts';
import type { FetchObservation } from './flight.ts';
import type { CredentialSource, Lease } from './lease.ts';
import type { SecretStore } from './store.ts';

export interface Reference {
  readonly from: string;
  readonly get: string;
  /** Which one of what the fetch brings, where that is several. */
  readonly field?: string;
}

export interface SourceOptions {
  readonly service: string;
  /** By credential name. */
  readonly references: Readonly<Record<string, Reference>>;
  /** The store of a provider name; called at the first use of that name. */
  readonly store: (from: string) => SecretStore;
  /** Seconds that a fetched value may serve later leases; 0: fetched afresh for each use. */
  readonly cacheSeconds: number;
  /** Seconds that one fetch may take. */
  readonly timeoutSeconds: number;
  readonly clock?: Clock;
  /** Told of each fetch that ended, never of a cached answer. */
  readonly onFetch?: (observation: FetchObservation) => void;
  readonly breaker?: BreakerOptions;
}

/** Agents of one service whose credentials are kept apart at a time. */
export const AGENTS_MAX = 1000;

/**
 * Sends each grant to the credentials of its agent, where a store fetches for one agent alone, and else to those that
 * all agents share. A fetch that fails for one agent, and the pause after it, stay with that agent.
 */
class ServiceSource implements CredentialSource {
  readonly #options: SourceOptions;
  readonly #shared: AgentSource;
  /** The one used longest ago is the first. */
  readonly #agents = new Map<string, AgentSource>();
  #perAgent: boolean | undefined;
  #closed = false;

  constructor(options: SourceOptions) {
    this.#options = options;
    this.#shared = new AgentSource(options);
  }

  lease(grant: Grant, signal: AbortSignal): Promise<Lease> {
    // What is no grant of this service is refused there, before its agent counts for anything.
    if (this.#closed || !Grant.isGenuine(grant) || grant.service !== this.#options.service || !this.#isPerAgent()) {
      return this.#shared.lease(grant, signal);
    }
    const own = this.#sourceOf(grant.principal.agent);
    return own === undefined ? Promise.reject(tooManyAgents()) : own.lease(grant, signal);
  }

  forget(version: string): void {
    this.#shared.forget(version);
    for (const own of this.#agents.values()) own.forget(version);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const agents = [...this.#agents.values()];
    this.#agents.clear();
    await Promise.all([this.#shared, ...agents].map((source) => source.close()));
  }

  /** Asked at the first lease, since the stores open at their first use. */
  #isPerAgent(): boolean {
    try {
      return (this.#perAgent ??= this.#shared.perAgent);
    } catch {
      // A store that does not open refuses the fetch, with its own error.
      return false;
    }
  }

  #sourceOf(agent: string): AgentSource | undefined {
    const known = this.#agents.get(agent);
    if (known !== undefined) {
      this.#agents.delete(agent);
      this.#agents.set(agent, known);
      return known;
    }
    if (this.#agents.size >= AGENTS_MAX && !this.#closeOneIdle()) return undefined;
    const own = new AgentSource(this.#options, agent);
    this.#agents.set(agent, own);
    return own;
  }

  #closeOneIdle(): boolean {
    for (const [agent, source] of this.#agents) {
      if (!source.idle) continue;
      this.#agents.delete(agent);
      void source.close();
      return true;
    }
    return false;
  }
}

function tooManyAgents(): SidecarError {
  const detail = `${AGENTS_MAX} agents wait for credentials of their own`;
  return new SidecarError('credential-unavailable', { detail, retryAfterSeconds: 1 });
}

/** The credentials of one service. Close it before the stores it uses. */
export function openSource(options: SourceOptions): CredentialSource {
  return new ServiceSource(options);
}
