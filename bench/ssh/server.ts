import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Child } from '../harness/child.ts';
import type { CpuSet } from '../harness/cpu.ts';
import { freePorts, untilAccepting } from '../harness/ports.ts';
import { CIPHER_NAMES, CIPHERS, type Cipher } from './options.ts';

const run = promisify(execFile);

/** Two OpenSSH servers, one for each cipher, that let one key in; and an agent of OpenSSH that holds it. */
export interface Server {
  readonly user: string;
  readonly ports: Readonly<Record<Cipher, number>>;
  readonly keyFile: string;
  /** Line of `known_hosts` without the name. */
  readonly hostKey: string;
  readonly agentSocket: string;
  close(): Promise<void>;
}

const SSHD = '/usr/sbin/sshd';

/** Programs of OpenSSH that are missing here. */
export function missingPrograms(): string[] {
  const missing = ['ssh', 'ssh-keygen', 'ssh-agent', 'ssh-add'].filter(
    (name) => spawnSync('which', [name], { stdio: 'ignore' }).status !== 0,
  );
  return existsSync(SSHD) ? missing : [...missing, 'sshd'];
}

/** As `ssh -V` prints it. */
export function clientVersion(): string {
  return spawnSync('ssh', ['-V'], { encoding: 'utf8' }).stderr.trim();
}

export async function startServer(cpus: CpuSet): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), 'ssh-bench-'));
  const children: Child[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(children.map((child) => child.close()));
    await rm(folder, { recursive: true, force: true });
  };
  const file = (name: string): string => join(folder, name);
  try {
    // sshd of root wants its folder, which the system makes at boot.
    if (process.getuid?.() === 0) await mkdir('/run/sshd', { recursive: true, mode: 0o755 });
    for (const name of ['host', 'key']) await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file(name)]);
    const [gcm, chacha] = (await freePorts(2)) as [number, number];
    const ports = { gcm, chacha };
    for (const cipher of CIPHER_NAMES) {
      await writeFile(file(cipher), configuration(file, ports[cipher], CIPHERS[cipher]));
      const child = new Child(SSHD, ['-D', '-e', '-f', file(cipher)], { cpus });
      children.push(child);
      await untilAccepting(child, 'sshd', ports[cipher]);
    }
    const agentSocket = file('agent');
    children.push(new Child('ssh-agent', ['-D', '-a', agentSocket], { cpus }));
    await addKey(agentSocket, file('key'));
    const [type, blob] = (await readFile(file('host.pub'), 'utf8')).split(' ');
    const user = userInfo().username;
    return { user, ports, keyFile: file('key'), hostKey: `${type} ${blob}`, agentSocket, close };
  } catch (error) {
    await close();
    throw error;
  }
}

const ADD_TRIES = 50;

async function addKey(socket: string, key: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await run('ssh-add', ['-q', key], { env: { PATH: process.env['PATH'], SSH_AUTH_SOCK: socket } });
      return;
    } catch (error) {
      if (tries >= ADD_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

function configuration(file: (name: string) => string, port: number, cipher: string): string {
  return `Port ${port}
ListenAddress 127.0.0.1
HostKey ${file('host')}
AuthorizedKeysFile ${file('key.pub')}
PidFile ${file(`${port}.pid`)}
Ciphers ${cipher}
UsePAM no
StrictModes no
PermitRootLogin yes
MaxStartups 100
LogLevel ERROR
`;
}
