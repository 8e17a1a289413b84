import { describe } from 'vitest';
import { FORWARD_CASES, SHARED_CASES, screens } from './ssh/cases/forward.ts';
import { compareCases } from './ssh/compare.ts';
import { missing } from './ssh/programs.ts';
import { serviceFor, useWorld } from './ssh/world.ts';

const absent = missing('sshd', 'ssh', 'ssh-agent', 'curl', 'python3');

describe.skipIf(absent !== undefined)(`forwards that a rule opens${absent === undefined ? '' : ` (${absent})`}`, () => {
  const { doors } = useWorld({
    prepare: screens,
    configuration: (sshd) => ({
      services: { host: serviceFor(sshd) },
      rules: [
        { id: 'sessions', effect: 'allow', services: ['host'] },
        {
          id: 'ways',
          effect: 'allow',
          services: ['host'],
          ssh: { forwards: ['*'], listens: ['*'], agentForwarding: true, x11Forwarding: true },
        },
      ],
    }),
  });
  compareCases(doors, [...FORWARD_CASES, ...SHARED_CASES]);
});
