import { beforeAll, describe, expect, test } from 'vitest';
import { measureAws, runAwsBench } from './aws.ts';
import { judge } from './aws/bars.ts';
import { parseAwsOptions, PHASES, type Sizes } from './aws/options.ts';
import { reportText } from './aws/report.ts';
import { BODY_MODES, CALL_SHAPES } from './aws/requests.ts';
import type { AwsResult } from './aws/result.ts';
import { CAN_READ_USAGE } from './harness/usage.ts';

/** Nothing here judges speed: the figures of a moment this short mean nothing. */
const TINY: Sizes = {
  rounds: 1,
  seconds: 0.2,
  warmSeconds: 0.1,
  connections: [1, 2],
  perSecond: 50,
  rateConnections: 2,
  bodyBytes: 1024 * 1024 + 1,
  bodyRounds: 1,
  signatures: 20,
  signerRounds: 1,
};

describe('a whole run', () => {
  let result: AwsResult;

  beforeAll(async () => {
    const options = { sizes: TINY, phases: PHASES, json: false, source: true, nodeFlags: [] };
    result = await measureAws(options, () => undefined);
  }, 240_000);

  test('every shape of a request is right for a server that verifies', () => {
    expect(result.proven.map(({ shape }) => shape)).toEqual([...CALL_SHAPES, ...BODY_MODES]);
  });

  test('every call and every body through every target is answered', () => {
    expect([...result.calls, ...result.latency].filter(({ failures }) => failures > 0)).toEqual([]);
    expect(result.calls).toHaveLength(CALL_SHAPES.length * TINY.connections.length * 2);
    expect(result.latency).toHaveLength(CALL_SHAPES.length * 2);
    expect(result.bodies.map(({ mode, target, firstFailure }) => [mode, target, firstFailure])).toEqual(
      BODY_MODES.flatMap((mode) => ['direct', 'sidecar'].map((target) => [mode, target, undefined])),
    );
    expect(result.ratePerSecond).toBeLessThanOrEqual(TINY.perSecond);
    expect(result.failures).toBe(0);
  });

  test('every bar is judged where the system tells what processes use', () => {
    expect(result.bars).toHaveLength(7);
    if (CAN_READ_USAGE) expect(result.bars.filter(({ met }) => met === undefined)).toEqual([]);
  });

  test('on a machine whose direct transfer is slower, the speeds of bodies are scaled up to the bar', () => {
    const row = (target: string, speed: number) => ({
      ...result.bodies.find((body) => body.mode === 'chunks' && body.target === target)!,
      mibPerSecond: { median: speed, min: speed, max: speed },
    });
    const barFor = (direct: number) =>
      judge({ ...result, bodies: [row('direct', direct), row('sidecar', 100)] }).find(
        ({ bar }) => bar === 'chunks signed anew',
      );
    expect(barFor(512)).toMatchObject({ measured: '300.00 MiB/s', met: true });
    expect(barFor(3072)).toMatchObject({ measured: '100.00 MiB/s', met: false });
  });

  test('the report names every measurement and every bar', () => {
    const text = reportText(result);
    for (const words of [
      'one signature',
      'as fast as it goes',
      'a second, time from',
      'signed chunks, signed anew',
      'GET',
    ])
      expect(text).toContain(words);
    for (const { bar } of result.bars) expect(text).toContain(bar);
  });
});

test('an unknown flag, phase or number is refused', async () => {
  expect(() => parseAwsOptions(['--only', 'speed'])).toThrow('--only speed: there are signer');
  expect(() => parseAwsOptions(['--rounds', '0'])).toThrow('--rounds 0: not a whole number above 0');
  expect(() => parseAwsOptions(['--rate', 'fast'])).toThrow('--rate fast: not a whole number above 0');
  expect(await runAwsBench(['--fast'])).toBe(64);
});

test('the flags choose phases, rounds, rate and size', () => {
  const { phases, sizes } = parseAwsOptions([
    '--only',
    'signer,bodies',
    '--rounds',
    '7',
    '--rate',
    '500',
    '--mib',
    '3',
  ]);
  expect(phases).toEqual(['signer', 'bodies']);
  expect([sizes.rounds, sizes.bodyRounds, sizes.perSecond, sizes.bodyBytes]).toEqual([7, 7, 500, 3 * 2 ** 20]);
});
