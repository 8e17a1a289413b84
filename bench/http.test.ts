import { beforeAll, expect, test } from 'vitest';
import { CAN_READ_USAGE } from './harness/usage.ts';
import { measureHttp, runHttpBench } from './http.ts';
import { PHASES, parseHttpOptions } from './http/options.ts';
import { reportText } from './http/report.ts';
import type { HttpResult } from './http/result.ts';

/** Nothing here judges speed: the figures of a moment this short mean nothing. */
const TINY = {
  rounds: 1,
  seconds: 0.2,
  warmSeconds: 0.1,
  connections: 4,
  perSecond: 100,
  starts: 1,
  idleConnections: 20,
  settleSeconds: 0.05,
  bodyBytes: 4 * 1024 * 1024,
  bodyRounds: 1,
};

let result: HttpResult;

beforeAll(async () => {
  const options = { sizes: TINY, phases: PHASES, json: false, source: true, nodeFlags: [] };
  result = await measureHttp(options, () => undefined);
}, 60_000);

test('every exchange through every target is answered, with the credential that the upstream asks for', () => {
  const rows = [...result.throughput!, ...result.latency!];
  for (const { target, exchanges, failures } of rows)
    expect({ target, failures, any: exchanges > 0 }).toEqual({ target, failures: 0, any: true });
  expect(rows.map(({ target }) => target)).toEqual(
    expect.arrayContaining(['direct', 'sidecar', 'http-proxy-3', 'undici']),
  );
  expect(result.failures).toBe(0);
});

test('bodies arrive whole, both ways', () => {
  expect(result.body!.map(({ way, target, failures }) => `${way} ${target} ${failures}`)).toEqual([
    'up direct 0',
    'up sidecar 0',
    'up undici 0',
    'down direct 0',
    'down sidecar 0',
    'down undici 0',
  ]);
});

test('every bar is judged where the system tells what processes use', () => {
  expect(result.bars).toHaveLength(10);
  if (CAN_READ_USAGE) expect(result.bars.filter(({ met }) => met === undefined)).toEqual([]);
});

test('the report names every measurement and every bar', () => {
  const text = reportText(result, TINY);
  for (const words of [
    'requests/s',
    'added p50',
    'start to ready',
    'idle connections',
    '/undici',
    'CPU/http-proxy-3',
  ]) {
    expect(text).toContain(words);
  }
  for (const { bar } of result.bars) expect(text).toContain(bar);
});

test('an unknown flag, phase or number of rounds is refused', async () => {
  expect(() => parseHttpOptions(['--only', 'speed'])).toThrow('--only speed: there are throughput');
  expect(() => parseHttpOptions(['--rounds', '0'])).toThrow('not a whole number above 0');
  expect(await runHttpBench(['--fast'])).toBe(64);
});

test('the flags choose phases and rounds', () => {
  const { phases, sizes } = parseHttpOptions(['--only', 'start,body', '--rounds', '7']);
  expect(phases).toEqual(['start', 'body']);
  expect([sizes.rounds, sizes.bodyRounds]).toEqual([7, 7]);
});
