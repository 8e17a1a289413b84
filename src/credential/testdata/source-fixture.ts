import { SidecarError } from '../../error.ts';
import { Grant } from '../../policy/request.ts';
import { FakeStore } from './fake-store.ts';
import type { FetchObservation } from '../flight.ts';
import type { Secret } from '../secret.ts';
import { openSource, type SourceOptions } from '../source.ts';
import { VirtualClock } from './virtual-clock.ts';

export const never = new AbortController().signal;
const TOKEN = { token: { from: 'fake', get: 'id' } };

export function grantFor(service: string): Grant {
  const principal = { agent: 'local', attested: 'listener' } as const;
  return Grant.issue({ service, connector: 'http', principal, facts: {} }, undefined);
}
export const grant = grantFor('api');

/** A source over one fake store, on a clock of the test's own. */
export function open(options: Partial<SourceOptions> = {}) {
  const store = new FakeStore();
  const clock = new VirtualClock();
  const observations: FetchObservation[] = [];
  const source = openSource({
    service: 'api',
    references: TOKEN,
    store: () => store,
    cacheSeconds: 0,
    timeoutSeconds: 5,
    clock,
    onFetch: (observation) => observations.push(observation),
    ...options,
  });
  const lease = (signal = never) => source.lease(grant, signal);
  return { store, clock, observations, source, lease };
}

export function textOf(secret: Secret): string {
  return secret.expose((bytes) => bytes.toString());
}

export async function errorOf(promise: Promise<unknown>): Promise<SidecarError> {
  const thrown = await promise.then(() => undefined).catch((error: unknown) => error);
  if (thrown instanceof SidecarError) return thrown;
  throw new Error('expected a SidecarError', { cause: thrown });
}
