import type { ServingIdentity } from './serving-identity.ts';

/** What all replicas share. */
export interface Kept {
  readonly current: ServingIdentity;
  /** Made already and trusted soon, so that it can be served later. */
  readonly next?: ServingIdentity;
  /** Authority (PEM) of the one before: replicas that have not heard yet still serve it. */
  readonly before?: string;
}

export interface Times {
  /** How long a certificate is good for. */
  readonly lifeMs: number;
  /** How long the API servers have known the next authority before its certificate is served. */
  readonly settleMs: number;
  /** How often a replica looks. */
  readonly pollMs: number;
}

const LIFE_SHARE_OF_POLL = 1 / 300;
const LIFE_SHARE_OF_SETTLE = 1 / 30;
const POLL_MS = { min: 100, max: 60_000 };
const SETTLE_MS_MAX = 600_000;

export function timesOf(lifeMs: number): Times {
  const pollMs = Math.min(POLL_MS.max, Math.max(POLL_MS.min, lifeMs * LIFE_SHARE_OF_POLL));
  return { lifeMs, pollMs, settleMs: Math.min(SETTLE_MS_MAX, lifeMs * LIFE_SHARE_OF_SETTLE) };
}

export type Step =
  /** Nothing that could be served is kept. */
  | 'begin'
  /** Make the next one, trusted from now on, served later. */
  | 'prepare'
  /** Serve the next one. */
  | 'promote'
  | 'none';

/**
 * What is to be done at `now`, where the API servers have been told of the next authority `trustedMs` ago (absent: they
 * were not). At two thirds of its life a certificate gets a successor, whose authority is trusted beside the old one
 * first; only then it is served.
 */
export function nextStep(kept: Kept | undefined, trustedMs: number | undefined, now: Date, times: Times): Step {
  if (kept === undefined || kept.current.validUntil <= now) return 'begin';
  const { current, next } = kept;
  if (next === undefined) {
    const renewAt = current.validUntil.getTime() - times.lifeMs / 3;
    return now.getTime() >= renewAt ? 'prepare' : 'none';
  }
  if (next.validUntil <= now) return 'prepare';
  return trustedMs !== undefined && trustedMs >= times.settleMs ? 'promote' : 'none';
}

/** The authorities (PEM) that API servers must trust, the oldest first. */
export function authoritiesOf({ current, next, before }: Kept): readonly string[] {
  return [
    ...(before === undefined ? [] : [before]),
    current.authority,
    ...(next === undefined ? [] : [next.authority]),
  ];
}
