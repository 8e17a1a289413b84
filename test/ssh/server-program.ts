import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { canaryKey, type CanaryKey } from './key.ts';
import { PYTHON } from './programs.ts';
import { opened } from './target.ts';

/** A server that is not OpenSSH's. */
export interface ServerProgram {
  readonly port: number;
  /** Of each mode, in their order. */
  readonly ports: readonly number[];
  readonly user: string;
  readonly key: CanaryKey;
  readonly hostKey: CanaryKey;
  readonly folder: string;
  stop(): Promise<void>;
}

export type Mode =
  'honest' | 'banner' | 'refuse' | 'quit' | 'lines' | 'endless' | 'garbage' | 'http' | 'silent' | 'closes';

const SERVERS = fileURLToPath(new URL('servers', import.meta.url));

/** Words that a hostile server puts wherever it can. */
export const UPSTREAM_TEXT = 'UPSTREAM-TEXT';

/** One that does as a command says, or, for some modes, never gets as far; a port for each mode. */
export function startHostile(...modes: readonly Mode[]): Promise<ServerProgram> {
  return start(({ hostKey }) => [PYTHON, [join(SERVERS, 'hostile.py'), hostKey, ...modes]]);
}

export function startAsyncssh(): Promise<ServerProgram> {
  return start(({ hostKey, authorized }) => [PYTHON, [join(SERVERS, 'asyncssh_server.py'), hostKey, authorized]]);
}

interface Files {
  readonly folder: string;
  readonly hostKey: string;
  readonly authorized: string;
}

async function start(command: (files: Files) => readonly [string, readonly string[]]): Promise<ServerProgram> {
  const folder = mkdtempSync(join(tmpdir(), 'server-'));
  const keys = { key: canaryKey(), hostKey: canaryKey() };
  const write = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content, { mode: 0o600 });
    return join(folder, name);
  };
  const files = {
    folder,
    hostKey: write('host', keys.hostKey.openssh),
    authorized: write('authorized', `${keys.key.line}\n`),
  };
  const [program, args] = command(files);
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'ignore'],
    cwd: folder,
    env: { ...process.env, HOME: folder },
  });
  const ports = await firstLine(child);
  await opened(ports[0]!, () => child.exitCode === null);
  const stop = async (): Promise<void> => {
    const ended = child.exitCode === null && child.signalCode === null ? once(child, 'close') : undefined;
    child.kill('SIGKILL');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  return { port: ports[0]!, ports, user: userInfo().username, ...keys, folder, stop };
}

async function firstLine(child: ChildProcess): Promise<number[]> {
  const ended = once(child, 'close').then(() => {
    throw new Error('the server ended before it listened');
  });
  const [line] = (await Promise.race([once(child.stdout!, 'data'), ended])) as [Buffer];
  ended.catch(() => undefined);
  return line.toString().trim().split(' ').map(Number);
}
