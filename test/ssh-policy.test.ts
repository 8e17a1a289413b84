import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, afterAll, describe, expect, test } from 'vitest';
import { eventually } from './rig.ts';
import { Git } from './ssh/cases/git.ts';
import { running, screens, whileForwarding, withTarget } from './ssh/cases/forward.ts';
import { Place } from './ssh/place.ts';
import { freePorts } from './process-rig.ts';
import { missing } from './ssh/programs.ts';
import { refusals, refusedBy } from './ssh/refusal.ts';
import { startSidecar, type Event, type Sidecar } from './ssh/sidecar.ts';
import { startSshd, type Sshd } from './ssh/sshd.ts';
import { converse, echo, opened, startTarget } from './ssh/target.ts';
import { serviceFor, sidecarDoor } from './ssh/world.ts';

const absent = missing('sshd', 'ssh', 'git', 'sftp');

describe.skipIf(absent !== undefined)(`policy over SSH${absent === undefined ? '' : ` (${absent})`}`, () => {
  let sshd: Sshd;
  let sidecar: Sidecar;
  let places: Place[] = [];
  const placeOf = (service: string): Place => {
    const place = new Place(sidecarDoor(sidecar, sshd.folder, service));
    places.push(place);
    return place;
  };

  beforeAll(async () => {
    sshd = await startSshd({ prepare: screens });
    const names = ['git', 'commands', 'noshell', 'files', 'rated', 'closed', 'hours', 'host'];
    const repos = sshd.folder.slice(1).toLowerCase();
    // A minute, eight hours away.
    const hour = String((new Date().getUTCHours() + 8) % 24).padStart(2, '0');
    sidecar = await startSidecar({
      services: Object.fromEntries(names.map((name) => [name, serviceFor(sshd)])),
      rules: [
        {
          id: 'read-team',
          effect: 'allow',
          services: ['git'],
          ssh: { git: { repos: [`${repos}/*/team`], push: false } },
        },
        { id: 'push-open', effect: 'allow', services: ['git'], ssh: { git: { repos: [`${repos}/*/open`] } } },
        { id: 'few-commands', effect: 'allow', services: ['commands'], ssh: { commands: ['uptime', 'echo *'] } },
        { id: 'no-shell', effect: 'allow', services: ['noshell'], ssh: { shell: false } },
        { id: 'only-files', effect: 'allow', services: ['files'], ssh: { subsystems: ['sftp'] } },
        {
          id: 'two-a-minute',
          effect: 'allow',
          services: ['rated'],
          ssh: { commands: ['true'] },
          rate: { perMinute: 2 },
        },
        { id: 'at-night', effect: 'allow', services: ['hours'], time: { from: `${hour}:00`, to: `${hour}:01` } },
        { id: 'no-reboot', effect: 'deny', services: ['host'], ssh: { commands: ['reboot*'] } },
        { id: 'sessions', effect: 'allow', services: ['host'] },
      ],
    });
  });
  afterEach(async () => {
    await Promise.all(places.map((place) => place.close()));
    places = [];
  });
  afterAll(async () => {
    await sidecar?.remove();
    await sshd?.stop();
  });

  test('lets a repository be cloned and refuses the push, which git shows', async () => {
    const place = placeOf('git');
    const git = new Git(place);
    const [team, open] = [await git.bare('team'), await git.bare('open')];
    const work = join(place.folder, 'work');
    await git.succeed(['clone', '-q', `ssh://host${team}`, work]);
    await git.commit(work, 'three');
    const { code, err } = await git.run(['push', 'origin', 'main'], { cwd: work });
    expect(code).toBe(128);
    expect(refusedBy(err)).toEqual(['policy-denied default-deny']);
    expect(err).toContain('Could not read from remote repository');
    await git.succeed(['push', '-q', `host:${open}`, 'HEAD:refs/heads/side'], { cwd: work });
    const other = await git.run(['clone', `ssh://host${place.remote}/other.git`, 'x']);
    expect(refusedBy(other.err)).toEqual(['policy-denied default-deny']);
    const id = refusals(err)[0]!.id;
    const denied = sidecar.events('decision').find((event) => event['id'] === id && event['result'] === 'deny');
    expect(denied).toMatchObject({
      service: 'git',
      result: 'deny',
      rule: 'default-deny',
      request: 'exec',
      user: sshd.user,
    });
    expect(denied!['command']).toBe(`git-receive-pack '${team}'`);
    expect(sshd.log()).not.toContain('other.git');
  });

  test.each([
    ['echo a b', 0, []],
    ['uptime', 0, []],
    ['uptime; id', 126, ['policy-denied default-deny']],
    ['echo $(id)', 126, ['policy-denied default-deny']],
    ['echo a\nid', 126, ['policy-denied default-deny']],
    ['echo `id`', 126, ['policy-denied default-deny']],
    ['echo a > /tmp/x', 126, ['policy-denied default-deny']],
    [' uptime', 126, ['policy-denied default-deny']],
    ['git-upload-pack /x', 126, ['policy-denied default-deny']],
  ] as const)('runs only the commands that a rule lists: %j', async (command, status, said) => {
    const { code, out, err } = await placeOf('commands').ssh(['host', command]);
    expect([code, refusedBy(err)]).toEqual([status, said]);
    if (status !== 0) expect(out).toBe('');
  });

  test('refuses a shell, with and without a terminal, and runs commands', async () => {
    const place = placeOf('noshell');
    const plain = await place.ssh(['-T', 'host'], { input: 'id\n' });
    expect([plain.code, plain.out, refusedBy(plain.err)]).toEqual([126, '', ['policy-denied default-deny']]);
    const terminal = await place.ssh(['-tt', 'host'], { input: 'id\n' });
    // The client gives up as soon as it hears that there is no terminal.
    expect([terminal.code, terminal.err]).toEqual([255, expect.stringContaining('PTY allocation request failed')]);
    expect(await place.ssh(['host', 'echo ran'])).toMatchObject({ code: 0, out: 'ran\n', err: '' });
  });

  test('opens files and no command where only sftp is allowed', async () => {
    const place = placeOf('files');
    const batch = place.file('batch', `put ${place.config} ${place.remote}\n`);
    expect((await place.run('sftp', ['-q', '-F', place.config, '-b', batch, 'host'])).code).toBe(0);
    expect(existsSync(place.remote)).toBe(true);
    const { code, err } = await place.run('scp', ['-O', '-F', place.config, `host:${place.remote}`, 'x']);
    expect(code).not.toBe(0);
    expect(refusedBy(err)).toEqual(['policy-denied default-deny']);
  });

  test('counts uses against a rate, and says when to come back', async () => {
    const place = placeOf('rated');
    for (const status of [0, 0, 126]) {
      const { code, err } = await place.ssh(['host', 'true']);
      expect([code, refusedBy(err)]).toEqual([status, status === 0 ? [] : ['rate-limited two-a-minute']]);
      if (status !== 0) expect(refusals(err)[0]!.next).toMatch(/^try again in \d+ s$/);
    }
  });

  test.each([
    ['no rule allows anything', 'closed'],
    ['the only rule is for another time', 'hours'],
  ])('refuses the login where %s, and leads nowhere', async (_name, service) => {
    const before = sshd.log().length;
    const { code, out, err } = await placeOf(service).ssh(['host', 'true']);
    expect([code, out, refusedBy(err)]).toEqual([255, '', ['policy-denied default-deny']]);
    expect(sshd.log().slice(before)).not.toContain('Connection from');
    const { id } = refusals(err)[0]!;
    const denied = sidecar.events('decision').filter((event) => event['id'] === id);
    expect(denied).toMatchObject([{ service, result: 'deny', request: 'login' }]);
  });

  test('refuses what a rule denies, and answers requests in their order on a shared connection', async () => {
    const place = placeOf('host');
    const control = ['-o', `ControlPath=${join(place.folder, 'control')}`];
    const master = place.spawn(
      'ssh',
      ['-F', place.config, '-M', '-N', '-o', 'ServerAliveInterval=1', ...control, 'host'],
      { leaveOpen: true },
    );
    await opened(join(place.folder, 'control'), running(master));
    const asked = Array.from({ length: 8 }, (_, at) => {
      const command = at % 2 === 0 ? `sleep .0${at}; echo ${at}; exit ${at}` : `reboot ${at}`;
      return place.ssh([...control, ...(at % 4 === 3 ? ['-tt'] : []), 'host', command]);
    });
    const denied = Array.from({ length: 3 }, (_, at) =>
      place.ssh([...control, '-O', 'forward', '-R', `0:127.0.0.1:${at + 1}`, 'host']),
    );
    const ends = (await Promise.all(asked)).map(({ code, out, err }) => [code, out.trim(), refusedBy(`${out}${err}`)]);
    const wanted = asked.map((_, at): readonly unknown[] =>
      at % 2 === 0 ? [at, String(at), []] : [126, expect.anything(), ['policy-denied no-reboot']],
    );
    expect(ends).toEqual(wanted);
    for (const { code } of await Promise.all(denied)) expect(code).toBe(255);
    // The keepalive has been answered in the meantime, or the connection would be gone.
    await new Promise((resolve) => setTimeout(resolve, 3500));
    expect(await place.ssh([...control, 'host', 'echo still'])).toMatchObject({ code: 0, out: 'still\n' });
    master.kill();
  });

  describe('opens no way but sessions unless a rule does', () => {
    const REACHED = 'reached the target';
    const target = () => startTarget((socket) => socket.end(REACHED));

    test('-W', async () => {
      await withTarget(target(), async (at) => {
        const { code, out, err } = await placeOf('host').ssh(['-W', `127.0.0.1:${at.port}`, 'host'], {
          leaveOpen: true,
        });
        expect([code, out, refusedBy(err)]).toEqual([255, '', ['policy-denied default-deny']]);
        expect(err).toContain('administratively prohibited');
        expect(at.accepted).toBe(0);
      });
    });

    test('-L and -D, while sessions go on', async () => {
      await withTarget(target(), async (at) => {
        const [near, socks] = await freePorts(2);
        const place = placeOf('host');
        await whileForwarding(place, ['-L', `${near}:127.0.0.1:${at.port}`, '-D', String(socks)], async (ssh, said) => {
          await opened(near!, running(ssh));
          expect(await converse(near!, 'x').catch(() => '')).toBe('');
          const curl = await place.run('curl', [
            '-sS',
            '--socks5',
            `127.0.0.1:${socks}`,
            `http://127.0.0.1:${at.port}/`,
          ]);
          expect(curl.code).not.toBe(0);
          await eventually(() => refusedBy(said()).length > 0, 'a refusal');
          expect(new Set(refusedBy(said()))).toEqual(new Set(['policy-denied default-deny']));
          expect(at.accepted).toBe(0);
        });
      });
    });

    test('-R, at a port and at any', async () => {
      const [far] = await freePorts(1);
      for (const wanted of [`127.0.0.1:${far}`, '0']) {
        const { code, out, err } = await placeOf('host').ssh([
          '-o',
          'ExitOnForwardFailure=yes',
          '-R',
          `${wanted}:127.0.0.1:1`,
          'host',
          'echo ran',
        ]);
        expect([code, out]).toEqual([255, '']);
        expect(err).toMatch(/remote port forwarding failed/);
      }
    });

    test('-A', async () => {
      const place = placeOf('host');
      const socket = join(place.folder, 'agent.sock');
      const agent = place.spawn('ssh-agent', ['-D', '-a', socket], { leaveOpen: true });
      await opened(socket, running(agent));
      const { code, out } = await place.ssh(['-A', '-o', `IdentityAgent=${socket}`, 'host', 'echo "[$SSH_AUTH_SOCK]"']);
      expect([code, out]).toEqual([0, '[]\n']);
    });

    test('-Y', async () => {
      const args = ['-Y', '-o', 'XAuthLocation=/nowhere', 'host', 'echo "[$DISPLAY]"'];
      const { code, out, err } = await placeOf('host').ssh(args, { env: { DISPLAY: '127.0.0.1:99' } });
      expect([code, out]).toEqual([0, '[]\n']);
      expect(err).toContain('X11 forwarding request failed');
    });

    test('Unix sockets, both ways', async () => {
      const place = placeOf('host');
      const far = `${place.remote}.sock`;
      const near = join(place.folder, 'near.sock');
      await withTarget(startTarget(echo, far), async (at) => {
        await whileForwarding(place, ['-L', `${near}:${far}`], async (ssh, said) => {
          await opened(near, running(ssh));
          expect(await converse(near, 'x').catch(() => '')).toBe('');
          await eventually(() => refusedBy(said()).length > 0, 'a refusal');
          expect(at.accepted).toBe(0);
        });
      });
      const back = await place.ssh(['-o', 'ExitOnForwardFailure=yes', '-R', `${far}.back:${near}`, 'host', 'echo ran']);
      expect([back.code, back.out]).toEqual([255, '']);
      expect(existsSync(`${far}.back`)).toBe(false);
    });

    test('-J', async () => {
      const { code, out, err } = await placeOf('host').ssh(['-J', 'first', 'host', 'echo behind']);
      expect([code, out, refusedBy(err)]).toEqual([255, '', ['policy-denied default-deny']]);
    });
  });

  test('has what was done and what was refused in the ledger, and no byte of what was carried', async () => {
    const place = placeOf('host');
    const carried = randomBytes(16).toString('hex');
    writeFileSync(place.remote, carried);
    await place.ssh(['host', `cat ${place.remote}; cat >&2; exit 3`], { input: `${carried}\n` });
    const asked = (event: Event): boolean => String(event['command']).startsWith(`cat ${place.remote}`);
    await eventually(() => sidecar.events('exchange.ended').some(asked), 'the end of the command');
    const exec = sidecar.events().filter(asked);
    expect(exec.map(({ type }) => type)).toEqual(['decision', 'exchange.ended']);
    expect(exec[0]).toMatchObject({ result: 'allow', rule: 'sessions', request: 'exec', user: sshd.user });
    expect(exec[1]).toMatchObject({ status: 3, bytesUp: 33, bytesDown: 65 });
    const id = String(exec[0]!['id']);
    await eventually(() => sidecar.events('connection.closed').some((event) => event['id'] === id), 'the end');
    const all = sidecar.events().filter((event) => event['id'] === id);
    expect(all.map(({ type, request }) => [type, request])).toEqual([
      ['decision', 'login'],
      ['decision', 'exec'],
      ['exchange.ended', 'exec'],
      ['connection.closed', undefined],
    ]);
    expect(all[0]).toMatchObject({
      upstream: `ssh://127.0.0.1:${sshd.port}`,
      credentials: { privateKey: expect.any(String) },
    });
    expect(JSON.stringify(sidecar.events()) + sidecar.printed()).not.toContain(carried);
  });
});
