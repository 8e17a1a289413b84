import { execFile } from 'node:child_process';
import { dirname } from 'node:path';
import type { Outcome } from './agent.ts';
import type { GitPrograms } from './git-upstream.ts';

/** What an agent does with git: it knows an address, and where the configuration of `ssh` is that leads there. */
export interface GitErrand {
  readonly row: string;
  readonly git: {
    readonly verb: 'clone' | 'push';
    readonly url: string;
    /** As `secretless ssh config` writes it. */
    readonly sshConfig: string;
    /** Of the clone. */
    readonly folder: string;
    readonly programs: GitPrograms;
  };
}

const OUTPUT_BYTES_MAX = 64 * 1024;

/** The status is git's exit code, the body what it said. */
export function runGit({ row, git }: GitErrand): Promise<Outcome> {
  const { verb, url, folder, programs, sshConfig } = git;
  const words =
    verb === 'clone' ? ['clone', '--quiet', url, folder] : ['-C', folder, 'push', '--quiet', url, 'HEAD:agent'];
  // Programs to find and a place to be: nothing of it opens anything.
  const env = {
    PATH: [dirname(programs.git), dirname(programs.ssh)].join(':'),
    HOME: dirname(folder),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_SSH_COMMAND: `'${programs.ssh}' -F '${sshConfig}'`,
  };
  return new Promise((resolve) => {
    execFile(programs.git, words, { env, maxBuffer: OUTPUT_BYTES_MAX }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 'failed';
      resolve({ row, status, arrivals: [], body: `${stdout}${stderr}`, ms: 0 });
    });
  });
}
