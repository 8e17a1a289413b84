import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ControlClient } from '../../src/sidecar/control-client.ts';
import { hostKeyPath } from '../../src/sidecar/host-key.ts';
import { controlSocketPath } from '../../src/sidecar/state.ts';
import { keepArtefact } from '../canary.ts';
import { complete, environment, freePorts } from '../process-rig.ts';
import { canaryKey } from './key.ts';

const ENTRY = fileURLToPath(new URL('../../src/cli/secretless.ts', import.meta.url));
/** As the scripts of package.json run it. */
const NODE_OPTIONS = ['--max-semi-space-size=4', '--conditions=secretless-source'] as const;
const PATIENCE_MS = 20_000;
/** Credentials that come from the environment, so that the file of a test holds none. */
const SECRET = new Set(['privateKey', 'password', 'passphrase']);

export interface Service {
  readonly credentials?: Readonly<Record<string, string | { readonly from: string; readonly get: string }>>;
  readonly config?: object;
  /** Name of a service whose port it has too. */
  readonly shares?: string;
  readonly [key: string]: unknown;
}

export interface Configuration {
  /** By name; `connector: ssh` and a free port of this machine where nothing else is said; an agent has `<name>.sock`. */
  readonly services: Readonly<Record<string, Service>>;
  readonly rules?: readonly object[];
  /** What else the file says: `limits` and so on. */
  readonly rest?: Readonly<Record<string, unknown>>;
}

export type Event = Readonly<Record<string, unknown>>;

/** The real command, running. */
export interface Sidecar {
  readonly child: ChildProcess;
  /** Its state folder. */
  readonly folder: string;
  readonly file: string;
  /** Public line of its host key. */
  readonly hostKey: string;
  readonly control: ControlClient;
  /** What its environment has on top: credentials. */
  readonly env: Readonly<Record<string, string>>;
  port(service: string): number;
  log(): readonly Event[];
  /** All that it printed. */
  printed(): string;
  /** Events in the ledger file so far. */
  events(type?: string): Event[];
  /** `VmRSS` in bytes. */
  residentBytes(): number;
  /** Open file descriptors. */
  descriptors(): number;
  /** Replaces the file; the ports of services that stay are as before. */
  reload(configuration: Configuration): Promise<void>;
  /** Ends it as an operator would; resolves with the exit status. */
  stop(): Promise<number | null>;
  /** As `stop`, and nothing is left of it. */
  remove(): Promise<void>;
}

export async function startSidecar(configuration: Configuration): Promise<Sidecar> {
  // Short: Unix socket paths have 107 bytes.
  const folder = mkdtempSync(join(tmpdir(), 'sl-'));
  const paper = new Paper(folder);
  const file = await paper.write(configuration);
  // In place of the one that it would make, so that the sweep looks for it too.
  const hostKey = canaryKey();
  writeFileSync(hostKeyPath(folder), hostKey.openssh, { mode: 0o600 });
  const child = spawn(process.execPath, [...NODE_OPTIONS, ENTRY, 'start', '-f', file], {
    env: environment(folder, paper.env),
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: folder,
  });
  const log = new Log(child);
  await log.ready();
  return new Running({ folder, file, paper, child, log, hostKey: hostKey.line });
}

/** Writes the file, with a port for each service that does not listen elsewhere. */
class Paper {
  readonly env: Record<string, string> = {};
  readonly ports = new Map<string, number>();
  readonly #folder: string;
  /** Changes only at a restart. */
  #telemetry: number | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async write({ services, rules, rest = {} }: Configuration): Promise<string> {
    const free = await freePorts(Object.keys(services).length + 1);
    const written = Object.entries(services).map(([name, service], at) => [
      name,
      this.#service(name, service, free[at]!),
    ]);
    this.#telemetry ??= free.at(-1)!;
    const telemetry = { listenOn: `tcp://127.0.0.1:${this.#telemetry}` };
    const all = { services: Object.fromEntries(written) as object, ...(rules && { rules }), telemetry, ...rest };
    const text = Object.entries(all).map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`);
    const file = join(this.#folder, 'secretless.yml');
    writeFileSync(file, complete(text.join('')), { mode: 0o600 });
    return file;
  }

  #service(name: string, { credentials = {}, shares, ...service }: Service, port: number): object {
    if (!this.ports.has(name)) this.ports.set(name, this.ports.get(shares ?? '') ?? port);
    const isAgent = service['connector'] === 'ssh-agent';
    const listenOn = isAgent
      ? `unix://${join(this.#folder, `${name}.sock`)}`
      : `tcp://127.0.0.1:${this.ports.get(name)}`;
    const lent = Object.entries(credentials).map(([key, value]) => {
      if (typeof value !== 'string' || !SECRET.has(key)) return [key, value];
      const variable = `SSH_${name}_${key}`.replaceAll(/[^A-Za-z0-9]/g, '_').toUpperCase();
      // What is in the environment of a running process stays as it is.
      if (this.env[variable] !== undefined && this.env[variable] !== value) throw new Error(`${variable} has changed`);
      this.env[variable] = value;
      return [key, { from: 'env', get: variable }];
    });
    const shared = Object.fromEntries(lent) as object;
    return { connector: 'ssh', listenOn, ...service, ...(lent.length > 0 && { credentials: shared }) };
  }
}

class Log {
  readonly lines: Event[] = [];
  printed = '';
  readonly #child: ChildProcess;
  #partial = '';
  #watch: () => void = () => undefined;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout!.on('data', (chunk: Buffer) => keepArtefact('stdout', chunk));
    child.stderr!.setEncoding('utf8').on('data', (chunk: string) => this.#take(chunk));
    child.once('close', () => keepArtefact('stderr', this.printed));
  }

  async ready(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const give = (why: string) => () => reject(new Error(`${why}, it printed:\n${this.printed.slice(-3000)}`));
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
    this.printed += chunk;
    const lines = (this.#partial + chunk).split('\n');
    this.#partial = lines.pop()!;
    for (const line of lines) if (line.startsWith('{')) this.lines.push(JSON.parse(line) as Event);
    this.#watch();
  }
}

interface Parts {
  readonly folder: string;
  readonly file: string;
  readonly paper: Paper;
  readonly child: ChildProcess;
  readonly log: Log;
  readonly hostKey: string;
}

class Running implements Sidecar {
  readonly child: ChildProcess;
  readonly folder: string;
  readonly file: string;
  readonly hostKey: string;
  readonly control: ControlClient;
  readonly env: Readonly<Record<string, string>>;
  readonly #paper: Paper;
  readonly #log: Log;
  readonly #ended: Promise<number | null>;

  constructor({ folder, file, paper, child, log, hostKey }: Parts) {
    this.child = child;
    this.folder = folder;
    this.file = file;
    this.hostKey = hostKey;
    this.env = paper.env;
    this.control = new ControlClient(controlSocketPath({ SECRETLESS_HOME: folder }));
    this.#paper = paper;
    this.#log = log;
    this.#ended = once(child, 'close').then(([code]) => code as number | null);
  }

  port(service: string): number {
    return this.#paper.ports.get(service)!;
  }

  log(): readonly Event[] {
    return this.#log.lines;
  }

  printed(): string {
    return this.#log.printed;
  }

  events(type?: string): Event[] {
    const names = readdirSync(this.folder).filter((name) => /^ledger\.jsonl(\.\d+)?$/.test(name));
    const text = names.map((name) => readFileSync(join(this.folder, name), 'utf8')).join('');
    const whole = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
    const all = whole.filter((line) => line !== '').map((line) => JSON.parse(line) as Event);
    return all.filter((event) => type === undefined || event['type'] === type);
  }

  residentBytes(): number {
    const status = readFileSync(`/proc/${this.child.pid}/status`, 'utf8');
    return 1024 * Number(/VmRSS:\s+(\d+)/.exec(status)![1]);
  }

  descriptors(): number {
    return readdirSync(`/proc/${this.child.pid}/fd`).length;
  }

  async reload(configuration: Configuration): Promise<void> {
    await this.#paper.write(configuration);
    await this.control.reload();
  }

  stop(): Promise<number | null> {
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), 15_000);
    return this.#ended.finally(() => clearTimeout(timer));
  }

  async remove(): Promise<void> {
    await this.stop();
    keepArtefact(
      'ledger',
      this.events()
        .map((event) => JSON.stringify(event))
        .join('\n'),
    );
    rmSync(this.folder, { recursive: true, force: true });
  }
}
