import { describe } from 'vitest';
import { COPY_CASES, RSYNC_CASES, SSHFS_CASES } from './ssh/cases/copy.ts';
import { GIT_CASES } from './ssh/cases/git.ts';
import { compareCases } from './ssh/compare.ts';
import { missing } from './ssh/programs.ts';
import { useWorld } from './ssh/world.ts';

const absent = missing('sshd', 'ssh', 'scp', 'sftp', 'rsync', 'git');

describe.skipIf(absent !== undefined)(`files over SSH${absent === undefined ? '' : ` (${absent})`}`, () => {
  const { doors } = useWorld();
  compareCases(doors, [...COPY_CASES, ...RSYNC_CASES, ...SSHFS_CASES, ...GIT_CASES]);
});
