import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll } from 'vitest';
import { keepArtefact } from '../canary.ts';
import { environment, ledgerLines, type LedgerLine } from '../process-rig.ts';

const ENTRY = fileURLToPath(new URL('../../src/cli/secretless.ts', import.meta.url));
/** As the scripts of package.json run it. */
const NODE_OPTIONS = ['--max-semi-space-size=4', '--conditions=secretless-source'] as const;
const PATIENCE_MS = 60_000;
/** The program that `run` is given: it tells what it was given, and stays until it is let go. */
const STAYS = `process.stdout.write(JSON.stringify(process.env) + '\\n'); process.stdin.resume().on('end', () => process.exit())`;

/** What a shell under `secretless run` has: clients that are started in it get its environment and nothing else. */
export interface Shell {
  /** State folder of the sidecar beside it. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Of the egress listener. */
  readonly port: number;
  /** PEM of the authority that the sidecar issues certificates with. */
  readonly ca: string;
  readonly ledger: () => LedgerLine[];
  /** Of the process that the sidecar runs in, now. */
  readonly residentBytes: () => number;
}

export interface ShellOptions {
  /** Text of the configuration. */
  readonly text: string;
  /** What the sidecar has and the shell must not. */
  readonly env: Readonly<Record<string, string>>;
}

/** One shell for all tests of a file, begun once the hooks before it are over. */
export function useShell(options: () => ShellOptions): () => Shell {
  let running: { readonly shell: Shell; stop(): Promise<void> } | undefined;
  beforeAll(async () => {
    running = await start(options());
  }, PATIENCE_MS);
  afterAll(async () => running?.stop(), PATIENCE_MS);
  return () => running!.shell;
}

async function start({ text, env }: ShellOptions): Promise<{ shell: Shell; stop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'sl-'));
  const file = join(folder, 'secretless.yml');
  const log = join(folder, 'log.jsonl');
  writeFileSync(file, text, { mode: 0o600 });
  const words = ['run', '-f', file, '--log', log, '--', process.execPath, '-e', STAYS];
  const child = spawn(process.execPath, [...NODE_OPTIONS, ENTRY, ...words], {
    env: environment(folder, env),
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd: folder,
  });
  const told = await firstLine(child);
  const given = JSON.parse(told) as Record<string, string>;
  const shell: Shell = {
    folder,
    env: given,
    port: Number(new URL(given['HTTPS_PROXY']!).port),
    ca: readFileSync(join(folder, 'egress-ca.pem'), 'utf8'),
    ledger: () => ledgerLines(folder),
    residentBytes: () => 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]),
  };
  return {
    shell,
    async stop() {
      const ended = child.exitCode === null ? once(child, 'close') : undefined;
      child.stdin.end();
      const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
      await ended;
      clearTimeout(timer);
      keepArtefact('stdout', told);
      for (const name of readdirSync(folder).filter((each) => each.includes('.jsonl'))) {
        keepArtefact('ledger', readFileSync(join(folder, name)));
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function firstLine(child: ChildProcess): Promise<string> {
  let out = '';
  let err = '';
  child.stderr!.setEncoding('utf8').on('data', (chunk: string) => (err += chunk));
  return new Promise((resolve, reject) => {
    const give = (why: string) => () => reject(new Error(`${why}, it printed:\n${err.slice(-3000)}`));
    const timer = setTimeout(give('the program under `run` did not begin'), PATIENCE_MS);
    child.once('close', give('`run` ended'));
    child.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
      out += chunk;
      if (!out.includes('\n')) return;
      clearTimeout(timer);
      resolve(out.slice(0, out.indexOf('\n')));
    });
  });
}

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly input?: string;
}

/** A program to its end, in at most a minute. */
export async function runProgram(words: readonly string[], { env, cwd, input }: RunOptions): Promise<Ran> {
  const [program, ...args] = words;
  const child = spawn(program!, args, { env, cwd, stdio: ['pipe', 'pipe', 'pipe'], timeout: 60_000 });
  child.stdin.on('error', () => undefined);
  // Some take the end of their input for a wish to end.
  if (input === undefined) child.stdin.end();
  else child.stdin.write(input);
  const chunks = { out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (chunks.out += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (chunks.err += chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  keepArtefact('command', `${chunks.out}\n${chunks.err}`);
  return { code, ...chunks };
}
