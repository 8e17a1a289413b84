import { afterEach, expect, test, vi } from 'vitest';
import { endAs, Ending } from './ending.ts';

afterEach(() => void vi.restoreAllMocks());

/** A sidecar with as many connections as `connections` says each time; what its drain was given. */
function sidecarOf(connections: () => number) {
  const drained: (number | undefined)[] = [];
  const sidecar = {
    get connections() {
      return connections();
    },
    drain(secondsMax?: number) {
      drained.push(secondsMax);
      return Promise.resolve();
    },
  };
  return { sidecar, drained };
}

/** Time that runs so many times faster. */
function hasten(times: number): void {
  const from = performance.now();
  const now = performance.now.bind(performance);
  vi.spyOn(performance, 'now').mockImplementation(() => from + (now() - from) * times);
}

const nothing = (): void => undefined;

test('outside a pod the limits alone say how long the end takes', async () => {
  const { sidecar, drained } = sidecarOf(() => 1);
  await endAs(undefined, sidecar, new Ending(), nothing);
  expect(drained).toEqual([undefined]);
});

test('a native sidecar drains at once, within what Kubernetes gives', async () => {
  const { sidecar, drained } = sidecarOf(() => 1);
  await endAs('native', sidecar, new Ending(), () => expect.unreachable());
  expect(drained).toHaveLength(1);
  expect(drained[0]).toBeLessThanOrEqual(25);
  expect(drained[0]).toBeGreaterThan(24);
});

test('a plain sidecar that nobody leaves goes on for 20 s, and drains in what is left', async () => {
  hasten(40);
  const { sidecar, drained } = sidecarOf(() => 1);
  const told: number[] = [];
  const from = performance.now();
  await endAs('plain', sidecar, new Ending(), (seconds) => told.push(seconds));
  expect(told).toEqual([20]);
  expect(performance.now() - from).toBeGreaterThanOrEqual(20_000);
  expect(drained[0]).toBeLessThanOrEqual(5);
});

test('a plain sidecar that everybody left goes on for 3 s, counted anew when somebody comes back', async () => {
  hasten(20);
  const from = performance.now();
  const { sidecar, drained } = sidecarOf(() => (performance.now() - from < 4000 ? 1 : 0));
  await endAs('plain', sidecar, new Ending(), nothing);
  expect(performance.now() - from).toBeGreaterThanOrEqual(5000);
  expect(drained[0]).toBeGreaterThan(5);
});

test('whoever asks without patience is not kept waiting, before or after', async () => {
  const { sidecar, drained } = sidecarOf(() => 1);
  const before = new Ending();
  expect(before.begin()).toBe(true);
  await endAs('plain', sidecar, before, () => expect.unreachable());
  const after = new Ending();
  expect(after.begin({ patient: true })).toBe(true);
  const ended = endAs('plain', sidecar, after, nothing);
  expect(after.begin()).toBe(false);
  await ended;
  expect(drained).toHaveLength(2);
  expect(drained[1]).toBeGreaterThan(20);
});
