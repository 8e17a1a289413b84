import { expect, it } from 'vitest';
import { Secret } from '../../credential/secret.ts';
import { errorOf, never } from '../../credential/testdata/source-fixture.ts';
import { VirtualClock } from '../../credential/testdata/virtual-clock.ts';
import { KeptSet } from './kept-set.ts';

function open() {
  const clock = new VirtualClock();
  const minted: string[] = [];
  const secrets = new Map<string, Secret>();
  const set = new KeptSet(5, { clock, random: () => 0 });
  const fetch = (key: string) => {
    const mint = () => {
      const secret = new Secret(key);
      minted.push(key);
      secrets.set(key, secret);
      return Promise.resolve({ secret, expiresAt: new Date(+clock.wall() + 3_600_000) });
    };
    return set.fetch(key, mint, never);
  };
  return { set, clock, minted, secrets, fetch };
}

it('keeps each key apart, and asks once for each', async () => {
  const { fetch, minted } = open();
  const [a, b, again] = await Promise.all([fetch('a'), fetch('b'), fetch('a')]);
  expect(minted).toEqual(['a', 'b']);
  expect(again.secret).toBe(a.secret);
  expect(b.secret).not.toBe(a.secret);
});

it('holds 2,000; the one used longest ago makes room, and is wiped when it has ended', async () => {
  const { fetch, minted, secrets, clock } = open();
  for (let at = 0; at < 2000; at += 1) await fetch(`k${at}`);
  await fetch('k0');
  await fetch('one more');
  expect(minted).toHaveLength(2001);
  await fetch('k0');
  expect(minted).toHaveLength(2001);
  const first = secrets.get('k1')!;
  expect(first.wiped).toBe(false);
  clock.advance(3660);
  expect(first.wiped).toBe(true);
  await fetch('k1');
  expect(minted).toHaveLength(2002);
});

it('asks anew for what was forgotten, and is not troubled by what it does not hold', async () => {
  const { set, fetch, minted, clock } = open();
  await fetch('a');
  clock.advance(10);
  set.forget('a');
  set.forget('b');
  await fetch('a');
  expect(minted).toEqual(['a', 'a']);
});

it('wipes everything when it closes, and then refuses', async () => {
  const { set, fetch, secrets, clock } = open();
  await fetch('a');
  set.close();
  set.close();
  expect(secrets.get('a')!.wiped).toBe(true);
  expect((await errorOf(fetch('a'))).code).toBe('draining');
  expect(clock.pending).toBe(0);
});
