import type { GitFacts } from 'secretless-sidecar/connector';

/** A command that git's side of a server runs, read from the text that a shell would get. */
export interface GitCommand extends GitFacts {
  /** Name of the program: `git-upload-pack`. */
  readonly program: string;
  /** What it gets as its argument, before it is made a name of a repository. */
  readonly argument: string;
}

const PROGRAMS = 'upload-pack|receive-pack|upload-archive';
const LFS = 'lfs-authenticate|lfs-transfer';
/** As git writes it (`sq_quote_buf`): in single quotes, where a quote and `!` stand outside of them with a backslash. */
const QUOTED = String.raw`'(?:[^'!]|'\\['!]')*'`;
/** Letters that no shell reads as anything but themselves; `~` is not among them, and zsh reads a `=` in front. */
const PLAIN = '[A-Za-z0-9_@+:,./][A-Za-z0-9_@+=:,./-]*';
const COMMAND = new RegExp(`^git[- ](?:(${PROGRAMS})|(${LFS})) (${QUOTED}|${PLAIN})(?: (upload|download))?$`, 's');
/** One name of a path. What is not here is either nothing to a forge or something to a shell, a URL or a file system. */
const SEGMENT = /^(?!\.{1,2}$)(?!-)[A-Za-z0-9_.@+=,~!' -]+$/;
const REPOSITORY_LETTERS_MAX = 1024;

/**
 * Reads a command as one of git's, strictly: nothing but the forms that git itself sends and a shell cannot read in
 * another way. `unclear`: it may run git, and what it does is not certain. Undefined: it does not name git.
 */
export function readGitCommand(command: string): GitCommand | 'unclear' | undefined {
  if (!/git/i.test(command)) return undefined;
  const [, program, lfs, word, operation] = COMMAND.exec(command) ?? [];
  if (word === undefined || (lfs === undefined) !== (operation === undefined)) return 'unclear';
  const argument = word.startsWith("'") ? word.slice(1, -1).replace(/'\\(['!])'/g, '$1') : word;
  const repository = repositoryOf(argument);
  if (repository === undefined) return 'unclear';
  const push = program === 'receive-pack' || operation === 'upload';
  return { program: `git-${program ?? lfs!}`, argument, repository, push };
}

/**
 * The name that policy knows a repository by: without the `/` or `~/` in front, without the ends that git adds itself
 * when it looks for one (`/`, `.git`, `/.git`), in lower case. Undefined where it may be another one.
 */
export function repositoryOf(argument: string): string | undefined {
  if (argument.length > REPOSITORY_LETTERS_MAX) return undefined;
  const path = argument.replace(/^(?:\/|~\/)/, '');
  const name = path.replace(/\/$/, '').replace(/\/?\.git$/, '');
  const [first = '', ...others] = name.split('/');
  // In front of a name `~` is somebody's folder, unless a slash is before it: then it may be either.
  const isSomebodys = first.startsWith('~');
  if (isSomebodys && (path !== argument || first === '~')) return undefined;
  if (others.some((segment) => segment.startsWith('~'))) return undefined;
  const isClear = [first, ...others].every((segment) => SEGMENT.test(segment) && !/\.git$/i.test(segment));
  // Not before it is known to be ASCII: other letters have lower cases among these.
  return isClear ? name.toLowerCase() : undefined;
}
