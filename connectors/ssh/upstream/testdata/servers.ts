import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const SSHD = process.env['SECRETLESS_TEST_SSHD'] ?? '/usr/sbin/sshd';

/** Why the tests with OpenSSH's server cannot run; undefined where they can. */
export const noSshd = existsSync(SSHD) && existsSync('/usr/bin/ssh-keygen') ? undefined : 'no OpenSSH server here';
/** Likewise those with paramiko's. */
const PYTHON = ['/usr/bin/python3', 'python3'].find(
  (python) => spawnSync(python, ['-c', 'import paramiko']).status === 0,
);
export const noParamiko = PYTHON === undefined ? 'no python3 with paramiko here' : undefined;

export function keygen(...args: readonly string[]): string {
  return execFileSync('/usr/bin/ssh-keygen', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** A folder with the keys of one test; gone when `remove` is called. */
export class Folder {
  readonly path = mkdtempSync(join(tmpdir(), 'upstream-'));
  #made = 0;

  file(name: string): string {
    return join(this.path, name);
  }

  read(name: string): string {
    return readFileSync(this.file(name), 'utf8');
  }

  /** Makes a key of `type` (`ecdsa 384`) and tells the name of its file; `.pub` behind it is the public half. */
  make(type: string, passphrase = '', ...more: readonly string[]): string {
    const [kind = '', bits] = type.split(' ');
    const name = `key-${(this.#made += 1)}`;
    const size = bits === undefined ? [] : ['-b', bits];
    keygen('-q', '-t', kind, ...size, '-N', passphrase, '-C', '', '-f', this.file(name), ...more);
    return name;
  }

  /** `type base64` of a key. */
  line(name: string): string {
    return this.read(`${name}.pub`).trim();
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export interface Server {
  readonly port: number;
  readonly user: string;
  readonly folder: Folder;
  readonly log: () => string;
  /** Whose keys may log in, as lines of `authorized_keys`. */
  readonly authorize: (...lines: readonly string[]) => void;
  readonly stop: () => void;
}

/** OpenSSH's server. `lines` of its configuration may name files of `folder`. */
export async function startSshd(folder: Folder, lines: readonly string[]): Promise<Server> {
  const port = await freePort();
  const keys = folder.file(`authorized-${port}`);
  writeFileSync(keys, '');
  const config = folder.file(`config-${port}`);
  const all = [
    ...[`Port ${port}`, 'ListenAddress 127.0.0.1', `AuthorizedKeysFile ${keys}`, `PidFile ${config}.pid`],
    ...['UsePAM no', 'StrictModes no', 'PermitRootLogin yes', 'MaxStartups 100', 'LogLevel VERBOSE', ...lines],
  ];
  writeFileSync(config, `${all.join('\n')}\n`);
  const child = spawn(SSHD, ['-D', '-e', '-f', config], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  await reachable(port, () => log);
  const authorize = (...given: readonly string[]): void => writeFileSync(keys, `${given.join('\n')}\n`);
  return { port, user: userInfo().username, folder, log: () => log, authorize, stop: () => void child.kill() };
}

export interface Attempt {
  readonly user: string;
  readonly method: string;
  readonly right?: boolean;
}

export interface ParamikoServer {
  readonly port: number;
  /** All attempts since it was asked last. */
  readonly attempts: () => Promise<readonly Attempt[]>;
  readonly stop: () => void;
}

/** See `paramiko-server.py`. `authorized`: Base64 of the key that may log in. */
export async function startParamiko(hostKey: string, password: string, authorized: string): Promise<ParamikoServer> {
  const script = new URL('paramiko-server.py', import.meta.url).pathname;
  const child = spawn(PYTHON ?? '', [script, hostKey, authorized], { stdio: ['pipe', 'pipe', 'ignore'] });
  child.stdin.write(`${password}\n`);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async (): Promise<string> => (await lines.next()).value ?? '';
  const port = Number(await next());
  const attempts = async (): Promise<readonly Attempt[]> => {
    child.stdin.write('mark\n');
    const found: Attempt[] = [];
    for (;;) {
      const attempt = JSON.parse(await next()) as Attempt;
      if (attempt.user === '') return found;
      found.push(attempt);
    }
  };
  return { port, attempts, stop: () => void child.kill() };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function reachable(port: number, log: () => string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => (socket.destroy(), resolve(true)));
      socket.once('error', () => resolve(false));
    });
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`sshd did not start: ${log()}`);
}
