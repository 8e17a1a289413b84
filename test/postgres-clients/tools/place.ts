import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Case, Closable, Door } from '../case.ts';

export type ToolCase = Case<ToolPlace>;

export interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Called with the running program. */
  readonly during?: (child: ChildProcess) => void;
}

/** True where a program can be run by its name. */
export function isInstalled(program: string): boolean {
  if (program.includes('/')) return existsSync(program);
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => existsSync(join(folder, program)));
}

/** Programs that find a door by the environment, as libpq does. */
export class ToolPlace implements Closable {
  readonly door: Door;
  /** Gone with the place. */
  readonly folder = mkdtempSync(join(tmpdir(), 'sl-tool-'));
  readonly #running = new Set<ChildProcess>();

  constructor(door: Door) {
    this.door = door;
  }

  get url(): string {
    const { host, port, user, password, database } = this.door;
    return `postgres://${user}${password === undefined ? '' : `:${password}`}@${host}:${port}/${database}`;
  }

  async run(program: string, args: readonly string[], { env = {}, input, during }: RunOptions = {}): Promise<Ran> {
    const child = spawn(program, args, {
      env: this.#environment(env),
      cwd: this.folder,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#running.add(child);
    child.stdin.on('error', () => undefined).end(input ?? '');
    during?.(child);
    const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    this.#running.delete(child);
    return { code: code as number | null, out, err };
  }

  /** As `run`; fails with what the program said where it fails. */
  async succeed(program: string, args: readonly string[], options?: RunOptions): Promise<string> {
    const { code, out, err } = await this.run(program, args, options);
    if (code !== 0) throw new Error(`${program} ended with ${code}: ${err.slice(-1000)}`);
    return out;
  }

  /** `psql` without its configuration, unaligned, rows only. */
  psql(...commands: string[]): Promise<string> {
    return this.succeed('psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', ...commands.flatMap((command) => ['-c', command])]);
  }

  close(): Promise<void> {
    for (const child of this.#running) child.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
    return Promise.resolve();
  }

  #environment(more: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
    const { host, port, user, password, database } = this.door;
    const own = {
      PATH: process.env['PATH'],
      HOME: this.folder,
      LC_ALL: 'C.UTF-8',
      PGCONNECT_TIMEOUT: '10',
      DATABASE_URL: this.url,
    };
    const secret = password === undefined ? {} : { PGPASSWORD: password };
    return { ...own, PGHOST: host, PGPORT: String(port), PGUSER: user, PGDATABASE: database, ...secret, ...more };
  }
}
