import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { ErrorCode } from '../src/error.ts';
import { canary } from './canary.ts';
import { freePorts } from './process-rig.ts';
import { eventually } from './rig.ts';
import { canaryKey } from './ssh/key.ts';
import { startManInTheMiddle, type Attack, type ManInTheMiddle } from './ssh/man-in-the-middle.ts';
import { Place, type Ran } from './ssh/place.ts';
import { missing, pythonModule } from './ssh/programs.ts';
import { refusals, refusedBy } from './ssh/refusal.ts';
import { startHostile, UPSTREAM_TEXT, type Mode, type ServerProgram } from './ssh/server-program.ts';
import { startSidecar, type Service, type Sidecar } from './ssh/sidecar.ts';
import { startSshd, type Sshd } from './ssh/sshd.ts';
import { serviceFor, sidecarDoor } from './ssh/world.ts';

const absent = missing('sshd', 'ssh') ?? pythonModule('paramiko');

const LOGIN_SECONDS = 3;
/** What OpenSSH's client says with `-v` where it is asked for anything but the end of a program. */
const SEEN = /client_input_global_request|client_input_channel_open|client_request_|server requests|rtype (?!exit-)/;

/** What a login to each kind of upstream ends with. */
const MODES: readonly (readonly [mode: Mode, code: ErrorCode])[] = [
  ['refuse', 'credential-refused'],
  ['quit', 'upstream-closed'],
  ['lines', 'upstream-protocol'],
  ['endless', 'upstream-protocol'],
  ['garbage', 'upstream-protocol'],
  ['http', 'upstream-closed'],
  ['silent', 'upstream-timeout'],
  ['closes', 'upstream-closed'],
];

/** Logins that fail for other reasons. */
const FAILURES: readonly (readonly [service: string, code: ErrorCode])[] = [
  ['other-key', 'host-key-unknown'],
  ['other-pin', 'host-key-unknown'],
  ['revoked', 'host-key-unknown'],
  ['nobody', 'upstream-unreachable'],
  ['not-let-in', 'credential-refused'],
  ['no-file', 'credential-missing'],
  ['no-key', 'credential-unfit'],
];

/** A use that came as far as the credential has an end of its own. */
function endOf(code: ErrorCode): readonly object[] {
  return code === 'credential-missing' ? [] : [{ type: 'connection.closed', result: 'error', reason: code }];
}

describe.skipIf(absent !== undefined)(
  `an upstream that is not what it should be${absent === undefined ? '' : ` (${absent})`}`,
  () => {
    let sshd: Sshd;
    let hostile: ServerProgram;
    let middle: ManInTheMiddle;
    let sidecar: Sidecar;
    let places: Place[] = [];
    const run = (service: string, ...args: readonly string[]): Promise<Ran> => {
      const place = new Place(sidecarDoor(sidecar, sshd.folder, service));
      places.push(place);
      return place.ssh([...args.filter((arg) => arg === '-v'), 'host', ...args.filter((arg) => arg !== '-v')]);
    };

    beforeAll(async () => {
      sshd = await startSshd();
      hostile = await startHostile('honest', 'banner', ...MODES.map(([mode]) => mode));
      middle = await startManInTheMiddle(sshd.port);
      const [nobody] = await freePorts(1);
      const timeouts = { connect: '2s', headers: `${LOGIN_SECONDS}s` };
      const own = (more: Readonly<Record<string, string | { readonly from: string; readonly get: string }>>): Service =>
        serviceFor(sshd, { timeouts, credentials: more });
      const modes = ['honest', 'banner', ...MODES.map(([mode]) => mode)].map((mode, at) => {
        const there = serviceFor({ ...hostile, port: hostile.ports[at]! }, { timeouts });
        return [mode, there] as const;
      });
      const knownHosts = `[127.0.0.1]:${sshd.port} ${sshd.hostKey.line}\n@revoked * ${sshd.hostKey.line}\n`;
      const revokedKey = ({ credentials: { hostKey: _one, ...others } = {} }: Service): Service => ({
        credentials: { ...others, knownHosts },
      });
      sidecar = await startSidecar({
        services: {
          ...Object.fromEntries(modes),
          middle: own({ address: `127.0.0.1:${middle.port}` }),
          'other-key': own({ hostKey: canaryKey().line }),
          'other-pin': own({ hostKey: `SHA256:${'A'.repeat(43)}` }),
          revoked: revokedKey(serviceFor(sshd)),
          nobody: own({ address: `127.0.0.1:${nobody}` }),
          'not-let-in': own({ privateKey: canaryKey().openssh }),
          'no-file': { credentials: { ...own({}).credentials, privateKey: { from: 'file', get: '/nowhere/key' } } },
          'no-key': own({ privateKey: `-----BEGIN OPENSSH PRIVATE KEY-----\n${canary()}\n` }),
          good: own({}),
        },
      });
    });
    afterEach(async () => {
      middle.attack = undefined;
      await Promise.all(places.map((place) => place.close()));
      places = [];
    });
    afterAll(async () => {
      await sidecar?.remove();
      await middle?.stop();
      await hostile?.stop();
      await sshd?.stop();
    });

    test.each([...MODES, ...FAILURES])(
      '%s: says %s in its own words, and nothing of the upstream',
      async (service, code) => {
        const { code: status, out, err } = await run(service, 'true');
        expect([status, out, refusedBy(err)]).toEqual([255, '', [code]]);
        expect(err).not.toContain(UPSTREAM_TEXT);
        expect(err).not.toContain('\x1b');
        const { id } = refusals(err)[0]!;
        const inLedger = (): boolean =>
          sidecar.events().some((event) => event['id'] === id && event['reason'] === code);
        await eventually(inLedger, 'a line of the ledger');
        expect(sidecar.events().filter((event) => event['id'] === id)).toMatchObject([
          { service, request: 'login' },
          ...endOf(code),
        ]);
        const logged = (): boolean =>
          sidecar.log().some((line) => line['id'] === id && JSON.stringify(line).includes(code));
        await eventually(logged, 'a line of the log');
        expect(JSON.stringify(sidecar.events())).not.toContain(UPSTREAM_TEXT);
      },
    );

    test('lets no banner of the upstream through, which may be meant for whoever reads it', async () => {
      const { err } = await run('banner', 'no such command');
      expect(err).not.toContain(UPSTREAM_TEXT);
    });

    test.each(['auth-agent@openssh.com', 'x11', 'forwarded-tcpip', 'session', 'direct-tcpip', 'no-such@example.com'])(
      'may open no channel %s that nobody asked for',
      async (kind) => {
        const { code, out, err } = await run('honest', '-v', 'open', kind);
        expect([code, out]).toEqual([0, expect.stringMatching(/^refused [13]\n$/)]);
        expect(err).not.toMatch(SEEN);
      },
    );

    test('may ask for nothing that a client would do for it, and gets an answer all the same', async () => {
      for (const kind of ['hostkeys-prove-00@openssh.com', 'no-such@example.com']) {
        const { code, out, err } = await run('honest', '-v', 'request', kind);
        expect([code, out]).toEqual([0, 'no no\n']);
        expect(err).not.toMatch(SEEN);
      }
    });

    test('may send nothing that cannot be read', async () => {
      for (const command of [
        ['open', 'forwarded-streamlocal@openssh.com'],
        ['request', 'tcpip-forward'],
      ]) {
        const { code, err } = await run('honest', ...command);
        expect([code, refusedBy(err)]).toEqual([255, ['upstream-protocol']]);
      }
    });

    test('may try a hundred times, and the session goes on', async () => {
      expect(await run('honest', 'storm', '100')).toMatchObject({ code: 0, out: 'refused 1\n' });
    });

    test('may vanish in the middle', async () => {
      const { code, out, err } = await run('honest', 'vanish');
      expect([code, out, refusedBy(err)]).toEqual([255, 'before', ['upstream-closed']]);
    });

    test.each<readonly [string, Attack, ErrorCode]>([
      ['takes the marks of strict key exchange away', { do: 'strip-strict' }, 'upstream-protocol'],
      ['puts a message before the key exchange', { do: 'insert', direction: 'down' }, 'upstream-protocol'],
      [
        'puts a message within the key exchange',
        { do: 'insert', direction: 'down', within: true },
        'upstream-protocol',
      ],
      [
        'puts a message before the key exchange towards the upstream',
        { do: 'insert', direction: 'up' },
        'upstream-closed',
      ],
      ['changes a bit of the offer', { do: 'flip', direction: 'down', at: 60 }, 'upstream-protocol'],
      ['changes a bit of the signature', { do: 'flip', direction: 'down', at: 1300 }, 'upstream-protocol'],
    ])('ends the login where somebody on the way %s', async (_name, attack, code) => {
      middle.attack = attack;
      const { code: status, out, err } = await run('middle', 'echo ran');
      expect([status, out]).toEqual([255, '']);
      expect([[code], ['host-key-unknown'], ['upstream-closed']]).toContainEqual(refusedBy(err));
      middle.attack = undefined;
      expect(await run('middle', 'echo ran')).toMatchObject({ code: 0, out: 'ran\n' });
    });

    test('ends wherever the upstream is cut in a login, at once, and leaves nothing open', async () => {
      expect(await run('middle', 'true')).toMatchObject({ code: 0 });
      const whole = { up: middle.passed('up'), down: middle.passed('down') };
      const before = sidecar.descriptors();
      for (const direction of ['up', 'down'] as const) {
        const steps = Array.from({ length: 12 }, (_, at) => 1 + Math.floor((whole[direction] * at) / 12));
        for (const bytes of steps) {
          middle.attack = { do: 'cut', direction, bytes };
          const began = Date.now();
          const { code, err } = await run('middle', 'true');
          expect(code, `${direction} ${bytes}`).toBe(255);
          expect(refusals(err).length, `${direction} ${bytes}: ${err}`).toBeLessThanOrEqual(1);
          expect(Date.now() - began).toBeLessThan(10_000);
        }
      }
      middle.attack = undefined;
      expect(await run('middle', 'echo again')).toMatchObject({ code: 0, out: 'again\n' });
      await eventually(() => sidecar.descriptors() <= before + 1, 'all sockets are closed');
    }, 60_000);

    test('is told of when it dies in the middle of a stream', async () => {
      const place = new Place(sidecarDoor(sidecar, sshd.folder, 'good'));
      places.push(place);
      const ran = place.run('bash', [
        '-c',
        'ssh -F "$0" host "cat /dev/zero" | wc -c; exit ${PIPESTATUS[0]}',
        place.config,
      ]);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      sshd.cut();
      const { code, out, err } = await ran;
      expect([code, refusedBy(err)]).toEqual([255, ['upstream-closed']]);
      expect(Number(out)).toBeGreaterThan(1_000_000);
      const { id } = refusals(err)[0]!;
      await eventually(() => sidecar.events('connection.closed').some((event) => event['id'] === id), 'the end');
      const exec = sidecar
        .events('exchange.ended')
        .find((event) => event['id'] === id || String(event['id']).startsWith(`${id}-`));
      expect(Number(exec!['bytesDown'])).toBeGreaterThanOrEqual(Number(out));
    });
  },
);
