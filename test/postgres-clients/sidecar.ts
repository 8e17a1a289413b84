import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll } from 'vitest';
import { keepArtefact } from '../canary.ts';
import { complete, environment, freePorts } from '../process-rig.ts';

const ENTRY = fileURLToPath(new URL('../../src/cli/secretless.ts', import.meta.url));
/** As the scripts of package.json run it. */
const NODE_OPTIONS = ['--max-semi-space-size=4', '--conditions=secretless-source'] as const;
const PATIENCE_MS = 20_000;

/** One service in front of a PostgreSQL. */
export interface Service {
  /** As in secretless.yml; a password written out goes through the environment. */
  readonly credentials: Readonly<Record<string, string | { readonly from: string; readonly get: string }>>;
  readonly config?: object;
  readonly [key: string]: unknown;
}

export type Services = Readonly<Record<string, Service>>;

/** The real command, running for all tests of a file or a `describe`. */
export interface RunningSidecar {
  readonly pid: number;
  /** Holds a Unix socket for each service, in a folder of its name. */
  readonly folder: string;
  readonly port: (service: string) => number;
  /** Folder of `.s.PGSQL.<port>` of a service. */
  readonly socketFolder: (service: string) => string;
  log(): readonly Record<string, unknown>[];
  /** Value of a metric with these labels; 0 where it has not been counted. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  /** Events in the ledger file so far. */
  events(type: string): Record<string, unknown>[];
  /** Open file descriptors. */
  descriptors(): number;
  /** `VmRSS` in bytes. */
  residentBytes(): number;
  running(): boolean;
  stop(): Promise<void>;
}

/** `services` is asked once what they stand for runs; `rest` is appended to the configuration. */
export function useSidecar(services: () => Services | Promise<Services>, rest = ''): () => RunningSidecar {
  let sidecar: RunningSidecar | undefined;
  beforeAll(async () => {
    sidecar = await startSidecarProcess(await services(), rest);
  });
  afterAll(async () => {
    await sidecar?.stop();
  });
  return () => sidecar!;
}

async function startSidecarProcess(services: Services, rest: string): Promise<RunningSidecar> {
  // Short: Unix socket paths have 107 bytes.
  const folder = mkdtempSync(join(tmpdir(), 'sl-'));
  const names = Object.keys(services);
  const [telemetry, ...free] = await freePorts(names.length + 1);
  const ports = new Map(names.map((name, at) => [name, free[at]!]));
  const env: Record<string, string> = {};
  const written = names.map((name) => [name, oneService(services[name]!, ports.get(name)!, join(folder, name), env)]);
  const file = join(folder, 'secretless.yml');
  const text = `services: ${JSON.stringify(Object.fromEntries(written))}\ntelemetry: { listenOn: tcp://127.0.0.1:${telemetry} }\n`;
  writeFileSync(file, complete(text + rest), { mode: 0o600 });
  const child = spawn(process.execPath, [...NODE_OPTIONS, ENTRY, 'start', '-f', file], {
    env: environment(folder, env),
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: folder,
  });
  const log = new Log(child);
  await log.ready();
  return running(child, log, { folder, ports, telemetry: telemetry! });
}

function oneService(service: Service, port: number, socketFolder: string, env: Record<string, string>): object {
  const { password, ...open } = service.credentials;
  const credentials: Record<string, unknown> = { ...open };
  if (typeof password === 'object') credentials['password'] = password;
  if (typeof password === 'string') {
    const variable = `PG_PASSWORD_${port}`;
    env[variable] = password;
    credentials['password'] = { from: 'env', get: variable };
  }
  const listenOn = [`tcp://127.0.0.1:${port}`, `unix://${join(socketFolder, `.s.PGSQL.${port}`)}`];
  return { connector: 'postgres', listenOn, cache: '10m', ...service, credentials };
}

class Log {
  readonly lines: Record<string, unknown>[] = [];
  readonly #child: ChildProcess;
  #printed = '';
  #partial = '';
  #watch: () => void = () => undefined;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout!.on('data', (chunk: Buffer) => keepArtefact('stdout', chunk));
    child.stderr!.setEncoding('utf8').on('data', (chunk: string) => this.#take(chunk));
    child.once('close', () => keepArtefact('stderr', this.#printed));
  }

  async ready(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const give = (why: string) => () => reject(new Error(`${why}, it printed:\n${this.#printed.slice(-3000)}`));
      const timer = setTimeout(give('the sidecar did not get ready'), PATIENCE_MS);
      this.#child.once('close', give('the sidecar ended'));
      this.#watch = () => {
        if (!this.lines.some(({ message }) => message === 'ready')) return;
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #take(chunk: string): void {
    this.#printed += chunk;
    const lines = (this.#partial + chunk).split('\n');
    this.#partial = lines.pop()!;
    for (const line of lines) if (line.startsWith('{')) this.lines.push(JSON.parse(line) as Record<string, unknown>);
    this.#watch();
  }
}

interface Places {
  readonly folder: string;
  readonly ports: ReadonlyMap<string, number>;
  readonly telemetry: number;
}

function running(child: ChildProcess, log: Log, { folder, ports, telemetry }: Places): RunningSidecar {
  const ended = once(child, 'close');
  const ledger = join(folder, 'ledger.jsonl');
  const metrics = async (): Promise<string> => (await fetch(`http://127.0.0.1:${telemetry}/metrics`)).text();
  return {
    pid: child.pid!,
    folder,
    port: (service) => ports.get(service)!,
    socketFolder: (service) => join(folder, service),
    log: () => log.lines,
    metric: async (name, labels = {}) => metricOf(await metrics(), name, labels),
    events: (type) => jsonLines(readFileSync(ledger, 'utf8')).filter((event) => event['type'] === type),
    descriptors: () => readdirSync(`/proc/${child.pid}/fd`).length,
    residentBytes: () => 1024 * Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]),
    running: () => child.exitCode === null && child.signalCode === null,
    stop: async () => {
      keepArtefact('metrics', await metrics().catch(() => ''));
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
      await ended;
      clearTimeout(timer);
      keepArtefact('ledger', readFileSync(ledger));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function jsonLines(text: string): Record<string, unknown>[] {
  const whole = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return whole.filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>);
}

function metricOf(text: string, name: string, labels: Readonly<Record<string, string>>): number {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  const found = text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => wanted.every((label) => line.includes(label)));
  return found.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
}
