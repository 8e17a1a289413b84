import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { canaryKey } from './ssh/key.ts';
import { Place } from './ssh/place.ts';
import { missing } from './ssh/programs.ts';
import { refusals, refusedBy } from './ssh/refusal.ts';
import { startSidecar, type Sidecar } from './ssh/sidecar.ts';
import { startSshd, type Sshd } from './ssh/sshd.ts';
import { serviceFor, sidecarDoor } from './ssh/world.ts';
import { eventually } from './rig.ts';
import { sha256 } from './ssh/cases/exec.ts';
import { randomBytes } from 'node:crypto';

const absent = missing('sshd', 'ssh');

describe.skipIf(absent !== undefined)(`an upstream behind others${absent === undefined ? '' : ` (${absent})`}`, () => {
  let gate: Sshd;
  let hall: Sshd;
  let inner: Sshd;
  let sidecar: Sidecar;
  let places: Place[] = [];
  const placeOf = (service: string): Place => {
    const place = new Place(sidecarDoor(sidecar, inner.folder, service));
    places.push(place);
    return place;
  };

  beforeAll(async () => {
    [gate, hall, inner] = await Promise.all([startSshd(), startSshd(), startSshd()]);
    const wrong = { credentials: { hostKey: canaryKey().line } };
    const stranger = { credentials: { privateKey: canaryKey().openssh } };
    const inside = (via: string, more: object = {}) => serviceFor(inner, { config: { via }, ...more });
    const ways = {
      gate: serviceFor(gate),
      'wrong-gate': serviceFor(gate, wrong),
      'shut-gate': serviceFor(gate, stranger),
      'denied-gate': serviceFor(gate),
      hall: serviceFor(hall, { config: { via: 'gate' } }),
    };
    const hidden = Object.entries(ways).map(([name, service]) => [name, { ...service, listenOn: [] }] as const);
    sidecar = await startSidecar({
      services: {
        ...Object.fromEntries(hidden),
        one: inside('gate'),
        two: inside('hall'),
        'first-wrong': inside('wrong-gate'),
        'first-shut': inside('shut-gate'),
        'first-denied': inside('denied-gate'),
        'last-wrong': inside('gate', wrong),
        'last-shut': inside('gate', stranger),
        'last-away': inside('gate', { credentials: { address: '127.0.0.1:1' } }),
      },
      rules: [
        { id: 'no-way', effect: 'deny', services: ['denied-gate'] },
        { id: 'ways', effect: 'allow', services: ['*gate', 'hall'], ssh: { forwards: ['127.0.0.1:*'] } },
        { id: 'ends', effect: 'allow', services: ['one', 'two', 'first-*', 'last-*'] },
      ],
    });
  });
  afterEach(async () => {
    await Promise.all(places.map((place) => place.close()));
    places = [];
  });
  afterAll(async () => {
    await sidecar?.remove();
    await Promise.all([gate?.stop(), hall?.stop(), inner?.stop()]);
  });

  test.each([
    ['one', 1],
    ['two', 2],
  ])('is reached by %s, with %i other logins on the way', async (service, logins) => {
    const sent = randomBytes(3_000_000);
    const { code, out } = await placeOf(service).bytes('ssh', ['-F', places.at(-1)!.config, 'host', 'cat; exit 7'], {
      input: sent,
    });
    expect([code, sha256(out)]).toEqual([7, sha256(sent)]);
    const jumps = sidecar
      .events('decision')
      .filter(({ request }) => request === 'jump')
      .slice(-logins);
    const targets = logins === 1 ? [inner.port] : [inner.port, hall.port];
    expect(jumps.map(({ destination }) => destination).sort()).toEqual(
      targets.map((port) => `127.0.0.1:${port}`).sort(),
    );
    expect(jumps.every(({ rule, result }) => rule === 'ways' && result === 'allow')).toBe(true);
    await eventually(() => !sidecar.events('connection.closed').every(({ id }) => id !== jumps[0]!['id']), 'the end');
  });

  test.each([
    ['first-wrong', 'host-key-unknown'],
    ['first-shut', 'credential-refused'],
    ['first-denied', 'policy-denied no-way'],
    ['last-wrong', 'host-key-unknown'],
    ['last-shut', 'credential-refused'],
    ['last-away', 'upstream-unreachable'],
  ])('is refused by %s, and the user hears %s', async (service, said) => {
    const before = inner.log().length;
    const { code, out, err } = await placeOf(service).ssh(['host', 'echo in']);
    expect([code, out, refusedBy(err)]).toEqual([255, '', [said]]);
    expect(refusals(err)).toHaveLength(1);
    if (service.startsWith('first')) expect(inner.log().slice(before)).not.toContain('Connection from');
  });

  test('leaves no login on the way when it is over', async () => {
    await placeOf('one').ssh(['host', 'true']);
    await eventually(() => gate.processes() + hall.processes() + inner.processes() === 0, 'the end of every login');
  });
});
