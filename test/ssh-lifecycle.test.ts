import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { verifyLedger } from '../src/ledger/verify.ts';
import { join } from 'node:path';
import { eventually } from './rig.ts';
import { canaryKey } from './ssh/key.ts';
import { Place } from './ssh/place.ts';
import { missing } from './ssh/programs.ts';
import { refusals, refusedBy } from './ssh/refusal.ts';
import { startSidecar, type Configuration, type Sidecar } from './ssh/sidecar.ts';
import { startSshd, type Sshd } from './ssh/sshd.ts';
import { serviceFor, sidecarDoor } from './ssh/world.ts';

const absent = missing('sshd', 'ssh');
const DRAIN_SECONDS = 4;

/** A session that says each line back as it comes. */
interface Session {
  readonly ssh: ChildProcess;
  /** Says a line and hears it. */
  echo(line: string): Promise<string>;
  /** Its end: exit status and what was on stderr. */
  readonly ended: Promise<{ readonly code: number | null; readonly err: string }>;
}

async function startSession(place: Place): Promise<Session> {
  const ssh = place.spawn('ssh', ['-F', place.config, 'host', 'cat'], { leaveOpen: true });
  const heard: string[] = [];
  ssh
    .stdout!.setEncoding('utf8')
    .on('data', (chunk: string) => heard.push(...chunk.split('\n').filter((line) => line !== '')));
  const ended = Promise.all([once(ssh, 'close'), text(ssh.stderr!)]).then(([[code], err]) => ({
    code: code as number | null,
    err,
  }));
  const echo = async (line: string): Promise<string> => {
    ssh.stdin!.write(`${line}\n`);
    await eventually(() => heard.includes(line) || ssh.exitCode !== null, 'an echo');
    return heard.at(-1) ?? '';
  };
  expect(await echo('first')).toBe('first');
  return { ssh, echo, ended };
}

describe.skipIf(absent !== undefined)(
  `sessions while the sidecar changes${absent === undefined ? '' : ` (${absent})`}`,
  () => {
    let sshd: Sshd;
    let sidecar: Sidecar;
    let places: Place[] = [];
    const configuration = (more: Partial<Configuration> = {}): Configuration => ({
      services: { host: serviceFor(sshd), other: serviceFor(sshd) },
      rules: [{ id: 'all', effect: 'allow', services: ['host', 'other'] }],
      rest: { limits: { drain: `${DRAIN_SECONDS}s` } },
      ...more,
    });
    const placeOf = (service = 'host'): Place => {
      const place = new Place(sidecarDoor(sidecar, sshd.folder, service));
      places.push(place);
      return place;
    };

    beforeAll(async () => {
      sshd = await startSshd();
    });
    beforeEach(async () => {
      sidecar = await startSidecar(configuration());
    });
    afterEach(async () => {
      await Promise.all(places.map((place) => place.close()));
      places = [];
      await sidecar.remove();
    });
    afterAll(async () => {
      await sshd?.stop();
    });

    test('a reload that still allows it leaves a session alone, and new ones take the new configuration', async () => {
      const session = await startSession(placeOf());
      await sidecar.reload(configuration({ rules: [{ id: 'renamed', effect: 'allow', services: ['host'] }] }));
      expect(await session.echo('second')).toBe('second');
      expect(await placeOf().ssh(['host', 'echo new'])).toMatchObject({ code: 0, out: 'new\n' });
      const denied = await placeOf('other').ssh(['host', 'echo new']);
      expect([denied.code, refusedBy(denied.err)]).toEqual([255, ['policy-denied default-deny']]);
      session.ssh.stdin!.end();
      expect(await session.ended).toMatchObject({ code: 0, err: '' });
      expect(sidecar.events('decision').map(({ rule, request }) => [rule, request])).toEqual([
        ['all', 'login'],
        ['all', 'exec'],
        ['renamed', 'login'],
        ['renamed', 'exec'],
        ['default-deny', 'login'],
      ]);
    });

    test('a reload that forbids it ends a session, which is told so', async () => {
      const session = await startSession(placeOf());
      const began = Date.now();
      await sidecar.reload(configuration({ rules: [{ id: 'never', effect: 'deny', services: ['host'] }] }));
      const { code, err } = await session.ended;
      expect([code, refusedBy(err)]).toEqual([255, ['grant-ended']]);
      expect(Date.now() - began).toBeLessThan((DRAIN_SECONDS + 3) * 1000);
      const { id } = refusals(err)[0]!;
      await eventually(() => sidecar.events('connection.closed').some((event) => event['id'] === id), 'the end');
      expect(sidecar.events('connection.closed').at(-1)).toMatchObject({ id, reason: 'grant-ended' });
    });

    test('a reload that forbids the command alone ends the session that runs it', async () => {
      const session = await startSession(placeOf());
      const rules = [
        { id: 'no-cat', effect: 'deny', services: ['host'], ssh: { commands: ['cat'] } },
        { id: 'all', effect: 'allow', services: ['host'] },
      ];
      await sidecar.reload(configuration({ rules }));
      expect(refusedBy((await session.ended).err)).toEqual(['grant-ended']);
      expect(await placeOf().ssh(['host', 'echo new'])).toMatchObject({ code: 0, out: 'new\n' });
    });

    test('a reload without the service ends its session', async () => {
      const session = await startSession(placeOf());
      const { host: _gone, ...services } = configuration().services;
      await sidecar.reload(configuration({ services, rules: [{ id: 'all', effect: 'allow', services: ['other'] }] }));
      expect(refusedBy((await session.ended).err)).toEqual(['grant-ended']);
      expect((await placeOf('other').ssh(['host', 'echo new'])).out).toBe('new\n');
    });

    test('a reload that fails changes nothing', async () => {
      const session = await startSession(placeOf());
      const bad = { host: serviceFor(sshd, { config: { via: 'nowhere' } }) };
      await expect(sidecar.reload(configuration({ services: bad }))).rejects.toThrow('nowhere');
      await eventually(() => sidecar.events('config.reloaded').length > 0, 'a line of the ledger');
      expect(sidecar.events('config.reloaded')).toMatchObject([{ result: 'error' }]);
      expect(await session.echo('second')).toBe('second');
      expect((await placeOf('other').ssh(['host', 'echo new'])).out).toBe('new\n');
    });

    test('a key that is no longer let in is told apart from one that is not there', async () => {
      expect(await placeOf().ssh(['host', 'true'])).toMatchObject({ code: 0 });
      const services = { host: serviceFor(sshd, { credentials: { hostKey: canaryKey().line } }) };
      await sidecar.reload(configuration({ services, rules: [{ id: 'all', effect: 'allow', services: ['host'] }] }));
      expect(refusedBy((await placeOf().ssh(['host', 'true'])).err)).toEqual(['host-key-unknown']);
    });

    test('a drain lets a session end by itself and takes no other', async () => {
      const session = await startSession(placeOf());
      const stopped = sidecar.stop();
      await eventually(() => sidecar.log().some(({ message }) => message === 'draining'), 'draining');
      expect(await session.echo('second')).toBe('second');
      expect((await placeOf().ssh(['host', 'true'])).code).toBe(255);
      session.ssh.stdin!.end();
      expect(await session.ended).toMatchObject({ code: 0, err: '' });
      expect(await stopped).toBe(0);
      expect(await verifyLedger(join(sidecar.folder, 'ledger.jsonl'))).toMatchObject({ ok: true });
      const types = sidecar.events().map(({ type }) => type);
      expect(types.slice(-3)).toEqual(['exchange.ended', 'connection.closed', 'sidecar.stopped']);
    });

    test('a drain ends a session that does not end by itself, which is told so', async () => {
      const session = await startSession(placeOf());
      const began = Date.now();
      const stopped = sidecar.stop();
      const { code, err } = await session.ended;
      expect([code, refusedBy(err)]).toEqual([255, ['draining']]);
      expect(Date.now() - began).toBeGreaterThan(DRAIN_SECONDS * 1000 - 500);
      await stopped;
      expect(Date.now() - began).toBeLessThan((DRAIN_SECONDS + 4) * 1000);
    });

    test('a drain does not wait for a shared connection that nobody uses', async () => {
      const place = placeOf();
      const master = place.spawn('ssh', ['-F', place.config, '-v', '-N', 'host'], { leaveOpen: true });
      const ended = Promise.all([once(master, 'close'), text(master.stderr!)]);
      await eventually(() => sidecar.events('decision').length > 0, 'a login');
      await new Promise((resolve) => setTimeout(resolve, 1000));
      const began = Date.now();
      const stopped = sidecar.stop();
      const [, err] = await ended;
      expect(refusedBy(err)).toEqual(['draining']);
      await stopped;
      expect(Date.now() - began).toBeLessThan(DRAIN_SECONDS * 1000);
    });
  },
);
