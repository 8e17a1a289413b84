import { spawn, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { publicKeyOf } from 'secretless-sidecar/connector/ssh';

const SSHD = process.env['SECRETLESS_TEST_SSHD'] ?? '/usr/sbin/sshd';
const SFTP_SERVER = process.env['SECRETLESS_TEST_SFTP_SERVER'] ?? '/usr/lib/openssh/sftp-server';

/** Why the tests with a real server cannot run; undefined where they can. */
export const noSshd = existsSync(SSHD) && existsSync('/usr/bin/ssh') ? undefined : 'no OpenSSH server here';

export interface Sshd {
  readonly port: number;
  readonly user: string;
  readonly key: KeyObject;
  readonly hostKey: Buffer;
  readonly folder: string;
  readonly log: () => string;
  /** Writes the blob of a user certificate for `publicLine`, signed by a CA that the server trusts. */
  readonly certify: (publicLine: string) => Buffer;
  readonly stop: () => void;
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** A line as `authorized_keys` has it. */
export function publicLine(key: KeyObject): string {
  const { blob } = publicKeyOf(key);
  return `${blob.toString('latin1', 4, 4 + blob.readUInt32BE(0))} ${blob.toString('base64')}`;
}

export async function startSshd(extra: readonly string[] = []): Promise<Sshd> {
  const folder = mkdtempSync(join(tmpdir(), 'sshd-'));
  const file = (name: string): string => join(folder, name);
  for (const name of ['host', 'ca']) execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file(name)]);
  const key = generateKeyPairSync('ed25519').privateKey;
  writeFileSync(file('authorized_keys'), `${publicLine(key)}\n`);
  const port = await freePort();
  const lines = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${file('host')}`,
    `AuthorizedKeysFile ${file('authorized_keys')}`,
    `TrustedUserCAKeys ${file('ca.pub')}`,
    `PidFile ${file('pid')}`,
    'UsePAM no',
    'StrictModes no',
    'PermitRootLogin yes',
    'AcceptEnv *',
    'MaxStartups 100',
    'LogLevel VERBOSE',
    `Subsystem sftp ${SFTP_SERVER}`,
    ...extra,
  ];
  writeFileSync(file('config'), lines.join('\n') + '\n');
  const child = spawn(SSHD, ['-D', '-e', '-f', file('config')], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => (log += chunk.toString()));
  await until(port);
  const certify = (line: string): Buffer => {
    writeFileSync(file('cert.pub'), `${line}\n`);
    const names = ['-q', '-s', file('ca'), '-I', 'test', '-n', userInfo().username, file('cert.pub')];
    execFileSync('ssh-keygen', names);
    return Buffer.from(readFileSync(file('cert-cert.pub'), 'utf8').split(' ')[1] ?? '', 'base64');
  };
  const hostKey = Buffer.from(readFileSync(file('host.pub'), 'utf8').split(' ')[1] ?? '', 'base64');
  const stop = (): void => {
    child.kill();
    rmSync(folder, { recursive: true, force: true });
  };
  return { port, user: userInfo().username, key, hostKey, folder, log: () => log, certify, stop };
}

async function until(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1');
      socket.once('connect', () => (socket.destroy(), resolve(true)));
      socket.once('error', () => resolve(false));
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('sshd did not start');
}

/** A key as a PEM of PKCS#8, read back: what the callers hold. */
export function rsaKey(): KeyObject {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }));
}
