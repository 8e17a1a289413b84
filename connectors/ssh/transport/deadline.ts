import { SshError } from './ssh-error.ts';
import type { Transport } from './transport.ts';

/**
 * Ends `transport` unless `work` is done in time, or when `signal` says so. Rejects with whatever ended it first.
 */
export async function withDeadline<Result>(
  transport: Transport,
  seconds: number,
  signal: AbortSignal | undefined,
  work: Promise<Result>,
): Promise<Result> {
  const late = (): void =>
    transport.disconnect(new SshError('timeout', 'the login took too long'), 'login took too long');
  const aborted = (): void => transport.disconnect(new SshError('aborted', 'the login was given up'));
  const timer = setTimeout(late, seconds * 1000);
  signal?.addEventListener('abort', aborted);
  if (signal?.aborted === true) aborted();
  const ended = transport.closed.then((error) => Promise.reject(error));
  try {
    return await Promise.race([work, ended]);
  } catch (error) {
    const reason =
      error instanceof SshError ? error : new SshError('aborted', 'the login failed here', { cause: error });
    transport.disconnect(reason, 'login failed');
    throw reason;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', aborted);
    // One of the two lost the race and may reject later.
    ended.catch(() => undefined);
    work.catch(() => undefined);
  }
}
