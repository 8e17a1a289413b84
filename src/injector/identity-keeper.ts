import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../telemetry/log.ts';
import { readKept, writeKept } from './kept-secret.ts';
import { Overtaken, type ClusterObjects, type ConfigurationObject } from './kubernetes/objects.ts';
import { authoritiesOf, nextStep, type Kept, type Step, type Times } from './rotation.ts';
import { makeServingIdentity, type ServingIdentity } from './serving-identity.ts';

export interface KeeperOptions {
  /** Name that API servers call the webhook by: `<service>.<namespace>.svc`. */
  readonly host: string;
  readonly times: Times;
  readonly objects: ClusterObjects;
  readonly log: Log;
  /** Called with what is to be served from now on. API servers were told of its authority. */
  readonly onIdentity: (identity: ServingIdentity) => void;
  /** Called after each round that failed. */
  readonly onFailure: () => void;
}

const ATTEMPTS_MAX = 8;
const RETRY_MS = 50;
/** The shares of the time between rounds by which replicas drift apart. */
const JITTER = 0.2;

/**
 * Keeps a certificate in a Secret that all replicas share, and its authority in the webhook configuration. No replica
 * leads: each does what is due, and where two do, the API server lets one of them through and the other reads again.
 */
export class IdentityKeeper {
  readonly #options: KeeperOptions;
  /** The next authority, and when this replica first saw that API servers were told of it. */
  #trusted: { readonly authority: string; readonly atMs: number } | undefined;
  #served: string | undefined;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** Goes on until `signal`. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const isDone = await this.#tried(signal);
      const pause = isDone || this.#served !== undefined ? this.#options.times.pollMs : RETRY_MS * 20;
      const drifted = pause * (1 + JITTER * (Math.random() - 0.5));
      await sleep(drifted, undefined, { signal }).catch(() => undefined);
    }
  }

  async #tried(signal: AbortSignal): Promise<boolean> {
    try {
      await this.round(signal);
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      this.#options.onFailure();
      this.#options.log.warn({ error }, 'the certificate could not be looked after');
      return false;
    }
  }

  /** Does all that is due. Errors: those of the API. */
  async round(signal: AbortSignal): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#attempt(signal);
      } catch (error) {
        if (!(error instanceof Overtaken) || attempt === ATTEMPTS_MAX) throw error;
        await sleep(Math.random() * RETRY_MS * attempt, undefined, { signal });
      }
    }
  }

  async #attempt(signal: AbortSignal): Promise<void> {
    const { objects, host, times, log, onIdentity } = this.#options;
    // Before the Secret: a bundle that is written over this very version can then lack nothing that is in the Secret.
    const configuration = await objects.readConfiguration(signal);
    const secret = await objects.readSecret(signal);
    const now = new Date();
    const found = readKept(secret?.data ?? {}, host, now);
    const step = nextStep(found, this.#trustedMs(found, configuration), now, times);
    const kept = await this.#kept(step, found, now);
    if (step !== 'none') {
      await objects.writeSecret(secret, writeKept(kept), signal);
      log.info({ step, until: kept.current.validUntil }, 'certificate');
    }
    const bundle = encoded(kept);
    if (!hasBundle(configuration, bundle)) await objects.writeBundle(configuration, bundle, signal);
    if (this.#served === kept.current.certificate) return;
    onIdentity(kept.current);
    this.#served = kept.current.certificate;
  }

  async #kept(step: Step, found: Kept | undefined, now: Date): Promise<Kept> {
    const { host, times } = this.#options;
    const make = (): Promise<ServingIdentity> => makeServingIdentity(host, times.lifeMs, now);
    switch (step) {
      case 'begin':
        return { current: await make() };
      case 'prepare':
        return { ...found!, next: await make() };
      case 'promote':
        return { current: found!.next!, before: found!.current.authority };
      case 'none':
        return found!;
      default:
        return step satisfies never;
    }
  }

  /** How long this replica has seen that API servers know the next authority. */
  #trustedMs(found: Kept | undefined, configuration: ConfigurationObject): number | undefined {
    const authority = found?.next?.authority;
    if (authority === undefined || !hasBundle(configuration, encoded(found!))) {
      this.#trusted = undefined;
      return undefined;
    }
    const nowMs = performance.now();
    if (this.#trusted?.authority !== authority) this.#trusted = { authority, atMs: nowMs };
    return nowMs - this.#trusted.atMs;
  }
}

function encoded(kept: Kept): string {
  return Buffer.from(authoritiesOf(kept).join(''), 'latin1').toString('base64');
}

function hasBundle({ webhooks = [] }: ConfigurationObject, bundle: string): boolean {
  return webhooks.every(({ clientConfig }) => clientConfig.caBundle === bundle);
}
