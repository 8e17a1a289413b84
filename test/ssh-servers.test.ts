import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe } from 'vitest';
import { sha256 } from './ssh/cases/exec.ts';
import { compareCases, type Case } from './ssh/compare.ts';
import { missing, pythonModule } from './ssh/programs.ts';
import { startAsyncssh, type ServerProgram } from './ssh/server-program.ts';
import { startSidecar, type Sidecar } from './ssh/sidecar.ts';
import { ordinaryAccount, startSshd, type Sshd } from './ssh/sshd.ts';
import { directDoor, serviceFor, sidecarDoor } from './ssh/world.ts';

const noClient = missing('ssh', 'scp', 'sftp');

/** What every server does alike. */
const CASES: readonly Case[] = [
  [
    'runs commands, with input, output and status',
    async (place) => {
      const sent = randomBytes(3_000_000);
      const { code, out, err } = await place.bytes('ssh', ['-F', place.config, 'host', 'cat; echo over >&2; exit 9'], {
        input: sent,
      });
      return [code, sha256(out) === sha256(sent), err];
    },
    [9, true, 'over\n'],
  ],
  ['lets a command die of a signal', async (place) => (await place.ssh(['host', 'kill -TERM $$'])).code, 255],
  [
    'changes keys in the middle of a stream',
    async (place) => {
      const sent = randomBytes(6_000_000);
      const { code, out } = await place.bytes('ssh', ['-F', place.config, '-o', 'RekeyLimit=1M', 'host', 'cat'], {
        input: sent,
      });
      return [code, sha256(out) === sha256(sent)];
    },
    [0, true],
  ],
];

interface Kind {
  readonly name: string;
  readonly absent: string | undefined;
  readonly start: () => Promise<ServerProgram | Sshd>;
}

const account = ordinaryAccount();

const KINDS: readonly Kind[] = [
  { name: 'asyncssh', absent: pythonModule('asyncssh'), start: startAsyncssh },
  {
    name: 'OpenSSH of an ordinary user',
    absent: missing('sshd') ?? (account === undefined ? 'nobody here but root has a shell' : undefined),
    start: () => startSshd({ account: account! }),
  },
];

for (const { name, absent, start } of KINDS) {
  const reason = noClient ?? absent;
  describe.skipIf(reason !== undefined)(reason === undefined ? name : `${name} (${reason})`, () => {
    let server: ServerProgram | Sshd;
    let sidecar: Sidecar;
    beforeAll(async () => {
      server = await start();
      sidecar = await startSidecar({ services: { host: serviceFor(server) } });
    });
    afterAll(async () => {
      await sidecar?.remove();
      await server?.stop();
    });
    compareCases(() => ({ direct: directDoor(server), sidecar: sidecarDoor(sidecar, server.folder) }), CASES);
  });
}
