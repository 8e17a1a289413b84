import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import type { CpuSet } from '../harness/cpu.ts';
import type { Load } from './result.ts';
import type { Target } from './target.ts';

const run = promisify(execFile);

export interface Client {
  readonly cpus: CpuSet;
  readonly user: string;
  readonly database: string;
}

/** What one run of pgbench tells. */
export interface PgbenchRun {
  readonly transactions: number;
  readonly perSecond: number;
  readonly latencyMs: number;
}

const OUTPUT_BYTES_MAX = 1024 * 1024;

const WORDS: Readonly<Record<Load, readonly string[]>> = {
  select: ['-S', '-M', 'prepared', '-c', '1'],
  select8: ['-S', '-M', 'prepared', '-c', '8'],
  tpcb: ['-M', 'prepared', '-c', '4'],
  connect: ['-S', '-C', '-c', '1'],
};

/** The programs of PostgreSQL's client package that are missing here. */
export function missingClients(): string[] {
  return ['pgbench', 'psql'].filter((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status !== 0);
}

/** One run against a target. Throws what pgbench said where a transaction or a connection failed. */
export async function pgbench(
  client: Client,
  target: Target,
  load: Load,
  length: readonly [string, number],
): Promise<PgbenchRun> {
  return pgbenchFigures(await program(client, target, 'pgbench', ['-n', ...WORDS[load], length[0], String(length[1])]));
}

/** Reads what pgbench prints. Throws where it is not a whole report or counts a failed transaction. */
export function pgbenchFigures(report: string): PgbenchRun {
  const number = (pattern: RegExp): number => {
    const found = pattern.exec(report)?.[1];
    if (found === undefined) throw new Error(`pgbench did not report as expected:\n${report}`);
    return Number(found);
  };
  const failed = Number(/^number of failed transactions: (\d+)/m.exec(report)?.[1] ?? 0);
  if (failed > 0) throw new Error(`${failed} transactions failed`);
  return {
    transactions: number(/^number of transactions actually processed: (\d+)/m),
    perSecond: number(/^tps = ([\d.]+)/m),
    latencyMs: number(/^latency average = ([\d.]+) ms/m),
  };
}

/** Fills pgbench's own tables. */
export async function fillPgbench(client: Client, target: Target, scale: number): Promise<void> {
  await program(client, target, 'pgbench', ['-i', '-q', '-s', String(scale)]);
}

/** Runs commands one after another, each in its own transaction. Throws what psql said where one failed. */
export async function psql(client: Client, target: Target, commands: readonly string[]): Promise<string> {
  const words = ['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', ...commands.flatMap((command) => ['-c', command])];
  return program(client, target, 'psql', words);
}

async function program(
  { cpus, user, database }: Client,
  target: Target,
  name: string,
  words: readonly string[],
): Promise<string> {
  const [file, ...rest] = [...cpus.prefix, name, ...words];
  const env = {
    PATH: process.env['PATH'],
    PGHOST: '127.0.0.1',
    PGPORT: String(target.port),
    PGUSER: user,
    PGDATABASE: database,
    ...target.env,
  };
  const { stdout } = await run(file!, rest, { env, maxBuffer: OUTPUT_BYTES_MAX });
  return stdout;
}
