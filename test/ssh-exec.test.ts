import { describe } from 'vitest';
import { EXEC_CASES, STREAM_CASES } from './ssh/cases/exec.ts';
import { compareCases } from './ssh/compare.ts';
import { missing } from './ssh/programs.ts';
import { useWorld } from './ssh/world.ts';

const absent = missing('sshd', 'ssh', 'expect');

describe.skipIf(absent !== undefined)(`commands of OpenSSH${absent === undefined ? '' : ` (${absent})`}`, () => {
  const { doors } = useWorld();
  compareCases(doors, EXEC_CASES);
  compareCases(doors, STREAM_CASES);
});
