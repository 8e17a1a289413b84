import { SidecarError } from '../error.ts';

/**
 * Runs `work` with a signal that ends when `outer` does, or after `seconds` with `upstream-unreachable`; `what` goes into
 * its detail. `work` must end when its signal does.
 */
export async function within<Result>(
  seconds: number,
  outer: AbortSignal,
  what: string,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const inner = new AbortController();
  const late = (): void =>
    inner.abort(new SidecarError('upstream-unreachable', { detail: `${what}: not within ${seconds} s` }));
  const abort = (): void => inner.abort(abortError(outer));
  if (outer.aborted) throw abortError(outer);
  outer.addEventListener('abort', abort);
  const timer = setTimeout(late, seconds * 1000);
  try {
    return await work(inner.signal);
  } finally {
    clearTimeout(timer);
    outer.removeEventListener('abort', abort);
  }
}

/** `work`, or the reason of `signal` where that ends first: what cannot be stopped goes on, and is not waited for. */
export async function unlessAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  const over = Promise.withResolvers<never>();
  const abort = (): void => over.reject(abortError(signal));
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort);
  try {
    return await Promise.race([work, over.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** What a wait ends with once `signal` is aborted. */
export function abortError(signal: AbortSignal): SidecarError {
  const { reason } = signal as { reason: unknown };
  return reason instanceof SidecarError ? reason : new SidecarError('downstream-closed');
}
