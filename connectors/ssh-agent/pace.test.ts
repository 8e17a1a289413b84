import { SidecarError } from 'secretless-sidecar/connector';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Pace } from './pace.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function paced() {
  const ending = new AbortController();
  const end = vi.fn<(error: SidecarError | undefined, isAtRest: boolean) => void>();
  const pace = new Pace({ headerSeconds: 10, idleSeconds: 3, ending: ending.signal }, end);
  return { pace, end, ending };
}

test('a request that has begun has its own time, however short a rest may be', () => {
  const { pace, end } = paced();
  pace.waits(false);
  pace.works();
  pace.waits(false);
  vi.advanceTimersByTime(2_000);
  pace.waits(true);
  vi.advanceTimersByTime(9_000);
  expect(end).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1_000);
  expect(end).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: 'login-timeout' }), false);
});

test('what was awaited in time is not held against what comes later', () => {
  const { pace, end } = paced();
  for (let part = 0; part < 5; part += 1) pace.waits(true);
  pace.works();
  // A person may take longer than a request may.
  vi.advanceTimersByTime(60_000);
  expect(end).not.toHaveBeenCalled();
  pace.waits(false);
  pace.waits(false);
  pace.works();
  vi.advanceTimersByTime(60_000);
  expect(end).not.toHaveBeenCalled();
});

test('once closed it ends nothing', () => {
  const { pace, end, ending } = paced();
  pace.waits(false);
  pace.close();
  ending.abort(new SidecarError('draining'));
  vi.advanceTimersByTime(60_000);
  expect(end).not.toHaveBeenCalled();
});
