import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { keepArtefact } from './canary.ts';
import { runCommand } from './process-rig.ts';
import { Git } from './ssh/cases/git.ts';
import { canaryKey } from './ssh/key.ts';
import { Place } from './ssh/place.ts';
import { missing } from './ssh/programs.ts';
import { startSidecar, type Sidecar } from './ssh/sidecar.ts';
import { startSshd, type Sshd } from './ssh/sshd.ts';
import { serviceFor, sidecarDoor } from './ssh/world.ts';
import { sweep } from './sweep.ts';

const absent = missing('sshd', 'ssh', 'git');
/** What leads ssh to a Unix socket. */
const hasNc = missing('nc') === undefined;

describe.skipIf(absent !== undefined)(
  `what \`secretless ssh config\` writes${absent === undefined ? '' : ` (${absent})`}`,
  () => {
    let sshd: Sshd;
    let sidecar: Sidecar;
    const agent = canaryKey();
    beforeAll(async () => {
      sshd = await startSshd();
      sidecar = await startSidecar({
        services: {
          build: serviceFor(sshd),
          deploy: { ...serviceFor(sshd), shares: 'build' },
          local: serviceFor(sshd, { listenOn: 'unix://./local.sock' }),
          keys: serviceFor(sshd, { config: { agents: { reviewer: { publicKey: agent.line } } } }),
        },
      });
    });
    afterAll(async () => {
      await sidecar?.remove();
      await sshd?.stop();
    });

    test('leads ssh and git to each service, with nothing else to know', async () => {
      const place = new Place(sidecarDoor(sidecar, sshd.folder, 'build'));
      onTestFinished(() => place.close());
      const identity = place.file('agent', agent.openssh);
      const written = join(place.folder, 'written');
      const words = ['ssh', 'config', '-f', sidecar.file, '--identity', identity, '--write', written];
      expect(await runCommand(sidecar.folder, words, { env: sidecar.env })).toMatchObject({ code: 0, err: '' });
      const config = join(written, 'ssh_config');
      const names = ['build', 'deploy', ...(hasNc ? ['local'] : []), 'keys'];
      for (const service of names) {
        expect(await place.run('ssh', ['-F', config, service, 'echo in'])).toEqual({ code: 0, out: 'in\n', err: '' });
      }
      const asked = sidecar.events('decision').filter(({ request }) => request === 'login');
      expect(asked.map(({ service }) => service)).toEqual(names);
      const git = new Git(place);
      const path = await git.bare('repo');
      const env = { GIT_SSH_COMMAND: `ssh -F ${config}` };
      await git.succeed(['clone', '-q', `deploy:${path}`, 'work'], { env });
      expect(readFileSync(join(place.folder, 'work/one'), 'utf8')).toContain('one');
      for (const name of ['ssh_config', 'known_hosts']) keepArtefact('setup', readFileSync(join(written, name)));
    });
  },
);

test('the leak sweep finds a key in every form that it is written in', async () => {
  const place = new Place({ port: 1, user: 'x', hostKey: 'x', remote: '/' });
  onTestFinished(() => place.close());
  const artefacts = join(place.folder, 'artefacts');
  mkdirSync(artefacts);
  const { openssh, pkcs8, seed } = canaryKey();
  const forms = {
    openssh,
    pkcs8,
    json: JSON.stringify({ openssh }),
    bytes: seed,
    hex: Buffer.from(seed).toString('hex'),
  };
  for (const [name, content] of Object.entries(forms)) writeFileSync(join(artefacts, name), content);
  const { hits } = sweep([seed], artefacts);
  expect([...new Set(hits.map(({ file }) => file))].sort()).toEqual(Object.keys(forms).sort());
});
