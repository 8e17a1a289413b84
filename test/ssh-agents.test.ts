import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { canary } from './canary.ts';
import { eventually } from './rig.ts';
import { canaryKey, type CanaryKey } from './ssh/key.ts';
import { Place, type Door, type Ran } from './ssh/place.ts';
import { missing, pythonModule, PYTHON } from './ssh/programs.ts';
import { refusedBy } from './ssh/refusal.ts';
import { startSidecar, type Sidecar } from './ssh/sidecar.ts';
import { startSshd, type Sshd } from './ssh/sshd.ts';
import { serviceFor, sidecarDoor } from './ssh/world.ts';

const absent = missing('sshd', 'ssh', 'scp', 'git', 'rsync');
const noParamiko = pythonModule('paramiko');
const FORGER = fileURLToPath(new URL('ssh/clients/forger.py', import.meta.url));

describe.skipIf(absent !== undefined)(
  `agents and services of one listener${absent === undefined ? '' : ` (${absent})`}`,
  () => {
    let first: Sshd;
    let second: Sshd;
    let sidecar: Sidecar;
    let places: Place[] = [];
    const reviewer = canaryKey();
    const deployer = canaryKey();
    const stranger = canaryKey();
    const token = canary();
    const otherToken = canary();

    const placeOf = (service: string, door: Partial<Door> = {}): Place => {
      const place = new Place({ ...sidecarDoor(sidecar, first.folder, service), ...door });
      places.push(place);
      return place;
    };
    const withKey = (key: CanaryKey): Partial<Door> => ({ key: key.openssh });

    beforeAll(async () => {
      [first, second] = await Promise.all([startSshd(), startSshd()]);
      const keys = { reviewer: { publicKey: reviewer.line }, deployer: { publicKey: `${deployer.line} who it is` } };
      const tokens = { reviewer: { token }, deployer: { token: otherToken } };
      sidecar = await startSidecar({
        services: {
          keys: serviceFor(first, { config: { agents: keys } }),
          tokens: serviceFor(first, { config: { agents: tokens } }),
          one: serviceFor(first, { config: { users: [first.user, 'nobody-there'] } }),
          two: { ...serviceFor(second), shares: 'one' },
        },
        rules: [
          { id: 'deploys', effect: 'allow', agents: ['deployer'], services: ['keys', 'tokens'] },
          {
            id: 'reviews',
            effect: 'allow',
            agents: ['reviewer'],
            services: ['keys', 'tokens'],
            ssh: { commands: ['uptime'] },
          },
          { id: 'two-servers', effect: 'allow', services: ['one', 'two'] },
        ],
      });
    });
    afterEach(async () => {
      await Promise.all(places.map((place) => place.close()));
      places = [];
    });
    afterAll(async () => {
      await sidecar?.remove();
      await Promise.all([first?.stop(), second?.stop()]);
    });

    describe('an agent that shows its own key', () => {
      test('is who it proves to be, for rules and in the ledger', async () => {
        const ran = await placeOf('keys', withKey(deployer)).ssh(['host', 'echo deployed']);
        expect(ran).toMatchObject({ code: 0, out: 'deployed\n' });
        const denied = await placeOf('keys', withKey(reviewer)).ssh(['host', 'echo deployed']);
        expect([denied.code, refusedBy(denied.err)]).toEqual([126, ['policy-denied default-deny']]);
        const asked = sidecar
          .events('decision')
          .filter(({ service, request }) => service === 'keys' && request === 'exec');
        expect(asked.map(({ principal, result }) => [principal, result])).toEqual([
          [{ agent: 'deployer', attested: 'key' }, 'allow'],
          [{ agent: 'reviewer', attested: 'key' }, 'deny'],
        ]);
      });

      test('is nobody with another key, or with none', async () => {
        for (const door of [withKey(stranger), {}]) {
          const { code, out, err } = await placeOf('keys', door).ssh(['host', 'echo in']);
          expect([code, out]).toEqual([255, '']);
          expect(err).toMatch(/Permission denied|denied|secretless/);
        }
      });

      test.skipIf(noParamiko !== undefined).each([
        ['its own', 'in'],
        ['other-key', 'AuthenticationException'],
        ['other-session', 'AuthenticationException'],
        ['changed', 'AuthenticationException'],
        ['zeros', 'AuthenticationException'],
        ['empty', 'AuthenticationException'],
        ['none', 'BadAuthenticationType'],
        ['password', 'BadAuthenticationType'],
      ])('cannot be played by a signature that is %s', async (way, said) => {
        const place = placeOf('keys');
        const [a, b] = [place.file('a', deployer.openssh), place.file('b', stranger.openssh)];
        const before = first.log().length;
        const out = await place.succeed(PYTHON, [FORGER, String(sidecar.port('keys')), way, a, b]);
        // Whoever is refused may be cut off at the same time.
        const heard = out.trim();
        if (said === 'in') expect(heard).toBe('in');
        else expect([said, 'AuthenticationException', 'SSHException', 'EOFError']).toContain(heard);
        if (said !== 'in') expect(first.log().slice(before)).not.toContain('Accepted');
      });
    });

    describe('an agent that says its token', () => {
      const say = (secret: string): Promise<Ran> => {
        const lines = ['Host *', 'BatchMode no', 'PreferredAuthentications password', 'NumberOfPasswordPrompts 1'];
        const place = placeOf('tokens', { lines });
        const askpass = place.file('askpass', '#!/bin/sh\nprintf "%s\\n" "$SAY"\n');
        const env = { SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force', SAY: secret };
        return place.run('sh', ['-c', 'chmod 700 "$SSH_ASKPASS"; exec ssh -F "$0" host "echo in"', place.config], {
          env,
        });
      };

      test('is who it proves to be', async () => {
        expect(await say(otherToken)).toMatchObject({ code: 0, out: 'in\n' });
        expect(await say(token)).toMatchObject({ code: 126, out: '' });
        const agents = sidecar
          .events('decision')
          .filter(({ service, request }) => service === 'tokens' && request === 'login');
        expect(agents.map(({ principal }) => principal)).toEqual([
          { agent: 'deployer', attested: 'token' },
          { agent: 'reviewer', attested: 'token' },
        ]);
      });

      test('is nobody with another one', async () => {
        const before = first.log().length;
        for (const guess of ['', 'guess', token.slice(0, -1), `${token}x`])
          expect(await say(guess)).toMatchObject({ code: 255, out: '' });
        expect(first.log().slice(before)).not.toContain('Accepted');
      });
    });

    describe('two services on one listener', () => {
      const where = `cat ${'$'}SSH_CONNECTION 2>/dev/null; echo $SSH_CONNECTION | cut -d' ' -f4`;

      test.each([
        ['two', 0, () => second.port],
        ['one', 0, () => first.port],
        [`root--one`, 0, () => first.port],
        [`anyone--two`, 0, () => second.port],
      ] as const)('%s is a login name that leads to one of them', async (name, status, port) => {
        const user = name.startsWith('root--') ? `${first.user}--one` : name;
        const { code, out } = await placeOf('one', { user }).ssh(['host', where]);
        expect([code, out]).toEqual([status, `${port()}\n`]);
      });

      test.each([
        ['somebody', 'upstream-unclear'],
        ['root@two', 'upstream-unclear'],
        ['two:22', 'upstream-unclear'],
        ['127.0.0.1', 'upstream-unclear'],
        ['root--127.0.0.1', 'upstream-unclear'],
        ['root--two--three', 'upstream-unclear'],
        ['TWO', 'upstream-unclear'],
        ['other--one', 'policy-denied'],
      ])('%s is a login name that leads nowhere', async (user, code) => {
        const arrived = (): number => `${first.log()}${second.log()}`.split('Connection from').length;
        const before = arrived();
        const ran = await placeOf('one').ssh(['-l', user, 'host', 'echo in']);
        expect([ran.code, ran.out, refusedBy(ran.err)]).toEqual([255, '', [code]]);
        expect(arrived()).toBe(before);
      });

      test('the form survives scp, rsync, git and URLs', async () => {
        const place = placeOf('one');
        const name = 'anyone--two';
        const shell = `ssh -F ${place.config}`;
        await place.succeed('scp', ['-F', place.config, place.config, `${name}@host:${place.remote}-1`]);
        await place.succeed('scp', ['-O', '-F', place.config, place.config, `${name}@host:${place.remote}-2`]);
        await place.succeed('rsync', ['-e', shell, place.config, `${name}@host:${place.remote}-3`]);
        expect((await place.ssh([`ssh://${name}@host`, where])).out).toBe(`${second.port}\n`);
        for (const url of [`ssh://${name}@host${place.remote}`, `${name}@host:${place.remote}`]) {
          const { err } = await place.run('git', ['ls-remote', url], { env: { GIT_SSH_COMMAND: shell } });
          expect(err).toContain('does not appear to be a git repository');
        }
        await eventually(() => second.log().split('Accepted').length > 6, 'all six logins');
      });
    });
  },
);
