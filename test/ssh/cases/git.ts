import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Case } from '../compare.ts';
import type { Place, Ran, RunOptions } from '../place.ts';

/** Git that reads nothing of whoever runs the test. */
export class Git {
  readonly place: Place;
  readonly #env: Readonly<Record<string, string>>;

  constructor(place: Place) {
    this.place = place;
    const author = {
      GIT_AUTHOR_NAME: 'a',
      GIT_AUTHOR_EMAIL: 'a@b',
      GIT_COMMITTER_NAME: 'a',
      GIT_COMMITTER_EMAIL: 'a@b',
    };
    const none = {
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_TERMINAL_PROMPT: '0',
      GIT_CONFIG_GLOBAL: join(place.folder, 'gitconfig'),
    };
    this.#env = { ...author, ...none, GIT_SSH_COMMAND: `ssh -F ${place.config}` };
    writeFileSync(join(place.folder, 'gitconfig'), '[init]\n\tdefaultBranch = main\n[safe]\n\tdirectory = *\n');
  }

  /** A repository on the far side with two commits; its path. */
  async bare(name: string): Promise<string> {
    const path = join(this.place.remote, `${name}.git`);
    mkdirSync(this.place.remote, { recursive: true });
    await this.succeed(['init', '-q', '--bare', path]);
    const work = join(this.place.folder, `${name}-first`);
    await this.succeed(['clone', '-q', path, work]);
    for (const file of ['one', 'two']) await this.commit(work, file);
    await this.succeed(['push', '-q', 'origin', 'main'], { cwd: work });
    return path;
  }

  async commit(work: string, file: string): Promise<void> {
    writeFileSync(join(work, file), `${file}\n`.repeat(2000));
    await this.succeed(['add', '.'], { cwd: work });
    await this.succeed(['commit', '-q', '-m', file], { cwd: work });
  }

  run(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
    return this.place.run('git', args, { ...options, env: { ...this.#env, ...options.env } });
  }

  succeed(args: readonly string[], options: RunOptions = {}): Promise<string> {
    return this.place.succeed('git', args, { ...options, env: { ...this.#env, ...options.env } });
  }
}

async function cloneAndPush(place: Place, url: (path: string) => string): Promise<unknown> {
  const git = new Git(place);
  const path = await git.bare('repo');
  const work = join(place.folder, 'work');
  await git.succeed(['clone', '-q', url(path), work]);
  await git.commit(work, 'three');
  await git.succeed(['push', '-q', 'origin', 'main', 'HEAD:refs/heads/side'], { cwd: work });
  const other = join(place.folder, 'repo-first');
  await git.succeed(['remote', 'set-url', 'origin', url(path)], { cwd: other });
  await git.succeed(['pull', '-q', 'origin', 'main'], { cwd: other });
  const branches = await git.succeed(['ls-remote', '--heads', url(path)]);
  const log = await git.succeed(['log', '--format=%s'], { cwd: other });
  return [log, branches.match(/refs\/heads\/\w+/g), existsSync(join(other, 'three'))];
}

async function shallow(place: Place): Promise<unknown> {
  const git = new Git(place);
  const url = `ssh://host${await git.bare('repo')}`;
  const work = join(place.folder, 'work');
  await git.succeed(['clone', '-q', '--depth', '1', url, work]);
  const before = await git.succeed(['rev-list', '--count', 'HEAD'], { cwd: work });
  await git.succeed(['fetch', '-q', '--unshallow'], { cwd: work });
  const after = await git.succeed(['rev-list', '--count', 'HEAD'], { cwd: work });
  await git.succeed(['fsck', '--full'], { cwd: work });
  return [before, after];
}

/** The version that the server speaks, as git traces it. */
async function version(place: Place, wanted: 0 | 2): Promise<unknown> {
  const git = new Git(place);
  const url = `ssh://host${await git.bare('repo')}`;
  const args = ['-c', `protocol.version=${wanted}`, 'ls-remote', url];
  const { code, err } = await git.run(args, { env: { GIT_TRACE_PACKET: '1' } });
  return [code, /< version 2/.test(err)];
}

async function absent(place: Place): Promise<unknown> {
  const { code, err } = await new Git(place).run(['clone', `ssh://host${place.remote}/absent.git`, 'x']);
  return [code, /does not appear to be a git repository/.test(err), /Could not read from remote repository/.test(err)];
}

async function archive(place: Place): Promise<unknown> {
  const git = new Git(place);
  const path = await git.bare('repo');
  const { code, out } = await git.run(['archive', `--remote=ssh://host${path}`, '--format=tar', 'main']);
  return [code, out.includes('one\n'.repeat(2000))];
}

const LOG = 'three\ntwo\none\n';
const HEADS = ['refs/heads/main', 'refs/heads/side'];

export const GIT_CASES: readonly Case[] = [
  [
    'clones, pushes and pulls over ssh://',
    (place) => cloneAndPush(place, (path) => `ssh://host${path}`),
    [LOG, HEADS, true],
  ],
  [
    'clones, pushes and pulls over host:path',
    (place) => cloneAndPush(place, (path) => `host:${path}`),
    [LOG, HEADS, true],
  ],
  ['clones as little as it is told to, and the rest later', shallow, ['1\n', '2\n']],
  ['speaks version 2', (place) => version(place, 2), [0, true]],
  ['speaks version 0', (place) => version(place, 0), [0, false]],
  ['hears what git says of a repository that is not there', absent, [128, true, true]],
  ['asks for an archive', archive, [0, true]],
];
