import { beforeAll, describe, expect, test } from 'vitest';
import { findPostgres } from '../src/cli/demo/postgres-binaries.ts';
import { CAN_READ_USAGE } from './harness/usage.ts';
import { measurePostgres, runPostgresBench } from './postgres.ts';
import { missingClients } from './postgres/clients.ts';
import { parsePostgresOptions, PHASES, TRANSPORTS, type Sizes } from './postgres/options.ts';
import { reportText } from './postgres/report.ts';
import type { PostgresResult } from './postgres/result.ts';
import { SERVER_VERSION } from './postgres/server.ts';

/** Nothing here judges speed: the figures of a moment this short mean nothing. */
const TINY: Sizes = {
  rounds: 1,
  length: ['-t', 10],
  warm: ['-t', 2],
  scale: 1,
  copyRows: 2_000,
  copyRounds: 1,
  idleConnections: 12,
  churnConnections: 10,
  churnWarm: 2,
  settleSeconds: 0.05,
};

const missing = [...missingClients(), ...(typeof (await findPostgres(SERVER_VERSION)) === 'string' ? [] : ['server'])];

describe.skipIf(missing.length > 0)('a whole run', () => {
  let result: PostgresResult;

  beforeAll(async () => {
    const options = { sizes: TINY, phases: PHASES, transports: TRANSPORTS, json: false, source: true, free: false };
    result = await measurePostgres({ ...options, nodeFlags: [] }, () => undefined);
  }, 240_000);

  test('every client gets through every target, plain and over TLS, and every row of COPY arrives', () => {
    expect(result.failures).toBe(0);
    const rows = [...result.transactions, ...result.copies];
    expect(rows.filter(({ firstFailure }) => firstFailure !== undefined)).toEqual([]);
    for (const transport of TRANSPORTS) {
      const own = result.transactions.filter((row) => row.transport === transport);
      for (const load of ['select', 'select8', 'tpcb', 'connect']) {
        const names = own.filter((row) => row.load === load && row.transactions >= 10).map(({ target }) => target);
        expect({ transport, load, names }).toMatchObject({ names: expect.arrayContaining(['direct', 'sidecar']) });
      }
      for (const way of ['out', 'in']) {
        const names = result.copies.filter((row) => row.transport === transport && row.way === way);
        expect(names.map(({ target }) => target)).toEqual(expect.arrayContaining(['direct', 'sidecar']));
      }
    }
  });

  test('connections that rest and connections one after another are all counted', () => {
    expect(result.idle.map(({ transport, connections }) => [transport, connections])).toEqual([
      ['plain', TINY.idleConnections],
      ['tls', TINY.idleConnections],
    ]);
    expect(result.churn.map(({ failures, connections }) => [failures, connections])).toEqual([
      [0, TINY.churnConnections],
      [0, TINY.churnConnections],
    ]);
  });

  test('every bar is judged where the system tells what processes use and pgbouncer is installed', () => {
    expect(result.bars).toHaveLength(18);
    const unmet = result.bars.filter(({ met }) => met === undefined);
    if (result.notes.some((note) => note.startsWith('pgbouncer was skipped')))
      expect(unmet.every(({ bar }) => bar.endsWith('over pgbouncer'))).toBe(true);
    else if (CAN_READ_USAGE) expect(unmet).toEqual([]);
  });

  test('the report names every measurement and every bar', () => {
    const text = reportText(result);
    for (const words of ['select-only, prepared, 8 clients', 'TPC-B', 'a connection for each', 'COPY in', 'that rest'])
      expect(text).toContain(words);
    for (const { bar } of result.bars) expect(text).toContain(bar);
  });
});

test('an unknown flag, phase, transport or number of rounds is refused', async () => {
  expect(() => parsePostgresOptions(['--only', 'speed'])).toThrow('--only speed: there are select');
  expect(() => parsePostgresOptions(['--transport', 'udp'])).toThrow('--transport udp: there are plain, tls');
  expect(() => parsePostgresOptions(['--rounds', '0'])).toThrow('not a whole number above 0');
  expect(await runPostgresBench(['--fast'])).toBe(64);
});

test('the flags choose phases, transports and rounds', () => {
  const { phases, transports, sizes } = parsePostgresOptions([
    '--seconds',
    '2',
    '--only',
    'idle,copy',
    '--transport',
    'tls',
    '--rounds',
    '7',
  ]);
  expect(phases).toEqual(['idle', 'copy']);
  expect(transports).toEqual(['tls']);
  expect([sizes.rounds, sizes.copyRounds, sizes.length]).toEqual([7, 7, ['-T', 2]]);
});
