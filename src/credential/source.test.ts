import { describe, expect, it } from 'vitest';
import { SidecarError } from '../error.ts';
import { Grant } from '../policy/request.ts';
import { settle } from './testdata/fake-store.ts';
import { Secret } from './secret.ts';
import { errorOf, grant, grantFor, never, open, textOf } from './testdata/source-fixture.ts';
import type { SourceOptions } from './source.ts';
import type { Fetched, SecretStore } from './store.ts';

describe('a grant is the only ticket', () => {
  it('refuses an object that merely looks like a grant, and asks no provider', async () => {
    const { source, store } = open();
    const forged = { service: 'api', principal: grant.principal, rule: undefined } as unknown as Grant;
    expect((await errorOf(source.lease(forged, never))).code).toBe('internal');
    expect((await errorOf(source.lease(Object.create(Grant.prototype) as Grant, never))).code).toBe('internal');
    expect(store.calls).toHaveLength(0);
  });

  it('refuses a grant for another service', async () => {
    const { source, store } = open();
    expect((await errorOf(source.lease(grantFor('other'), never))).code).toBe('internal');
    expect(store.calls).toHaveLength(0);
  });

  it('refuses both although a value is cached', async () => {
    const { source, store, lease } = open({ cacheSeconds: 60 });
    const first = lease();
    await store.calls[0]!.answer('s');
    await first;
    expect((await errorOf(source.lease(grantFor('other'), never))).code).toBe('internal');
    expect((await errorOf(source.lease({ service: 'api' } as Grant, never))).code).toBe('internal');
  });
});

describe('fetching', () => {
  it('asks for all at once, and once for what two names share', async () => {
    const { store, lease } = open({
      references: {
        user: { from: 'fake', get: 'user' },
        password: { from: 'fake', get: 'password' },
        again: { from: 'fake', get: 'password' },
      },
    });
    const lent = lease();
    expect(store.calls.map(({ id }) => id)).toEqual(['user', 'password']);
    await store.calls[1]!.answer('p');
    await store.calls[0]!.answer('u');
    const { credentials, versions } = await lent;
    expect(credentials.names.map((name) => textOf(credentials.get(name)))).toEqual(['u', 'p', 'p']);
    expect(versions.password).toBe(versions.again);
    expect(versions.password).not.toBe(versions.user);
    expect(credentials.has('nothing')).toBe(false);
    expect(() => credentials.get('nothing')).toThrow('does not hold this credential');
  });

  it('lends at once where a service needs no credentials', async () => {
    const { lease } = open({ references: {} });
    const lent = await lease();
    expect(lent.credentials.names).toEqual([]);
    lent.release();
  });

  it('sets no timer where the store has its value at hand', async () => {
    const fetched = { secret: new Secret('s'), retained: true };
    const ready: SecretStore = { fetch: async () => fetched, close: async () => {} };
    const { clock, lease } = open({ store: () => ready });
    const after = clock.after.bind(clock);
    let timers = 0;
    clock.after = (seconds, work) => ((timers += 1), after(seconds, work));
    for (let use = 0; use < 10; use += 1) (await lease()).release();
    expect(timers).toBe(0);
  });

  it('tells how each fetch ended and how long it took', async () => {
    const { store, clock, observations, lease } = open();
    const good = lease();
    await settle();
    clock.advance(0.25);
    await store.calls[0]!.answer('s');
    await good;
    const bad = errorOf(lease());
    await store.calls[1]!.fail(new SidecarError('credential-missing'));
    await bad;
    expect(observations).toEqual([
      { from: 'fake', outcome: 'ok', seconds: 0.25 },
      { from: 'fake', outcome: 'credential-missing', seconds: 0 },
    ]);
  });

  it('lends although the observer throws', async () => {
    const { store, lease } = open({
      onFetch: () => {
        throw new Error('observer');
      },
    });
    const lent = lease();
    await store.calls[0]!.answer('s');
    expect(textOf((await lent).credentials.get('token'))).toBe('s');
    const refused = errorOf(lease());
    await store.calls[1]!.fail(new SidecarError('credential-missing'));
    expect((await refused).code).toBe('credential-missing');
  });
});

describe('sharing', () => {
  it('a thousand callers cause one fetch where there is a cache', async () => {
    const { store, lease } = open({ cacheSeconds: 60 });
    const leases = Array.from({ length: 1000 }, () => lease());
    await settle();
    expect(store.calls).toHaveLength(1);
    await store.calls[0]!.answer('s');
    expect(new Set((await Promise.all(leases)).map(({ version }) => version)).size).toBe(1);
    expect((await lease()).cached).toBe(true);
    expect(store.calls).toHaveLength(1);
  });

  it('a thousand callers cause two fetches without a cache', async () => {
    const { store, lease } = open();
    const leases = Array.from({ length: 1000 }, () => lease());
    await settle();
    expect(store.calls).toHaveLength(1);
    await store.calls[0]!.answer('s');
    expect(store.calls).toHaveLength(2);
    await store.calls[1]!.answer('s');
    await Promise.all(leases);
    expect(store.calls).toHaveLength(2);
  });

  it('without a cache nobody gets a value that was asked for before they came', async () => {
    const { store, lease } = open();
    const early = lease();
    await settle();
    const late = lease();
    await store.calls[0]!.answer('old');
    await store.calls[1]!.answer('new');
    expect(textOf((await early).credentials.get('token'))).toBe('old');
    expect(textOf((await late).credentials.get('token'))).toBe('new');
  });

  it('one who gives up does not end the wait of the others', async () => {
    for (const cacheSeconds of [0, 60]) {
      const { store, lease } = open({ cacheSeconds });
      const impatient = new AbortController();
      const [first, second] = [lease(impatient.signal), lease()];
      await settle();
      const reason = new Error('gone');
      impatient.abort(reason);
      await expect(first).rejects.toBe(reason);
      await settle();
      await store.calls.at(-1)!.answer('s');
      expect(textOf((await second).credentials.get('token'))).toBe('s');
    }
  });

  it('a fetch that nobody waits for any more is aborted, and what still arrives is wiped', async () => {
    const { store, lease, clock } = open();
    const impatient = new AbortController();
    const lent = lease(impatient.signal);
    await settle();
    impatient.abort(new Error('gone'));
    await expect(lent).rejects.toThrow('gone');
    expect(store.calls[0]!.signal.aborted).toBe(true);
    await store.calls[0]!.answer('late');
    expect(store.secrets[0]!.wiped).toBe(true);
    expect(clock.pending).toBe(0);
  });

  it('a fetch for the cache goes on although nobody waits for it', async () => {
    const { store, lease } = open({ cacheSeconds: 60 });
    const impatient = new AbortController();
    const lent = lease(impatient.signal);
    await settle();
    impatient.abort(new Error('gone'));
    await expect(lent).rejects.toThrow('gone');
    await store.calls[0]!.answer('s');
    expect((await lease()).cached).toBe(true);
  });

  it('a caller whose signal has already aborted causes no fetch', async () => {
    const { store, lease } = open();
    await expect(lease(AbortSignal.abort(new Error('gone')))).rejects.toThrow('gone');
    expect(store.calls).toHaveLength(0);
  });
});

describe('the cache', () => {
  async function filled(options: Partial<SourceOptions>, fetched: Partial<Fetched> | string = 's') {
    const opened = open({ cacheSeconds: 60, ...options });
    const lent = opened.lease();
    await opened.store.calls[0]!.answer(fetched);
    const lease = await lent;
    return { ...opened, first: lease, askAgain: opened.lease };
  }

  it('ends after its time on the monotonic clock, whatever the wall clock does', async () => {
    const { store, clock, askAgain } = await filled({});
    clock.stepWall(-86_400);
    clock.advance(59);
    expect((await askAgain()).cached).toBe(true);
    clock.stepWall(86_400 * 2);
    expect((await askAgain()).cached).toBe(true);
    clock.advance(1);
    void askAgain();
    expect(store.calls).toHaveLength(2);
  });

  it('ends with the credential where that is sooner', async () => {
    const { store, clock, first, askAgain } = await filled({}, { expiresAt: new Date('2030-01-01T00:00:30Z') });
    expect(first.expiresAt).toEqual(new Date('2030-01-01T00:00:30Z'));
    clock.advance(29);
    expect((await askAgain()).cached).toBe(true);
    clock.advance(1);
    void askAgain();
    expect(store.calls).toHaveLength(2);
  });

  it('ends when the machine slept past the end of the credential', async () => {
    const { store, clock, askAgain } = await filled({}, { expiresAt: new Date('2030-01-01T00:00:30Z') });
    clock.stepWall(31);
    void askAgain();
    expect(store.calls).toHaveLength(2);
  });

  it('keeps nothing that has already ended', async () => {
    const { store, first, askAgain } = await filled({}, { expiresAt: new Date('2029-12-31T00:00:00Z') });
    first.release();
    void askAgain();
    expect(store.calls).toHaveLength(2);
  });

  it('forgets a version that proved stale, and no other', async () => {
    const { store, source, first, askAgain } = await filled({});
    source.forget('000000000000');
    expect((await askAgain()).cached).toBe(true);
    source.forget(first.version);
    void askAgain();
    expect(store.calls).toHaveLength(2);
  });

  it('does not keep a version that was forgotten while it was being fetched again', async () => {
    const { store, source, first, askAgain } = await filled({});
    source.forget(first.version);
    const second = askAgain();
    source.forget(first.version);
    await store.calls[1]!.answer('s');
    expect((await second).version).toBe(first.version);
    void askAgain();
    expect(store.calls).toHaveLength(3);
  });
});

describe('wiping', () => {
  it('wipes a secret when the last lease on it is released, each released once', async () => {
    const { store, lease } = open();
    void lease();
    const leases = [lease(), lease()];
    await store.calls[0]!.answer('first');
    await store.calls[1]!.answer('shared');
    const [a, b] = await Promise.all(leases);
    a!.release();
    a!.release();
    expect(store.secrets[1]!.wiped).toBe(false);
    b!.release();
    expect(store.secrets[1]!.wiped).toBe(true);
  });

  it('never wipes what the store retains', async () => {
    const { store, lease, source } = open({ cacheSeconds: 60 });
    const lent = lease();
    await store.calls[0]!.answer({ retained: true });
    (await lent).release();
    await source.close();
    expect(store.secrets[0]!.wiped).toBe(false);
  });

  it('wipes what the cache held when its time is over, although nobody asks again', async () => {
    const { store, clock, lease } = open({ cacheSeconds: 60 });
    const lent = lease();
    await store.calls[0]!.answer('s');
    (await lent).release();
    expect(store.secrets[0]!.wiped).toBe(false);
    clock.advance(60);
    expect(store.secrets[0]!.wiped).toBe(true);
  });

  it('wipes what is cached on close, but not under a lease that is still out', async () => {
    const idle = open({ cacheSeconds: 60 });
    const busy = open({ cacheSeconds: 60 });
    const [released, kept] = [idle.lease(), busy.lease()];
    await idle.store.calls[0]!.answer('s');
    await busy.store.calls[0]!.answer('s');
    (await released).release();
    const lease = await kept;
    await idle.source.close();
    await busy.source.close();
    expect(idle.store.secrets[0]!.wiped).toBe(true);
    expect(textOf(lease.credentials.get('token'))).toBe('s');
    lease.release();
    expect(busy.store.secrets[0]!.wiped).toBe(true);
    expect(busy.clock.pending).toBe(0);
  });

  it('wipes what one fetch brought when its sibling fails', async () => {
    const { store, lease } = open({ references: { a: { from: 'fake', get: 'a' }, b: { from: 'fake', get: 'b' } } });
    const refused = errorOf(lease());
    await store.calls[0]!.answer('s');
    await store.calls[1]!.fail(new SidecarError('credential-missing'));
    expect((await refused).code).toBe('credential-missing');
    expect(store.secrets[0]!.wiped).toBe(true);
    expect(store.calls[0]!.signal.aborted).toBe(true);
  });
});

describe('closing', () => {
  it('refuses who waits, who is queued and who comes later, and aborts the fetch', async () => {
    const { store, source, lease } = open();
    const waiting = [errorOf(lease()), errorOf(lease())];
    await source.close();
    await source.close();
    expect((await Promise.all(waiting)).map(({ code }) => code)).toEqual(['draining', 'draining']);
    expect(store.calls).toHaveLength(1);
    expect(store.calls[0]!.signal.aborted).toBe(true);
    expect((await errorOf(lease())).code).toBe('draining');
  });
});

describe('versions', () => {
  it('stay while the value does, and change with it', async () => {
    const { store, lease } = open();
    const versions: string[] = [];
    for (const value of ['one', 'one', 'two']) {
      const lent = lease();
      await store.calls.at(-1)!.answer(value);
      versions.push((await lent).version);
    }
    expect(versions[0]).toMatch(/^[0-9a-f]{12}$/);
    expect(versions[1]).toBe(versions[0]);
    expect(versions[2]).not.toBe(versions[0]);
  });
});
