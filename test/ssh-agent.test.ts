import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { fingerprint } from '../src/connector/ssh/public-key.ts';
import { eventually } from './rig.ts';
import { Git } from './ssh/cases/git.ts';
import { Place, type Door, type Ran } from './ssh/place.ts';
import { missing } from './ssh/programs.ts';
import { startSidecar, type Sidecar } from './ssh/sidecar.ts';
import { startSshd, type Sshd } from './ssh/sshd.ts';

const absent = missing('sshd', 'ssh', 'ssh-add', 'ssh-keygen', 'git');

describe.skipIf(absent !== undefined)(
  `an agent that signs and never gives${absent === undefined ? '' : ` (${absent})`}`,
  () => {
    let sshd: Sshd;
    let foreign: Sshd;
    let sidecar: Sidecar;
    let places: Place[] = [];
    const socket = (service: string): string => join(sidecar.folder, `${service}.sock`);
    /** Programs that know the socket, and log in at the server itself. */
    const placeOf = (service: string, server = sshd): Place => {
      const lines = [
        'Host *',
        'IdentitiesOnly no',
        `IdentityAgent ${socket(service)}`,
        'PreferredAuthentications publickey',
      ];
      const door: Door = {
        port: server.port,
        user: server.user,
        hostKey: server.hostKey.line,
        remote: server.folder,
        lines,
      };
      const place = new Place(door);
      places.push(place);
      return place;
    };
    const withAgent = (place: Place, service: string, program: string, ...args: readonly string[]): Promise<Ran> =>
      place.run(program, args, { env: { SSH_AUTH_SOCK: socket(service) } });

    beforeAll(async () => {
      sshd = await startSshd();
      const { key } = sshd;
      foreign = await startSshd({ key });
      const agent = (config: object = {}) => ({
        connector: 'ssh-agent',
        credentials: { privateKey: key.openssh },
        config,
      });
      sidecar = await startSidecar({
        services: {
          keys: agent({ hosts: [fingerprint(sshd.hostKey.blob)] }),
          ruled: agent(),
          signing: agent({ logins: false }),
        },
        rules: [
          { id: 'all-keys', effect: 'allow', services: ['keys', 'signing'] },
          { id: 'one-host', effect: 'allow', services: ['ruled'], ssh: { hostKeys: [fingerprint(sshd.hostKey.blob)] } },
        ],
      });
    });
    afterEach(async () => {
      await Promise.all(places.map((place) => place.close()));
      places = [];
    });
    afterAll(async () => {
      await sidecar?.remove();
      await Promise.all([sshd?.stop(), foreign?.stop()]);
    });

    test.each(['keys', 'ruled'])(
      'logs a client in at the host that it may go to, and at no other: %s',
      async (service) => {
        expect(await placeOf(service).ssh(['host', 'echo in'])).toMatchObject({ code: 0, out: 'in\n' });
        const { code, out, err } = await placeOf(service, foreign).ssh(['host', 'echo in']);
        expect([code, out]).toEqual([255, '']);
        expect(err).toMatch(/agent refused operation|Permission denied/);
        const signed = sidecar
          .events('decision')
          .filter((event) => event['service'] === service && event['request'] === 'sign-login');
        expect(signed[0]).toMatchObject({
          result: 'allow',
          user: sshd.user,
          destination: fingerprint(sshd.hostKey.blob),
        });
        expect(signed.filter(({ result }) => result === 'allow')).toHaveLength(1);
        if (service === 'ruled')
          expect(signed.at(-1)).toMatchObject({ result: 'deny', destination: fingerprint(foreign.hostKey.blob) });
      },
    );

    test('shows its keys, and takes none away or on', async () => {
      const place = placeOf('keys');
      const listed = await withAgent(place, 'keys', 'ssh-add', '-L');
      expect(listed.out.startsWith(sshd.key.line)).toBe(true);
      await place.succeed('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(place.folder, 'own')]);
      for (const args of [['-D'], [join(place.folder, 'own')], ['-d', join(place.folder, 'own.pub')]]) {
        expect((await withAgent(place, 'keys', 'ssh-add', ...args)).code).not.toBe(0);
      }
      expect(await withAgent(place, 'keys', 'ssh-add', '-L')).toEqual(listed);
    });

    test('signs commits that git verifies, and neither logins nor other documents', async () => {
      const place = placeOf('signing');
      const git = new Git(place);
      const work = join(place.folder, 'work');
      await git.succeed(['init', '-q', work]);
      const signers = place.file('signers', `a@b ${sshd.key.line}\n`);
      const config = {
        'gpg.format': 'ssh',
        'user.signingKey': `key::${sshd.key.line}`,
        'gpg.ssh.allowedSignersFile': signers,
      };
      for (const [key, value] of Object.entries(config)) await git.succeed(['config', key, value], { cwd: work });
      writeFileSync(join(work, 'file'), 'x');
      await git.succeed(['add', '.'], { cwd: work });
      const env = { SSH_AUTH_SOCK: socket('signing') };
      await git.succeed(['commit', '-q', '-S', '-m', 'signed'], { cwd: work, env });
      const { code, err } = await git.run(['verify-commit', 'HEAD'], { cwd: work });
      expect([code, err]).toEqual([0, expect.stringContaining('Good "git" signature for a@b')]);
      const key = place.file('key.pub', `${sshd.key.line}\n`);
      const document = place.file('document', 'x');
      const other = await withAgent(place, 'signing', 'ssh-keygen', '-Y', 'sign', '-n', 'file', '-f', key, document);
      expect(other.code).not.toBe(0);
      expect((await place.ssh(['host', 'echo in'])).code).toBe(255);
      const signed = sidecar
        .events('decision')
        .filter(({ service, request }) => service === 'signing' && request !== 'keys');
      expect(signed[0]).toMatchObject({ request: 'sign-document', destination: 'git', result: 'allow' });
      expect(signed.filter(({ result }) => result === 'allow')).toHaveLength(1);
    });

    test('signs nothing for a host on the way (-A)', async () => {
      const place = placeOf('ruled');
      const onward = `ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes -p ${sshd.port} 127.0.0.1 echo behind`;
      const { code, out, err } = await place.ssh(['-A', 'host', onward]);
      expect([code, out]).toEqual([255, '']);
      expect(err).toMatch(/agent refused operation|Permission denied/);
    });

    test('has its socket for nobody else', async () => {
      const names = readdirSync(sidecar.folder).filter((name) => name.endsWith('.sock'));
      expect(names.length).toBeGreaterThanOrEqual(3);
      const place = placeOf('keys');
      const modes = await place.succeed('stat', ['-c', '%a', ...['keys', 'ruled', 'signing'].map(socket)]);
      expect(modes).toBe('600\n600\n600\n');
      // Whatever is in the environment of an agent's programs, the key is not.
      expect(readFileSync(place.config, 'utf8')).not.toContain(sshd.key.openssh.split('\n')[3]!);
      await eventually(() => sidecar.events('decision').length > 0, 'a ledger');
    });
  },
);
