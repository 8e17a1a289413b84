import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request as httpRequest, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { ControlClient } from '../src/sidecar/control-client.ts';
import { controlSocketPath } from '../src/sidecar/state.ts';
import { keepArtefact } from './canary.ts';

export { freePorts } from '../src/cli/demo/ports.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const ENTRY = join(ROOT, 'src/cli/secretless.ts');
/** As the scripts of package.json run it. */
const NODE_OPTIONS = ['--max-semi-space-size=4', '--conditions=secretless-source'] as const;
/** Halves the time of a start from source. */
const COMPILE_CACHE = join(ROOT, 'node_modules/.cache/process-rig');
/** For what must happen; the suite may share its cores. */
const PATIENCE_MS = 30_000;

export type LogLine = Readonly<Record<string, unknown>>;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ProcessOptions {
  readonly env?: NodeJS.ProcessEnv;
  /** State folder of an earlier process; default: a new one. */
  readonly folder?: string;
  /** Words after `secretless`; default `start -f <file>`. */
  readonly words?: readonly string[];
  /** Options of Node; default as a checkout runs the command. */
  readonly nodeOptions?: readonly string[];
  /** Command that is given the whole command line: `['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh']`. */
  readonly wrapper?: readonly string[];
  readonly cwd?: string;
}

/** The real command, running. */
export interface ProcessRig {
  readonly folder: string;
  readonly file: string;
  readonly child: ChildProcess;
  readonly control: ControlClient;
  /** Log lines so far. */
  readonly log: readonly LogLine[];
  readonly ended: Promise<Ended>;
  stderr(): string;
  /** The first line at or after `from` that matches; waits for it. Rejects when the process ends without it. */
  line(matches: (line: LogLine) => boolean, from?: number): Promise<LogLine>;
  /** Resolves when it has logged that it is ready. */
  ready(): Promise<void>;
  /** Port of the listener of a service, as bound. */
  port(service: string): Promise<number>;
  /** `http://127.0.0.1:port` of the telemetry listener. */
  telemetry(): Promise<string>;
  /** Ends it with a signal and waits. */
  end(signal?: NodeJS.Signals): Promise<Ended>;
}

/** A folder that is gone after the test. Short: Unix socket paths have 107 bytes. */
export function stateFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sl-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Adds what every file of these tests has: a version, telemetry on a free port, a short drain. */
export function complete(yaml: string): string {
  const version = /^version:/m.test(yaml) ? '' : 'version: "2"\n';
  const telemetry = /^telemetry:/m.test(yaml) ? '' : 'telemetry: { listenOn: tcp://127.0.0.1:0 }\n';
  const limits = /^limits:/m.test(yaml) ? '' : 'limits: { drain: 10s }\n';
  return `${version}${yaml}\n${telemetry}${limits}`;
}

export function environment(folder: string, more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  const PATH = process.env['PATH'];
  return { PATH, HOME: folder, SECRETLESS_HOME: folder, NODE_COMPILE_CACHE: COMPILE_CACHE, ...more };
}

/** Starts the command on a configuration text; what it prints and stores goes to the leak sweep. Killed after the test. */
export function startProcess(yaml: string, options: ProcessOptions = {}): ProcessRig {
  const folder = options.folder ?? stateFolder();
  const file = join(folder, 'secretless.yml');
  writeFileSync(file, complete(yaml), { mode: 0o600 });
  const command = [process.execPath, ...(options.nodeOptions ?? NODE_OPTIONS), ENTRY];
  const [program, ...args] = [...(options.wrapper ?? []), ...command, ...(options.words ?? ['start', '-f', file])];
  const child = spawn(program!, args, {
    env: environment(folder, options.env),
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: options.cwd ?? folder,
  });
  const rig = new Running(folder, file, child);
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await rig.ended;
    keepLedger(folder);
  });
  return rig;
}

class Running implements ProcessRig {
  readonly folder: string;
  readonly file: string;
  readonly child: ChildProcess;
  readonly control: ControlClient;
  readonly log: LogLine[] = [];
  readonly ended: Promise<Ended>;
  readonly #watchers = new Set<() => void>();
  #printed = '';
  #partial = '';

  constructor(folder: string, file: string, child: ChildProcess) {
    this.folder = folder;
    this.file = file;
    this.child = child;
    this.control = new ControlClient(controlSocketPath({ SECRETLESS_HOME: folder }));
    child.stdout!.on('data', (chunk: Buffer) => keepArtefact('stdout', chunk));
    child.stderr!.setEncoding('utf8').on('data', (chunk: string) => this.#take(chunk));
    this.ended = once(child, 'close').then(([code, signal]) => {
      keepArtefact('stderr', this.#printed);
      return { code: code as number | null, signal: signal as NodeJS.Signals | null };
    });
  }

  stderr(): string {
    return this.#printed;
  }

  line(matches: (line: LogLine) => boolean, from = 0): Promise<LogLine> {
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
      };
      const give = (why: string) => () => {
        stop();
        reject(new Error(`${why}, it printed:\n${this.#printed.slice(-3000)}`));
      };
      const look = (): void => {
        const found = this.log.slice(from).find(matches);
        if (found === undefined) return;
        stop();
        resolve(found);
      };
      const timer = setTimeout(give('the line did not come'), PATIENCE_MS);
      this.#watchers.add(look);
      void this.ended.then(give('the process ended'));
      look();
    });
  }

  async ready(): Promise<void> {
    await this.line(({ message }) => message === 'ready');
  }

  async port(service: string): Promise<number> {
    const { listeners } = await this.control.status();
    const listener = listeners.find((each) => each.services.includes(service) && each.address.startsWith('tcp:'))!;
    return Number(listener.address.slice(listener.address.lastIndexOf(':') + 1));
  }

  async telemetry(): Promise<string> {
    return (await this.control.status()).telemetry.address!.replace('tcp:', 'http:');
  }

  end(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
    this.child.kill(signal);
    return this.ended;
  }

  #take(chunk: string): void {
    this.#printed += chunk;
    const lines = (this.#partial + chunk).split('\n');
    this.#partial = lines.pop()!;
    for (const line of lines) if (line.startsWith('{')) this.log.push(JSON.parse(line) as LogLine);
    for (const watcher of this.#watchers) watcher();
  }
}

export interface CommandResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs one command to its end. */
export async function runCommand(
  folder: string,
  words: readonly string[],
  { env, cwd = folder }: { readonly env?: NodeJS.ProcessEnv; readonly cwd?: string } = {},
): Promise<CommandResult> {
  const child = spawn(process.execPath, [...NODE_OPTIONS, ENTRY, ...words], {
    env: environment(folder, env),
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd,
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  keepArtefact('command', `${out}\n${err}`);
  return { code: code as number, out, err };
}

function ledgerFiles(folder: string): string[] {
  const number = (name: string): number => Number(/\.(\d+)$/.exec(name)?.[1] ?? 0);
  return readdirSync(folder)
    .filter((name) => /^ledger\.jsonl(\.\d+)?$/.test(name))
    .sort((a, b) => number(b) - number(a));
}

function keepLedger(folder: string): void {
  for (const name of ledgerFiles(folder)) keepArtefact('ledger', readFileSync(join(folder, name)));
}

export interface LedgerLine {
  readonly type: string;
  readonly result?: string;
  readonly path?: string;
  readonly service?: string;
  readonly reason?: string;
  readonly status?: number;
}

/** Whole lines of a ledger and its rotated files, oldest first. */
export function ledgerLines(folder: string): LedgerLine[] {
  const all = ledgerFiles(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
  return all.flatMap((content) =>
    content
      .slice(0, content.lastIndexOf('\n') + 1)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as LedgerLine),
  );
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A TCP port of this machine, or the path of a Unix socket. */
export type Door = number | string;

export interface AskOptions {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  readonly body?: string;
}

/** One downstream connection that lives on between requests. */
export class KeptConnection {
  readonly #door: Door;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  /** Under load the answers are alike: each is kept for the sweep once. */
  readonly #answers = new Set<string>();
  /** Sockets used so far: more than one means that the connection was cut. */
  readonly sockets = new Set<unknown>();

  constructor(door: Door) {
    this.#door = door;
    onTestFinished(() => this.close());
  }

  async ask(path: string, options: AskOptions = {}): Promise<Answer> {
    const answer = await send(this.#door, path, options, this.#agent, (socket) => this.sockets.add(socket));
    this.#answers.add(JSON.stringify({ ...answer, headers: { ...answer.headers, date: undefined } }));
    return answer;
  }

  close(): void {
    this.#agent.destroy();
    if (this.#answers.size > 0) keepArtefact('downstream', [...this.#answers].join('\n'));
    this.#answers.clear();
  }
}

/** One request on a connection of its own. */
export async function ask(door: Door, path: string, options: AskOptions = {}): Promise<Answer> {
  const answer = await send(door, path, options, false);
  keepArtefact('downstream', JSON.stringify(answer));
  return answer;
}

function send(
  door: Door,
  path: string,
  { method = 'GET', headers = {}, body }: AskOptions,
  agent: Agent | false,
  onSocket: (socket: unknown) => void = () => undefined,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const to = typeof door === 'number' ? { host: '127.0.0.1', port: door } : { socketPath: door };
    const asked = httpRequest(
      { ...to, path, method, headers: { host: 'localhost', ...headers }, agent },
      (response) => {
        const { statusCode, headers } = response;
        text(response).then((body) => resolve({ status: statusCode!, headers, body }), reject);
      },
    );
    asked.on('socket', onSocket);
    asked.on('error', reject);
    asked.end(body);
  });
}
