import { beforeAll, describe, expect, test } from 'vitest';
import { CAN_READ_USAGE } from './harness/usage.ts';
import { measureSsh, runSshBench } from './ssh.ts';
import { parseSshOptions, PHASES, type Sizes } from './ssh/options.ts';
import { reportText } from './ssh/report.ts';
import type { SshResult } from './ssh/result.ts';
import { missingPrograms } from './ssh/server.ts';

/** Nothing here judges speed: the figures of a moment this short mean nothing. */
const TINY: Sizes = { copyMib: 2, rounds: 1, connections: 1, stoppedSeconds: 0.2, signatures: 5 };

describe.skipIf(missingPrograms().length > 0)('a whole run', () => {
  let result: SshResult;

  beforeAll(async () => {
    const options = { sizes: TINY, phases: PHASES, json: false, source: true, nodeFlags: [] };
    result = await measureSsh(options, () => undefined);
  }, 240_000);

  test('every byte, connection and signature gets through every target', () => {
    const { copies, latency, stopped, agent, failures } = result;
    const rows = [...copies, ...latency, ...stopped, ...agent];
    expect(rows.filter(({ firstFailure }) => firstFailure !== undefined)).toEqual([]);
    expect(failures).toBe(0);
    const targets = new Set(latency.map(({ target }) => target));
    expect([...targets]).toEqual(expect.arrayContaining(['direct', 'sidecar']));
    expect(copies.map(({ cipher, way, target }) => `${cipher} ${way} ${target}`)).toEqual(
      ['gcm', 'chacha'].flatMap((cipher) =>
        ['down', 'up'].flatMap((way) => [...targets].map((target) => `${cipher} ${way} ${target}`)),
      ),
    );
    expect(agent.map(({ target }) => target)).toEqual([...targets]);
  });

  test('every bar is judged where the system tells what processes use, those of the addon where it is there', () => {
    expect(result.bars).toHaveLength(11);
    const missing = result.notes.some((note) => note.includes('npm run addon'));
    const unjudged = result.bars.filter(({ met }) => met === undefined).map(({ bar }) => bar);
    if (CAN_READ_USAGE) expect(unjudged.every((bar) => missing && bar.endsWith('CPU with the addon'))).toBe(true);
  });

  test('the report names every measurement and every bar', () => {
    const text = reportText(result);
    for (const words of ['2 MiB of zeros', 'ssh host true', 'grants 2 GiB', 'signatures of ssh-agent'])
      expect(text).toContain(words);
    for (const { bar } of result.bars) expect(text).toContain(bar);
  });
});

test('an unknown flag, phase or number of rounds is refused', async () => {
  expect(() => parseSshOptions(['--only', 'speed'])).toThrow('--only speed: there are copies');
  expect(() => parseSshOptions(['--rounds', '0'])).toThrow('not a whole number above 0');
  expect(await runSshBench(['--fast'])).toBe(64);
});

test('the flags choose phases, rounds and size', () => {
  const { phases, sizes } = parseSshOptions(['--only', 'copies,agent', '--rounds', '7', '--mib', '3']);
  expect([phases, sizes.rounds, sizes.copyMib]).toEqual([['copies', 'agent'], 7, 3]);
});
