import { setTimeout as pause } from 'node:timers/promises';

/** How the sidecar of a pod is ended; absent: as any other program, at once and within `limits.drain`. */
export type PodSidecar = 'native' | 'plain';

/**
 * Kubernetes gives a pod 30 s from SIGTERM to SIGKILL unless it says otherwise; what is left is for closing and for the
 * ledger.
 */
const END_SECONDS = 25;
/** A plain sidecar serves on for so long at most after SIGTERM, which the agents got with it. */
const LINGER_SECONDS = 20;
/** Agents that come back sooner, for a last report, are served. */
const QUIET_SECONDS = 3;
const LOOK_MS = 100;

/** Whether the end was asked for, by whomever. */
export class Ending {
  readonly begun: Promise<void>;
  /** Aborted where whoever asked does not want to wait for agents. */
  readonly #hurried = new AbortController();
  #resolve!: () => void;
  #isBegun = false;

  constructor() {
    this.begun = new Promise((resolve) => (this.#resolve = resolve));
  }

  get hurried(): AbortSignal {
    return this.#hurried.signal;
  }

  /** False where it had begun already. `patient`: agents may still have work. */
  begin({ patient = false } = {}): boolean {
    const first = !this.#isBegun;
    this.#isBegun = true;
    if (!patient) this.#hurried.abort();
    this.#resolve();
    return first;
  }
}

/** What ends as a pod does. */
export interface Ended {
  /** Open downstream connections. */
  readonly connections: number;
  drain(secondsMax?: number): Promise<void>;
}

/**
 * The end of a sidecar, once it was asked for. `native`: Kubernetes ends it after every agent, so that it drains at
 * once. `plain`: SIGTERM came to the agents at the same moment, so that it goes on, new connections included, until
 * there has been none for a while.
 */
export async function endAs(
  kind: PodSidecar | undefined,
  sidecar: Ended,
  { hurried }: Ending,
  lingering: (seconds: number) => void,
): Promise<void> {
  if (kind === undefined) return sidecar.drain();
  const from = performance.now();
  if (kind === 'plain' && !hurried.aborted) {
    lingering(LINGER_SECONDS);
    await linger(sidecar, hurried);
  }
  await sidecar.drain(END_SECONDS - (performance.now() - from) / 1000);
}

async function linger(sidecar: Ended, hurried: AbortSignal): Promise<void> {
  const from = performance.now();
  let quietSince = from;
  for (;;) {
    const now = performance.now();
    if (sidecar.connections > 0) quietSince = now;
    if (hurried.aborted || now - quietSince >= QUIET_SECONDS * 1000 || now - from >= LINGER_SECONDS * 1000) return;
    await pause(LOOK_MS, undefined, { signal: hurried }).catch(() => undefined);
  }
}
