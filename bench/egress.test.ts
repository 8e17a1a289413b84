import { beforeAll, describe, expect, test } from 'vitest';
import { measureEgress, runEgressBench } from './egress.ts';
import { parseEgressOptions, PHASES, type Sizes } from './egress/options.ts';
import { reportText } from './egress/report.ts';
import type { EgressResult } from './egress/result.ts';
import { CAN_READ_USAGE } from './harness/usage.ts';

/** Nothing here judges speed: the figures of a moment this short mean nothing. */
const TINY: Sizes = {
  rounds: 1,
  seconds: 0.3,
  warmSeconds: 0.1,
  connections: 2,
  perSecond: 40,
  openers: 2,
  streams: 3,
  messages: 20,
  bodyMib: 2,
  leaves: 5,
};

describe('a whole run', () => {
  let result: EgressResult;

  beforeAll(async () => {
    const options = { sizes: TINY, phases: PHASES, json: false, source: true, withMitmproxy: false, nodeFlags: [] };
    result = await measureEgress(options, () => undefined);
  }, 120_000);

  test('every request, message, handshake and byte gets through every target', () => {
    const { loads, bodies, failures } = result;
    expect([...loads, ...bodies].filter(({ firstFailure }) => firstFailure !== undefined)).toEqual([]);
    expect(failures).toBe(0);
    expect(loads.filter(({ exchanges }) => exchanges === 0)).toEqual([]);
    const named = loads.filter(({ target }) => target !== 'mitmproxy').map(({ kind, target }) => `${kind} ${target}`);
    expect(named).toEqual([
      ...['latency', 'messages', 'requests', 'streams'].flatMap((kind) => [`${kind} direct`, `${kind} sidecar`]),
      ...['handshakes direct', 'handshakes sidecar', 'handshakes sidecar, untouched'],
    ]);
    const moved = bodies.filter(({ target }) => target !== 'mitmproxy').map(({ way, target }) => `${way} ${target}`);
    expect(moved).toEqual(
      ['up', 'down'].flatMap((way) => ['direct', 'sidecar', 'sidecar, untouched'].map((target) => `${way} ${target}`)),
    );
  });

  test('every bar is judged, and CPU is counted where the system tells it', () => {
    expect(result.bars).toHaveLength(5);
    expect(result.bars.filter(({ met }) => met === undefined)).toEqual([]);
    const ours = [...result.loads, ...result.bodies].filter(({ target }) => target === 'sidecar');
    if (CAN_READ_USAGE) {
      expect(ours.every((row) => ('way' in row ? row.cpuSecondsPerGib : row.cpuMicros) !== undefined)).toBe(true);
    }
  });

  test('the report names every measurement and every bar', () => {
    const text = reportText(result, TINY);
    const titles = ['40 requests/s', 'messages of gRPC', 'HTTP/1.1', 'HTTP/2', 'new tunnels', '2 MiB', '5 names'];
    for (const words of titles) expect(text).toContain(words);
    for (const { bar } of result.bars) expect(text).toContain(bar);
  });
});

test('an unknown flag, phase or number of rounds is refused', async () => {
  expect(() => parseEgressOptions(['--only', 'speed'])).toThrow('--only speed: there are latency');
  expect(() => parseEgressOptions(['--rounds', '0'])).toThrow('not a whole number above 0');
  expect(await runEgressBench(['--fast'])).toBe(64);
});

test('the flags choose phases and rounds', () => {
  const { phases, sizes, withMitmproxy } = parseEgressOptions([
    ...['--only', 'latency,leaves', '--rounds', '7', '--rate', '90', '--with-mitmproxy'],
  ]);
  expect([phases, sizes.rounds, sizes.perSecond, withMitmproxy]).toEqual([['latency', 'leaves'], 7, 90, true]);
});
