import { execFile, spawn } from 'node:child_process';
import { generateKeyPairSync, verify, type KeyObject } from 'node:crypto';
import { access, constants, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import type { AuthContext, Server, ServerChannel } from 'ssh2';
import { publicKeyOf } from '../../connector/ssh/index.ts';
import { loadSsh2 } from './installed.ts';
import type { Missing } from './postgres-binaries.ts';
import type { Seen } from './upstream.ts';

/** A server of SSH with one repository behind it, which lets nobody in but the holder of one key. */
export interface GitUpstream {
  readonly port: number;
  readonly seen: readonly Seen[];
  /** Private key that it takes, in PEM. */
  readonly privateKey: string;
  /** Its host key, as a line of `known_hosts` has it. */
  readonly hostKey: string;
  /** Paths of the programs that the agent runs. */
  readonly programs: GitPrograms;
  close(): void;
}

export interface GitPrograms {
  readonly git: string;
  readonly ssh: string;
}

export const REPOSITORY = 'demo/notes.git';
/** What the repository holds. */
export const NOTE = 'cloned with a key that the agent never saw\n';

/** Nothing of this machine's configuration of git. */
const ALONE = {
  ...{ GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' },
  ...{ GIT_AUTHOR_NAME: 'demo', GIT_AUTHOR_EMAIL: 'demo@localhost' },
  ...{ GIT_COMMITTER_NAME: 'demo', GIT_COMMITTER_EMAIL: 'demo@localhost' },
};

const run = promisify(execFile);
const PACK = new RegExp(`^git[- ](upload-pack|receive-pack) '/?${REPOSITORY.replace('.', '\\.')}'$`);

/** Errors: none; where `git` or `ssh` is missing, which. */
export async function openGitUpstream(folder: string, env: NodeJS.ProcessEnv): Promise<GitUpstream | Missing> {
  const [git, ssh] = [await findProgram('git', env), await findProgram('ssh', env)];
  if (git === undefined || ssh === undefined) {
    return { missing: `there is no ${git === undefined ? 'git' : 'ssh'} on PATH` };
  }
  const repository = join(folder, 'notes.git');
  await makeRepository(git, repository);
  const { Server: SshServer, utils } = loadSsh2();
  const host = utils.generateKeyPairSync('ed25519');
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const { blob } = publicKeyOf(privateKey);
  const seen: Seen[] = [];
  const server = new SshServer({ hostKeys: [host.private], ident: 'demo' }, (connection) => {
    connection.on('error', () => undefined);
    connection.on('authentication', (login) =>
      isHolder(login, publicKey, blob) ? login.accept() : login.reject(['publickey']),
    );
    connection.on('session', (accept) => {
      accept().on('exec', (acceptExec, reject, { command }) => {
        const verb = PACK.exec(command)?.[1];
        if (verb === undefined) return reject();
        seen.push({ row: '', method: verb, path: REPOSITORY, credential: `publickey of git, ${verb}` });
        serve(git, verb, repository, acceptExec());
      });
    });
  });
  await listen(server);
  const { port } = server.address() as AddressInfo;
  return {
    ...{ port, seen, programs: { git, ssh } },
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    hostKey: host.public.trim(),
    close: () => void server.close(),
  };
}

/** Whether a login is that of the key's holder. ssh2 looks at no signature; a login without one only asks whether the key would do. */
export function isHolder(login: AuthContext, key: KeyObject, blob: Buffer): boolean {
  if (login.method !== 'publickey' || login.username !== 'git' || !login.key.data.equals(blob)) return false;
  const { signature, blob: signed } = login;
  return signature === undefined || (signed !== undefined && verify(null, signed, key, signature));
}

function serve(git: string, verb: string, repository: string, channel: ServerChannel): void {
  const child = spawn(git, [verb, repository], { env: ALONE, stdio: 'pipe' });
  channel.on('error', () => child.kill());
  child.stdin.on('error', () => undefined);
  channel.pipe(child.stdin);
  child.stdout.pipe(channel, { end: false });
  child.stderr.pipe(channel.stderr, { end: false });
  child.once('close', (code) => {
    channel.exit(code ?? 1);
    channel.end();
  });
}

async function listen(server: Server): Promise<void> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
}

/** A bare repository with one commit, made by hand: nobody's name and no checkout are needed. */
async function makeRepository(git: string, folder: string): Promise<void> {
  const note = `${folder}.txt`;
  const say = async (...words: readonly string[]): Promise<string> =>
    (await run(git, ['--git-dir', folder, ...words], { env: ALONE })).stdout.trim();
  await run(git, ['init', '--quiet', '--bare', '--initial-branch=main', folder], { env: ALONE });
  await writeFile(note, NOTE);
  await say('update-index', '--add', '--cacheinfo', '100644', await say('hash-object', '-w', note), 'note.txt');
  await say('update-ref', 'refs/heads/main', await say('commit-tree', '-m', 'A note', await say('write-tree')));
}

/** Its path, where it is on PATH. */
export async function findProgram(name: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, name);
    const there = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (folder !== '' && there) return path;
  }
  return undefined;
}
