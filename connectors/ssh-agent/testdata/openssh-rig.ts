import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chmodSync, chownSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a program to its end. */
export function run(program: string, args: readonly string[], env: NodeJS.ProcessEnv = {}, cwd = '/'): Promise<Ran> {
  return new Promise((done) => {
    const options = { env: { PATH: process.env['PATH'], HOME: '/nonexistent', ...env }, cwd, timeout: 15_000 };
    const child = execFile(program, args, options, (error, out, err) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      done({ code, out, err });
    });
    child.stdin?.end();
  });
}

/** Where a server of OpenSSH is; `SECRETLESS_SSHD` names one that is not installed. */
export const sshd = [process.env['SECRETLESS_SSHD'], '/usr/sbin/sshd'].find((path) => path && existsSync(path));

/**
 * Someone with a shell whom our sshd can serve: ourselves; or where we are root, the first ordinary user, and without one
 * root, where sshd has the folder that it then wants.
 */
export function loginUser(): { readonly name: string; readonly uid: number; readonly gid: number } | undefined {
  const own = process.getuid?.();
  const all = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .filter(([, , , , , , shell]) => /\/(?:ba|da)?sh$/.test(shell ?? ''));
  const ordinary = own === 0 ? all.find(([, , uid]) => Number(uid) >= 1000 && Number(uid) < 60_000) : undefined;
  const itself = own !== 0 || existsSync('/run/sshd') ? all.find(([, , uid]) => Number(uid) === own) : undefined;
  const user = ordinary ?? itself;
  return user && { name: user[0]!, uid: Number(user[2]), gid: Number(user[3]) };
}

export interface SshdOptions {
  readonly authorizedKeys: string;
  /** Public line of an authority for users. */
  readonly authority?: string;
  /** Text of an OpenSSH private key. */
  readonly hostKey: Buffer;
  /** Public line of the host's certificate. */
  readonly hostCertificate?: string;
}

/** The real server, on a port of its own, as a user who is not root. */
export class Sshd {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(port: number, child: ChildProcess, folder: string) {
    this.port = port;
    this.#child = child;
    this.#folder = folder;
  }

  static async start(user: { readonly uid: number; readonly gid: number }, options: SshdOptions): Promise<Sshd> {
    const folder = mkdtempSync(join(tmpdir(), 'agent-sshd-'));
    const port = await freePort();
    const write = (name: string, content: string | Buffer): string => {
      const path = join(folder, name);
      writeFileSync(path, content, { mode: 0o600 });
      chownSync(path, user.uid, user.gid);
      return path;
    };
    chmodSync(folder, 0o755);
    const lines = [
      `ListenAddress 127.0.0.1:${port}`,
      `HostKey ${write('host', options.hostKey)}`,
      `AuthorizedKeysFile ${write('authorized', options.authorizedKeys)}`,
      ...(options.authority === undefined ? [] : [`TrustedUserCAKeys ${write('authority', options.authority)}`]),
      ...(options.hostCertificate === undefined
        ? []
        : [`HostCertificate ${write('host-cert.pub', options.hostCertificate)}`]),
      'Subsystem sftp internal-sftp\nPidFile none\nUsePAM no\nStrictModes no\nAllowAgentForwarding yes\nPasswordAuthentication no\nLogLevel ERROR',
    ];
    const child = spawn(sshd!, ['-D', '-e', '-f', write('sshd_config', `${lines.join('\n')}\n`)], {
      uid: user.uid,
      gid: user.gid,
      stdio: 'ignore',
    });
    const server = new Sshd(port, child, folder);
    await server.#ready();
    return server;
  }

  async #ready(): Promise<void> {
    for (let attempt = 0; attempt < 100; attempt += 1) {
      const isOpen = await new Promise<boolean>((done) => {
        const socket = connect(this.port, '127.0.0.1');
        socket.once('data', () => done(true)).once('error', () => done(false));
        socket.once('data', () => socket.destroy());
      });
      if (isOpen) return;
      await new Promise((done) => setTimeout(done, 50));
    }
    this.stop();
    throw new Error('sshd does not start');
  }

  stop(): void {
    this.#child.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
