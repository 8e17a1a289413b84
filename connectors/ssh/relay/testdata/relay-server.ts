import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { spawn } from 'node:child_process';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { acceptSsh, loginSsh, loginKey, type Identity, type LoginMethod, type SshError } from '../../transport/index.ts';
import { relay, type RelayEnd, type RelayOptions } from '../index.ts';
import { sessionWatcher } from './session-watcher.ts';

export interface RelayServer {
  readonly port: number;
  readonly hostKey: KeyObject;
  readonly ends: RelayEnd[];
  readonly failures: SshError[];
  readonly agents: (string | undefined)[];
  readonly stop: () => void;
}

export interface RelayServerOptions extends Partial<RelayOptions> {
  readonly upstream: { readonly port: number; readonly user: string; readonly key?: KeyObject; readonly auth?: readonly LoginMethod[] };
  readonly hostKeyCheck?: (key: Buffer) => boolean;
  readonly identity?: Identity;
  readonly rekey?: { readonly bytes: number };
  readonly downRekey?: { readonly bytes: number };
  readonly onSockets?: (down: Socket, up: Socket) => void;
}

/** The whole way, as a connector would put it together. */
export async function startRelay(options: RelayServerOptions): Promise<RelayServer> {
  const hostKey = generateKeyPairSync('ed25519').privateKey;
  const ends: RelayEnd[] = [];
  const failures: SshError[] = [];
  const agents: (string | undefined)[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((down) => {
    sockets.add(down);
    down.setNoDelay(true);
    const serve = async (): Promise<void> => {
      const leg = await acceptSsh(down, {
        ident: 'sidecar',
        hostKey,
        identity: options.identity ?? { kind: 'none' },
        ...(options.downRekey && { rekey: options.downRekey }),
      });
      agents.push(leg.agent);
      const up = connect(options.upstream.port, '127.0.0.1').setNoDelay(true);
      sockets.add(up);
      options.onSockets?.(down, up);
      const { key } = options.upstream;
      try {
        const { raw } = await loginSsh(up, {
          ident: 'sidecar',
          user: options.upstream.user,
          hostKeyCheck: options.hostKeyCheck ?? (() => true),
          auth: options.upstream.auth ?? (key === undefined ? [] : [{ method: 'publickey', key: loginKey(key) }]),
          ...(options.rekey && { rekey: options.rekey }),
        });
        ends.push(await relay(leg.accept(), raw, { watcher: sessionWatcher(), ...options }));
      } catch (error) {
        leg.refuse('sidecar: the upstream could not be reached');
        throw error;
      }
    };
    serve().catch((error: unknown) => failures.push(error as SshError));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const stop = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port: (server.address() as AddressInfo).port, hostKey, ends, failures, agents, stop };
}

export interface Ran {
  readonly code: number | null;
  readonly out: Buffer;
  readonly err: string;
}

const QUIET = [
  ...['-F', 'none', '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR'],
  ...['-o', 'BatchMode=yes', '-o', 'IdentityAgent=none', '-o', 'GlobalKnownHostsFile=/dev/null'],
];

/** Runs a program of OpenSSH's, with options that read nothing of this machine's configuration. */
export function run(
  program: string,
  args: readonly string[],
  input: Buffer | string | 'open' = '',
  env: Record<string, string> = {},
): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...QUIET, ...args], { stdio: 'pipe', env: { ...process.env, ...env }, timeout: 60_000 });
    const out: Buffer[] = [];
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString('latin1')));
    child.stdin.on('error', () => undefined);
    if (input !== 'open') child.stdin.end(input);
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, out: Buffer.concat(out), err }));
  });
}

export function ssh(port: number, args: readonly string[], input?: Buffer | string | 'open', env?: Record<string, string>): Promise<Ran> {
  return run('ssh', ['-p', String(port), ...args], input, env);
}
