import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { CpuSet } from '../harness/cpu.ts';
import { CIPHERS, type Cipher } from './options.ts';
import type { Target } from './target.ts';

/**
 * Nothing of this machine's configuration, no host key remembered, and the same key exchange with everyone: the one that
 * OpenSSH prefers takes longer, which would count for the sidecar.
 */
const QUIET = [
  ...['-F', 'none', '-o', 'BatchMode=yes', '-o', 'LogLevel=ERROR', '-o', 'IdentityAgent=none'],
  ...['-o', 'KexAlgorithms=curve25519-sha256'],
  ...['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'GlobalKnownHostsFile=/dev/null'],
];

export interface Client {
  readonly cpus: CpuSet;
  readonly user: string;
}

/** Words that start OpenSSH's client. */
export function sshWords({ cpus, user }: Client, target: Target, cipher: Cipher, command: string): string[] {
  const to = ['-p', String(target.port(cipher)), '-l', user, '127.0.0.1', command];
  return [...cpus.prefix, 'ssh', ...QUIET, '-c', CIPHERS[cipher], ...target.login, ...to];
}

/** Runs a line of shell or a program to its end. Throws what it said where it failed. Milliseconds that it took. */
export async function runToEnd(words: readonly string[], input?: readonly string[]): Promise<number> {
  const [file, ...rest] = words;
  const begun = performance.now();
  const source = input && spawn(input[0]!, input.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] });
  const child = spawn(file!, rest, { stdio: [source?.stdout ?? 'ignore', 'ignore', 'pipe'] });
  // The client has its own copy; ours would keep the source from noticing that the client is gone.
  source?.stdout.destroy();
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-2000)));
  const [code] = (await once(child, 'close')) as [number | null];
  source?.kill();
  if (code !== 0) throw new Error(`ssh ended with ${code}: ${said}`);
  return performance.now() - begun;
}
