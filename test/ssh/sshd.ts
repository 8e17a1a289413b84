import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { freePorts } from '../process-rig.ts';
import { canaryKey, type CanaryKey } from './key.ts';
import { programPath, sftpServer } from './programs.ts';

/** Whom a server runs as, and whom it lets in. */
export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface SshdOptions {
  /** Default: whoever runs the test. */
  readonly account?: Account;
  /** Lines on top, which come first: sshd takes the first value of a key. */
  readonly lines?: readonly string[];
  /** Puts files into its folder, and says lines about them. */
  readonly prepare?: (folder: string) => readonly string[];
  /** Default: made anew. */
  readonly hostKey?: CanaryKey;
  /** Default: made anew. */
  readonly key?: CanaryKey;
}

/** A real OpenSSH server on a port of its own. */
export interface Sshd {
  readonly port: number;
  readonly user: string;
  /** The key that it lets in. */
  readonly key: CanaryKey;
  readonly hostKey: CanaryKey;
  /** Gone with the server; whoever it runs as may write in it. */
  readonly folder: string;
  /** What it logged so far. */
  log(): string;
  /** Processes of it but the one that listens: none where nobody is connected. */
  processes(): number;
  /** Cuts all connections: ends every process of it but the one that listens. */
  cut(): void;
  stop(): Promise<void>;
}

const ME: Account = { name: userInfo().username, uid: userInfo().uid, gid: userInfo().gid };

/** Somebody with a shell who is not root; undefined where only root is there, or where nobody but root may become him. */
export function ordinaryAccount(): Account | undefined {
  if (ME.uid !== 0) return ME;
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  const users = lines.map((line) => line.split(':'));
  const found = users.find(([, , uid, , , , shell]) => Number(uid) >= 1000 && /\/(ba|da)?sh$/.test(shell ?? ''));
  return found === undefined ? undefined : { name: found[0]!, uid: Number(found[2]), gid: Number(found[3]) };
}

export async function startSshd({ account = ME, lines = [], prepare, hostKey, key }: SshdOptions = {}): Promise<Sshd> {
  // Where privileges are separated, it wants this folder whatever its configuration says.
  if (account.uid === 0) mkdirSync('/run/sshd', { recursive: true });
  const folder = mkdtempSync(join(tmpdir(), 'sshd-'));
  chmodSync(folder, 0o755);
  chownSync(folder, account.uid, account.gid);
  const write = (name: string, content: string): string => {
    const path = join(folder, name);
    writeFileSync(path, content, { mode: 0o600 });
    chownSync(path, account.uid, account.gid);
    return path;
  };
  const [port] = await freePorts(1);
  const keys = { hostKey: hostKey ?? canaryKey(), key: key ?? canaryKey() };
  const configuration = [
    ...lines,
    ...(prepare?.(folder) ?? []),
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${write('host', keys.hostKey.openssh)}`,
    `AuthorizedKeysFile ${write('authorized_keys', `${keys.key.line}\n`)}`,
    `Subsystem sftp ${sftpServer}`,
    ...['UsePAM no', 'StrictModes no', 'PermitRootLogin yes', 'PidFile none', 'AcceptEnv *', 'MaxStartups 1000'],
    ...['LogLevel VERBOSE', 'PrintMotd no', 'PrintLastLog no', 'PermitUserRC no', 'UseDNS no'],
  ];
  const args = ['-D', '-e', '-f', write('sshd_config', `${configuration.join('\n')}\n`)];
  const owner = account.uid === ME.uid ? {} : { uid: account.uid, gid: account.gid };
  const child = spawn(programPath('sshd')!, args, { ...owner, stdio: ['ignore', 'ignore', 'pipe'], cwd: folder });
  let log = '';
  child.stderr.setEncoding('latin1').on('data', (text: string) => (log += text));
  await listening(port!, child, () => log);
  const cut = (): void => {
    for (const pid of descendants(child.pid!)) kill(pid);
  };
  const processes = (): number => descendants(child.pid!).length;
  const stop = async (): Promise<void> => {
    cut();
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'close');
    rmSync(folder, { recursive: true, force: true });
  };
  return { port: port!, user: account.name, ...keys, folder, log: () => log, processes, cut, stop };
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself.
  }
}

/** Children, their children and so on. */
function descendants(pid: number): number[] {
  let children: number[] = [];
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    children = text === '' ? [] : text.split(' ').map(Number);
  } catch {
    // It ended by itself.
  }
  return children.flatMap((child) => [child, ...descendants(child)]);
}

async function listening(port: number, child: ChildProcess, log: () => string): Promise<void> {
  for (let attempt = 0; attempt < 400 && child.exitCode === null; attempt += 1) {
    if (await greets(port)) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  child.kill('SIGKILL');
  throw new Error(`sshd does not start: ${log().slice(-1000)}`);
}

function greets(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('data', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}
