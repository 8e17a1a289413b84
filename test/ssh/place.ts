import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { keepArtefact } from '../canary.ts';
import { programPath } from './programs.ts';

/** Where a client connects to: a server itself, or the sidecar in front of it. */
export interface Door {
  readonly port: number;
  /** Login name that the client says. */
  readonly user: string;
  /** Public line of the host key that the client sees. */
  readonly hostKey: string;
  /** Text of a private key; absent where the client holds nothing. */
  readonly key?: string;
  /** Lines for `ssh_config`, which come first. */
  readonly lines?: readonly string[];
  /** Where the far side may write. */
  readonly remote: string;
}

export interface Ran {
  /** Exit status; null where a signal ended it. */
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Default: nothing, and its end. `open`: no end. */
  readonly input?: string | Uint8Array;
  /** What is written to nobody, as long as the program runs. */
  readonly leaveOpen?: true;
  readonly cwd?: string;
  /** Called with the running program. */
  readonly during?: (child: ChildProcess) => void;
  readonly seconds?: number;
}

const PATIENCE_SECONDS = 60;
let serial = 0;

/** A folder and an environment for programs that go through one door. */
export class Place {
  readonly door: Door;
  /** Of the client; gone with the place. */
  readonly folder = mkdtempSync(join(tmpdir(), 'sl-ssh-'));
  /** Path on the far side that no other place has. */
  readonly remote: string;
  /** For `ssh -F`; knows the door as `host`, and as any other name without a dot. */
  readonly config: string;
  readonly knownHosts: string;
  /** Path of the key file; absent where the client holds nothing. */
  readonly keyFile: string | undefined;
  readonly #running = new Set<ChildProcess>();

  constructor(door: Door) {
    this.door = door;
    serial += 1;
    this.remote = join(door.remote, `place-${process.pid}-${serial}`);
    this.knownHosts = this.file('known_hosts', `sidecar,[127.0.0.1]:${door.port} ${door.hostKey}\n`);
    this.keyFile = door.key === undefined ? undefined : this.file('key', door.key);
    this.config = this.file('ssh_config', `${this.#lines().join('\n')}\n`);
  }

  /** Path of a new file of the client. */
  file(name: string, content: string | Uint8Array): string {
    const path = join(this.folder, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  }

  /** Runs a program to its end, and keeps what it printed for the leak sweep where the client holds nothing. */
  async run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    const { code, out, err } = await this.bytes(program, args, options);
    return { code, out: out.toString('latin1'), err };
  }

  /** As `run`, with the output as it came. */
  async bytes(
    program: string,
    args: readonly string[],
    options: RunOptions = {},
  ): Promise<Omit<Ran, 'out'> & { readonly out: Buffer }> {
    const child = this.spawn(program, args, options);
    const [out, err, [code]] = await Promise.all([buffer(child.stdout!), buffer(child.stderr!), once(child, 'close')]);
    if (this.keyFile === undefined) keepArtefact('tool', Buffer.concat([out.subarray(0, 100_000), err]));
    return { code: code as number | null, out, err: err.toString('latin1') };
  }

  /** As `run`; fails with what the program said where it fails. */
  async succeed(program: string, args: readonly string[], options?: RunOptions): Promise<string> {
    const { code, out, err } = await this.run(program, args, options);
    if (code !== 0) throw new Error(`${program} ended with ${String(code)}: ${err.slice(-2000)}${out.slice(-500)}`);
    return out;
  }

  ssh(args: readonly string[], options?: RunOptions): Promise<Ran> {
    return this.run('ssh', ['-F', this.config, ...args], options);
  }

  /** Starts a program that ends at the latest with the place. */
  spawn(
    program: string,
    args: readonly string[],
    { env = {}, input = '', leaveOpen, cwd, during, seconds }: RunOptions = {},
  ): ChildProcess {
    const path = program.includes('/') ? program : programPath(program);
    const child = spawn(path ?? program, args, {
      env: { PATH: process.env['PATH'], HOME: this.folder, LC_ALL: 'C.UTF-8', ...env },
      cwd: cwd ?? this.folder,
      stdio: 'pipe',
      timeout: (seconds ?? PATIENCE_SECONDS) * 1000,
      killSignal: 'SIGKILL',
    });
    this.#running.add(child);
    child.once('close', () => this.#running.delete(child));
    child.stdin.on('error', () => undefined);
    if (input.length > 0) child.stdin.write(input);
    if (leaveOpen === undefined) child.stdin.end();
    during?.(child);
    return child;
  }

  async close(): Promise<void> {
    const running = [...this.#running];
    await Promise.all(running.map((child) => (child.kill('SIGKILL'), once(child, 'close'))));
    rmSync(this.folder, { recursive: true, force: true });
  }

  #lines(): string[] {
    const { port, user, lines = [] } = this.door;
    const credential = this.keyFile === undefined ? ['none', 'none'] : [this.keyFile, 'publickey'];
    return [
      ...lines,
      'Host *',
      ...['HostName 127.0.0.1', `Port ${port}`, `User ${user}`, 'HostKeyAlias sidecar'],
      ...[`UserKnownHostsFile ${this.knownHosts}`, 'GlobalKnownHostsFile none', 'StrictHostKeyChecking yes'],
      ...[`IdentityFile ${credential[0]}`, 'IdentitiesOnly yes', 'IdentityAgent none', 'BatchMode yes'],
      ...[`PreferredAuthentications ${credential[1]}`, 'IgnoreUnknown WarnWeakCrypto', 'WarnWeakCrypto no-pq-kex'],
    ];
  }
}
