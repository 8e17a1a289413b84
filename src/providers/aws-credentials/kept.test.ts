import { beforeEach, describe, expect, it } from 'vitest';
import { Secret } from '../../credential/secret.ts';
import { settle } from '../../credential/testdata/fake-store.ts';
import { errorOf, never, textOf } from '../../credential/testdata/source-fixture.ts';
import { VirtualClock } from '../../credential/testdata/virtual-clock.ts';
import { SidecarError } from '../../error.ts';
import { Kept, type Minted } from './kept.ts';
import { Retired } from './retired.ts';

interface Asking {
  readonly signal: AbortSignal;
  /** `seconds`: until it ends; undefined: never. */
  answer(value: string, seconds?: number): Promise<Minted>;
  fail(): Promise<void>;
}

let clock: VirtualClock;
let retired: Retired;
let askings: Asking[];
let kept: Kept;

function mint(signal: AbortSignal): Promise<Minted> {
  return new Promise((resolve, reject) => {
    askings.push({
      signal,
      answer: async (value, seconds) => {
        const secret = new Secret(value);
        const end = seconds === undefined ? {} : { expiresAt: new Date(+clock.wall() + seconds * 1000) };
        const minted = { secret, fields: { a: secret, b: new Secret(`${value}-b`) }, ...end };
        resolve(minted);
        await settle();
        return minted;
      },
      fail: () => (reject(new SidecarError('credential-unavailable')), settle()),
    });
  });
}

beforeEach(() => {
  clock = new VirtualClock();
  retired = new Retired(clock);
  askings = [];
  kept = new Kept({ mint, timeoutSeconds: 5, clock, random: () => 1, retired });
});

const fetch = () => kept.fetch(never);
const valueOf = async (fetched = fetch()) => textOf((await fetched).secret);

async function start(seconds?: number): Promise<Minted> {
  const first = fetch();
  const minted = await askings[0]!.answer('one', seconds);
  await first;
  return minted;
}

describe('who asks', () => {
  it('one asking serves all who wait for it, and only they were not served from what is kept', async () => {
    const waiting = Array.from({ length: 100 }, fetch);
    await askings[0]!.answer('one', 3600);
    const [first] = await Promise.all(waiting);
    expect(askings).toHaveLength(1);
    expect(first).toMatchObject({ retained: true });
    expect(first!.cached).toBeUndefined();
    const again = await fetch();
    expect(again).toMatchObject({ retained: true, cached: true });
    expect(again.secret).toBe(first!.secret);
    expect(again.fields).toBe(first!.fields);
  });

  it('one who leaves does not end the asking for the others', async () => {
    const impatient = new AbortController();
    const [first, second] = [kept.fetch(impatient.signal), fetch()];
    impatient.abort(new Error('gone'));
    await expect(first).rejects.toThrow('gone');
    expect(askings[0]!.signal.aborted).toBe(false);
    await askings[0]!.answer('one', 3600);
    expect(await valueOf(second)).toBe('one');
  });

  it('an asking that takes too long is ended, and what still comes is wiped', async () => {
    const waiting = errorOf(fetch());
    clock.advance(5);
    expect(await waiting).toMatchObject({ code: 'credential-timeout' });
    expect(askings[0]!.signal.aborted).toBe(true);
    const late = await askings[0]!.answer('late', 3600);
    expect(late.secret.wiped).toBe(true);
    expect(late.fields!['b']!.wiped).toBe(true);
    void fetch();
    expect(askings).toHaveLength(2);
  });

  it('a failure is heard by who waits, and the next one asks again', async () => {
    const waiting = errorOf(fetch());
    await askings[0]!.fail();
    expect(await waiting).toMatchObject({ code: 'credential-unavailable' });
    const second = fetch();
    await askings[1]!.answer('one', 3600);
    expect(await valueOf(second)).toBe('one');
  });
});

describe('asking anew', () => {
  it.each([
    ['an hour', 3600, 900],
    ['fifteen minutes', 900, 300],
  ])('of %s begins in time, in the background, once', async (_, lifetime, ahead) => {
    await start(lifetime);
    clock.advance(lifetime - ahead - 1);
    await fetch();
    expect(askings).toHaveLength(1);
    clock.advance(1);
    expect([await valueOf(), await valueOf()]).toEqual(['one', 'one']);
    expect(askings).toHaveLength(2);
    await askings[1]!.answer('two', lifetime);
    expect(await valueOf()).toBe('two');
    expect(askings).toHaveLength(2);
  });

  it('in the last minute callers wait', async () => {
    await start(3600);
    clock.advance(3541);
    const waiting = fetch();
    await askings[1]!.answer('two', 3600);
    expect(await valueOf(waiting)).toBe('two');
    expect((await waiting).cached).toBeUndefined();
  });

  it('that fails leaves the old one in use, and is tried again after a growing pause', async () => {
    await start(3600);
    clock.advance(2700);
    for (const [at, pause] of [1, 2, 4].entries()) {
      expect(await valueOf()).toBe('one');
      await askings[at + 1]!.fail();
      await fetch();
      clock.advance(pause - 0.01);
      await fetch();
      expect(askings).toHaveLength(at + 2);
      clock.advance(0.01);
    }
    clock.advance(880);
    const waiting = fetch();
    await askings[4]!.fail();
    expect(await valueOf(waiting)).toBe('one');
    clock.advance(20);
    const over = errorOf(fetch());
    await askings[5]!.fail();
    expect((await over).code).toBe('credential-unavailable');
  });

  it('goes by the clock that shows less', async () => {
    await start(3600);
    clock.stepWall(-86_400);
    clock.advance(3600);
    void fetch();
    expect(askings).toHaveLength(2);
    await askings[1]!.answer('two', 3600);
    clock.stepWall(3601);
    void fetch();
    expect(askings).toHaveLength(3);
  });

  it('of what never ends begins after five minutes, and it is given up an hour after the last answer', async () => {
    const { secret } = await start();
    clock.advance(299);
    await fetch();
    expect(askings).toHaveLength(1);
    clock.advance(1);
    expect(await valueOf()).toBe('one');
    await askings[1]!.answer('one');
    // The same value is the same secret, so that whoever lends it lends on.
    expect((await fetch()).secret).toBe(secret);
    clock.advance(3600);
    const over = errorOf(fetch());
    await askings[2]!.fail();
    expect((await over).code).toBe('credential-unavailable');
  });
});

describe('what proved stale', () => {
  it('is served no more while another can be had', async () => {
    await start(3600);
    clock.advance(10);
    kept.forget();
    const waiting = fetch();
    await askings[1]!.answer('two', 3600);
    expect(await valueOf(waiting)).toBe('two');
  });

  it('is served again where no other can be had, without asking for each use', async () => {
    await start(3600);
    clock.advance(10);
    kept.forget();
    const waiting = fetch();
    await askings[1]!.fail();
    expect(await waiting).toMatchObject({ cached: true });
    await fetch();
    expect(askings).toHaveLength(2);
    clock.advance(1);
    void fetch();
    expect(askings).toHaveLength(3);
  });

  it('is not asked for anew in its first ten seconds', async () => {
    await start(3600);
    kept.forget();
    clock.advance(9.9);
    expect(await valueOf()).toBe('one');
    expect(askings).toHaveLength(1);
  });
});

describe('wiping', () => {
  it('of what was replaced comes a minute after its end, when nobody can use it', async () => {
    const { secret, fields } = await start(3600);
    clock.advance(2700);
    await fetch();
    await askings[1]!.answer('two', 3600);
    clock.advance(959);
    expect(secret.wiped).toBe(false);
    clock.advance(1);
    expect(secret.wiped).toBe(true);
    expect(fields!['b']!.wiped).toBe(true);
  });

  it('of everything comes with the end of the store, of what arrives later too', async () => {
    const first = await start(3600);
    clock.advance(3541);
    const second = fetch();
    const two = await askings[1]!.answer('two', 3600);
    await second;
    clock.advance(3541);
    const waiting = errorOf(fetch());
    kept.close();
    retired.close();
    expect((await waiting).code).toBe('draining');
    expect([first.secret.wiped, two.secret.wiped]).toEqual([true, true]);
    expect((await askings[2]!.answer('three', 3600)).secret.wiped).toBe(true);
    expect((await errorOf(fetch())).code).toBe('draining');
    expect(clock.pending).toBe(0);
  });

  it('of what arrives while the store closes comes at once', async () => {
    const waiting = errorOf(fetch());
    const arriving = askings[0]!.answer('one', 3600);
    // Between the arrival and the moment it would be kept.
    queueMicrotask(() => kept.close());
    expect((await arriving).secret.wiped).toBe(true);
    expect((await waiting).code).toBe('draining');
  });

  it('of what made room waits for its end', async () => {
    const { secret } = await start(3600);
    kept.drop();
    clock.advance(3659);
    expect(secret.wiped).toBe(false);
    clock.advance(1);
    expect(secret.wiped).toBe(true);
  });
});
