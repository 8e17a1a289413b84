import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll } from 'vitest';
import { keepArtefact } from '../canary.ts';
import { complete, environment, freePorts } from '../process-rig.ts';
import type { Credentials } from './door.ts';

const ENTRY = fileURLToPath(new URL('../../src/cli/secretless.ts', import.meta.url));
/** As the scripts of package.json run it. */
const NODE_OPTIONS = ['--max-semi-space-size=4', '--conditions=secretless-source'] as const;
const PATIENCE_MS = 20_000;

/** One service of the connector `aws`. */
export interface AwsService {
  readonly target: string;
  /** The real ones: they reach the sidecar through its environment, and nobody else. */
  readonly credentials: Credentials;
  readonly config: Readonly<Record<string, unknown>>;
  readonly [key: string]: unknown;
}

/** The real command, running for all tests of a file or a `describe`. */
export interface RunningSidecar {
  readonly url: (service: string) => string;
  readonly port: (service: string) => number;
  readonly printed: () => string;
  /** Events in the ledger so far. */
  readonly events: () => Readonly<Record<string, unknown>>[];
  readonly residentBytes: () => number;
}

/** `services` is asked once what they stand for runs; `rest` is appended to the configuration. */
export function useSidecar(services: () => Readonly<Record<string, AwsService>>, rest = ''): () => RunningSidecar {
  let running: { readonly sidecar: RunningSidecar; stop(): Promise<void> } | undefined;
  beforeAll(async () => {
    running = await start(services(), rest);
  });
  afterAll(async () => running?.stop());
  return () => running!.sidecar;
}

async function start(
  services: Readonly<Record<string, AwsService>>,
  rest: string,
): Promise<{ sidecar: RunningSidecar; stop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'sl-'));
  const names = Object.keys(services);
  const [telemetry, ...free] = await freePorts(names.length + 1);
  const env: Record<string, string> = {};
  const written = names.map((name, at) => [name, oneService(services[name]!, at, free[at]!, env)] as const);
  const file = join(folder, 'secretless.yml');
  const text = `services: ${JSON.stringify(Object.fromEntries(written))}\ntelemetry: { listenOn: tcp://127.0.0.1:${telemetry} }\n`;
  writeFileSync(file, complete(text + rest), { mode: 0o600 });
  const child = spawn(process.execPath, [...NODE_OPTIONS, ENTRY, 'start', '-f', file], {
    env: environment(folder, env),
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: folder,
  });
  const printed = await ready(child);
  const port = (service: string): number => free[names.indexOf(service)]!;
  const ledger = join(folder, 'ledger.jsonl');
  const metrics = async (): Promise<string> => (await fetch(`http://127.0.0.1:${telemetry}/metrics`)).text();
  return {
    sidecar: {
      port,
      url: (service) => `http://127.0.0.1:${port(service)}`,
      printed,
      events: () => linesOf(readFileSync(ledger, 'utf8')),
      residentBytes: () => 1024 * Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]),
    },
    async stop() {
      keepArtefact('metrics', await metrics().catch(() => ''));
      const ended = child.exitCode === null ? once(child, 'close') : undefined;
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
      await ended;
      clearTimeout(timer);
      keepArtefact('stderr', printed());
      keepArtefact('ledger', readFileSync(ledger));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function oneService(service: AwsService, at: number, port: number, env: Record<string, string>): object {
  const credentials = Object.entries(service.credentials).map(([name, value]) => {
    const variable = `AWS_TEST_${at}_${name.toUpperCase()}`;
    env[variable] = value as string;
    return [name, { from: 'env', get: variable }] as const;
  });
  const listenOn = `tcp://127.0.0.1:${port}`;
  return { connector: 'aws', listenOn, ...service, credentials: Object.fromEntries(credentials) };
}

/** Resolves with what it printed so far, whenever asked. */
function ready(child: ChildProcess): Promise<() => string> {
  let printed = '';
  child.stdout!.on('data', (chunk: Buffer) => keepArtefact('stdout', chunk));
  return new Promise((resolve, reject) => {
    const give = (why: string) => () => reject(new Error(`${why}, it printed:\n${printed.slice(-3000)}`));
    const timer = setTimeout(give('the sidecar did not get ready'), PATIENCE_MS);
    child.once('close', give('the sidecar ended'));
    child.stderr!.setEncoding('utf8').on('data', (chunk: string) => {
      printed += chunk;
      if (!printed.includes('"message":"ready"') && !/"msg":"ready"/.test(printed)) return;
      clearTimeout(timer);
      resolve(() => printed);
    });
  });
}

function linesOf(text: string): Readonly<Record<string, unknown>>[] {
  const whole = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return whole.filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>);
}
