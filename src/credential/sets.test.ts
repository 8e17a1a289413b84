import { describe, expect, it } from 'vitest';
import { Secret } from './secret.ts';
import { settle } from './testdata/fake-store.ts';
import { errorOf, open, textOf } from './testdata/source-fixture.ts';
import type { Fetched, SecretStore } from './store.ts';

const FIELDS = ['id', 'key', 'token'];
const references = Object.fromEntries(FIELDS.map((field) => [field, { from: 'set', get: 'role', field }]));

function setOf(values: Readonly<Record<string, string>>): Fetched {
  const fields = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, new Secret(value)]));
  return { secret: Object.values(fields)[0]!, fields };
}

/** A store that answers at once with what `current` says, and counts. */
function readyStore(current: () => Fetched) {
  const counts = { fetches: 0, forgets: 0 };
  const store: SecretStore = {
    fetch: () => ((counts.fetches += 1), Promise.resolve(current())),
    forget: () => (counts.forgets += 1),
    close: () => Promise.resolve(),
  };
  return { store, counts };
}

describe('several credentials of one fetch', () => {
  it('are asked for once, and lent under their names with a version each', async () => {
    const { store, lease } = open({ references });
    const lent = lease();
    expect(store.calls.map(({ id }) => id)).toEqual(['role']);
    await store.calls[0]!.answer(setOf({ id: 'i', key: 'k', token: 't' }));
    const { credentials, versions } = await lent;
    expect(credentials.names.map((name) => textOf(credentials.get(name)))).toEqual(['i', 'k', 't']);
    expect(Object.keys(versions)).toEqual(FIELDS);
    expect(new Set(Object.values(versions)).size).toBe(3);
  });

  it('may come without one, which then is not there, whatever it is called', async () => {
    const odd = { ...references, odd: { from: 'set', get: 'role', field: 'constructor' } };
    const { store, lease } = open({ references: odd });
    const lent = lease();
    await store.calls[0]!.answer(setOf({ id: 'i', key: 'k' }));
    const { credentials, versions } = await lent;
    expect(credentials.names).toEqual(['id', 'key']);
    expect(Object.keys(versions)).toEqual(['id', 'key']);
    expect(credentials.has('token')).toBe(false);
    expect(() => credentials.get('token')).toThrow('does not hold this credential');
  });

  it('are wiped with the last lease, those that nobody named too', async () => {
    const { store, lease } = open({ references: { id: references['id']! } });
    const lent = lease();
    const set = setOf({ id: 'i', key: 'k' });
    await store.calls[0]!.answer(set);
    (await lent).release();
    expect(Object.values(set.fields!).map(({ wiped }) => wiped)).toEqual([true, true]);
  });

  it('are wiped when they come too late, and never where the store retains them', async () => {
    for (const retained of [false, true]) {
      const { store, lease, source } = open({ references });
      const refused = errorOf(lease());
      await source.close();
      await refused;
      const set = { ...setOf({ id: 'i', key: 'k' }), retained };
      await store.calls[0]!.answer(set);
      expect(Object.values(set.fields!).map(({ wiped }) => wiped)).toEqual([!retained, !retained]);
    }
  });

  it('change the version when one of them does', async () => {
    let current = setOf({ id: 'i', key: 'k' });
    const { store } = readyStore(() => current);
    const { lease } = open({ references, store: () => store });
    const first = (await lease()).version;
    current = setOf({ id: 'i', key: 'other' });
    expect((await lease()).version).not.toBe(first);
  });
});

describe('what a store keeps', () => {
  const end = new Date('2030-01-01T01:00:00Z');

  it('is lent again as it is while the same secrets with the same end come back', async () => {
    const kept = { ...setOf({ id: 'i', key: 'k' }), retained: true, expiresAt: end };
    let current: Fetched = kept;
    const { store } = readyStore(() => current);
    const { lease } = open({ references, store: () => store });
    const first = await lease();
    current = { ...kept, cached: true, expiresAt: new Date(end) };
    const second = await lease();
    expect(second.credentials).toBe(first.credentials);
    expect(second.expiresAt).toEqual(end);
    current = { ...kept, expiresAt: new Date(+end + 1) };
    const third = await lease();
    expect(third.credentials).not.toBe(first.credentials);
    expect(third.expiresAt).toEqual(new Date(+end + 1));
  });

  it('makes a lease that may be stale, though nothing is cached here', async () => {
    const kept = { ...setOf({ id: 'i', key: 'k' }), retained: true };
    let current: Fetched = kept;
    const { store } = readyStore(() => current);
    const { lease, observations } = open({ references, store: () => store });
    expect((await lease()).cached).toBe(false);
    current = { ...kept, cached: true };
    expect((await lease()).cached).toBe(true);
    // Nobody was asked, so there is no fetch to count.
    expect(observations).toHaveLength(1);
  });

  it('is asked for anew once it proved stale, and only by who had the newest', async () => {
    let current = { ...setOf({ id: 'i', key: 'k' }), retained: true };
    const { store, counts } = readyStore(() => current);
    const { lease, source } = open({ references, store: () => store });
    const old = await lease();
    source.forget('000000000000');
    expect(counts.forgets).toBe(0);
    source.forget(old.version);
    expect(counts.forgets).toBe(1);
    current = { ...setOf({ id: 'i2', key: 'k2' }), retained: true };
    await lease();
    source.forget(old.version);
    expect(counts.forgets).toBe(1);
  });

  it('is fetched again where the store wiped what is cached here', async () => {
    const { store, lease } = open({ references, cacheSeconds: 3600 });
    const first = lease();
    const set = { ...setOf({ id: 'i', key: 'k' }), retained: true };
    await store.calls[0]!.answer(set);
    await first;
    set.fields!['key']!.wipe();
    const second = lease();
    await settle();
    expect(store.calls).toHaveLength(2);
    await store.calls[1]!.answer(setOf({ id: 'i2', key: 'k2' }));
    expect(textOf((await second).credentials.get('key'))).toBe('k2');
  });
});
