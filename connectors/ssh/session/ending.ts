import { type SidecarError } from 'secretless-sidecar/connector';
import type { SessionWatcher } from './watcher.ts';

/** For a client to leave by itself once its last channel is over: it would take a farewell for a failure. */
const REST_MS = 2_000;

export interface EndingOptions {
  readonly watcher: SessionWatcher;
  /** At once. */
  readonly signal: AbortSignal;
  /** As soon as no channel is open. */
  readonly ending: AbortSignal;
  /** Without anything asked for or carried; 0: no limit. */
  readonly idleSeconds: number;
  /** The reason of a signal; undefined where nobody was active for too long. */
  readonly leave: (reason: SidecarError | undefined) => void;
}

/** Ends a connection when it must be over, when it should be and may, or when nothing happens. Returns: stops watching. */
export function watchEnding({ watcher, signal, ending, idleSeconds, leave }: EndingOptions): () => void {
  const stop = new AbortController();
  let resting: NodeJS.Timeout | undefined;
  const once = { signal: stop.signal, once: true };
  const cut = (): void => leave(signal.reason as SidecarError);
  const retire = (): void => {
    const reason = ending.reason as SidecarError;
    const leaveIfAtRest = (): void => {
      if (watcher.openChannels === 0) leave(reason);
    };
    watcher.retire(reason);
    watcher.onRest = (): void => {
      clearTimeout(resting);
      resting = setTimeout(leaveIfAtRest, REST_MS).unref();
    };
    leaveIfAtRest();
  };
  const idle = watchIdle(watcher, idleSeconds, () => leave(undefined));
  signal.addEventListener('abort', cut, once);
  ending.addEventListener('abort', retire, once);
  if (signal.aborted) cut();
  else if (ending.aborted) retire();
  return () => {
    stop.abort();
    clearTimeout(resting);
    clearInterval(idle);
  };
}

/** Looks often enough that the limit is kept to a quarter. */
function watchIdle(watcher: SessionWatcher, seconds: number, isIdle: () => void): NodeJS.Timeout | undefined {
  if (seconds <= 0) return undefined;
  let seen = watcher.activity;
  let since = performance.now();
  const look = (): void => {
    const { activity } = watcher;
    const now = performance.now();
    if (activity !== seen) since = now;
    else if (now - since >= seconds * 1000) isIdle();
    seen = activity;
  };
  return setInterval(look, Math.max(10, (seconds * 1000) / 4)).unref();
}
