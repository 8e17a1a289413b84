import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { SidecarError } from '../error.ts';
import { FakeStore, settle } from './testdata/fake-store.ts';
import { errorOf, open } from './testdata/source-fixture.ts';

describe('failures of a provider', () => {
  const ten = Array.from({ length: 10 });

  async function fail(opened: ReturnType<typeof open>, error: unknown): Promise<SidecarError> {
    const refused = errorOf(opened.lease());
    await opened.store.calls.at(-1)!.fail(error);
    return refused;
  }

  it('name provider, credential and id, and say what the store said', async () => {
    const error = await fail(open(), new SidecarError('credential-missing', { detail: 'no such file' }));
    expect(error.detail).toBe('credential "token" (provider "fake", id "id"): no such file');
  });

  it('never say what a foreign error says, since it may quote content', async () => {
    const foreign = Object.assign(new SyntaxError('Unexpected token "canary-5f1c9e"'), { code: 'EX' });
    const error = await fail(open(), foreign);
    expect(error.code).toBe('credential-unavailable');
    expect(error.detail).toContain('SyntaxError EX');
    expect(inspect(error, { depth: null, showHidden: true })).not.toContain('canary');
  });

  it('never name the id of a store whose ids are secrets', async () => {
    const opened = open({ references: { token: { from: 'fake', get: 'canary-5f1c9e' } } });
    Object.assign(opened.store, { idIsSecret: true });
    const error = await fail(opened, new SidecarError('credential-unavailable'));
    expect(inspect(error, { depth: null })).not.toContain('canary');
    expect(error.detail).toContain('"token"');
  });

  it('name of an id only what its store says may be named', async () => {
    const opened = open({ references: { token: { from: 'fake', get: 'tool canary-5f1c9e' } } });
    Object.assign(opened.store, { nameableId: (id: string) => id.split(' ')[0] });
    const named = await fail(opened, new SidecarError('credential-unavailable'));
    expect(named.detail).toBe('credential "token" (provider "fake", id "tool")');
    Object.assign(opened.store, { nameableId: () => undefined });
    const unnamed = await fail(opened, new SidecarError('credential-unavailable'));
    expect(unnamed.detail).toBe('credential "token" (provider "fake")');
  });

  it('reach the caller also where the store does not open or throws at once', async () => {
    const opening = open({
      store: () => {
        throw new SidecarError('config-invalid', { detail: 'no such provider' });
      },
    });
    expect((await errorOf(opening.lease())).code).toBe('config-invalid');
    const throwing = open({ store: () => ({ fetch: () => JSON.parse('{') as never, close: async () => {} }) });
    expect((await errorOf(throwing.lease())).code).toBe('credential-unavailable');
  });

  it('a fetch that takes too long is refused and aborted', async () => {
    const { store, clock, lease, observations } = open();
    const refused = errorOf(lease());
    await settle();
    clock.advance(4.9);
    expect(store.calls[0]!.signal.aborted).toBe(false);
    clock.advance(0.1);
    expect((await refused).code).toBe('credential-timeout');
    expect(store.calls[0]!.signal.aborted).toBe(true);
    expect(observations).toEqual([{ from: 'fake', outcome: 'credential-timeout', seconds: 5 }]);
  });

  it('the fifth in a row pauses the provider, and a failed probe pauses it again', async () => {
    const opened = open();
    for (let failure = 0; failure < 5; failure += 1) {
      expect((await fail(opened, new SidecarError('credential-unavailable', { detail: 'down' }))).code).toBe(
        'credential-unavailable',
      );
    }
    const paused = await errorOf(opened.lease());
    expect(paused.code).toBe('provider-paused');
    expect(paused.retryAfterSeconds).toBe(4);
    expect(paused.detail).toContain('down');
    expect(opened.store.calls).toHaveLength(5);

    opened.clock.advance(4);
    const herd = ten.map(() => errorOf(opened.lease()));
    await settle();
    expect(opened.store.calls).toHaveLength(6);
    await opened.store.calls[5]!.fail(new SidecarError('credential-unavailable'));
    const codes = (await Promise.all(herd)).map(({ code }) => code);
    expect(codes).toEqual(['credential-unavailable', ...ten.slice(1).map(() => 'provider-paused')]);
    expect(opened.store.calls).toHaveLength(6);
  });

  it('a probe that succeeds ends the pause', async () => {
    const opened = open({ breaker: { failures: 2, pauseSeconds: 1 } });
    for (let failure = 0; failure < 2; failure += 1) await fail(opened, new SidecarError('credential-unavailable'));
    opened.clock.advance(1);
    const probe = opened.lease();
    await opened.store.calls.at(-1)!.answer('s');
    await probe;
    expect((await fail(opened, new SidecarError('credential-unavailable'))).code).toBe('credential-unavailable');
    expect((await fail(opened, new SidecarError('credential-unavailable'))).code).toBe('credential-unavailable');
    expect((await errorOf(opened.lease())).code).toBe('provider-paused');
  });

  it('a provider that does not hold the credential, or whose tool is missing, is not paused', async () => {
    for (const code of ['credential-missing', 'provider-tool-missing'] as const) {
      const opened = open();
      for (const _ of ten) expect((await fail(opened, new SidecarError(code))).code).toBe(code);
      expect(opened.store.calls).toHaveLength(10);
    }
  });

  it('a caller who gives up does not count against the provider', async () => {
    const opened = open({ breaker: { failures: 1, pauseSeconds: 60 } });
    const impatient = new AbortController();
    const lent = opened.lease(impatient.signal);
    await settle();
    impatient.abort(new Error('gone'));
    await expect(lent).rejects.toThrow('gone');
    void opened.lease();
    expect(opened.store.calls).toHaveLength(2);
  });

  it('one answer of two does not hide that a provider fails', async () => {
    const references = { a: { from: 'fake', get: 'a' }, b: { from: 'fake', get: 'b' } };
    const opened = open({ references, breaker: { failures: 2, pauseSeconds: 1 } });
    for (let round = 0; round < 2; round += 1) {
      const refused = errorOf(opened.lease());
      await opened.store.calls.at(-2)!.answer('s');
      await opened.store.calls.at(-1)!.fail(new SidecarError('credential-unavailable'));
      await refused;
    }
    expect((await errorOf(opened.lease())).code).toBe('provider-paused');
  });

  it('one provider that is paused leaves the other alone', async () => {
    const good = new FakeStore();
    const bad = new FakeStore();
    const references = { a: { from: 'good', get: 'a' }, b: { from: 'bad', get: 'b' } };
    const { lease } = open({
      references,
      store: (from) => (from === 'good' ? good : bad),
      breaker: { failures: 1, pauseSeconds: 1 },
    });
    const refused = errorOf(lease());
    await good.calls[0]!.answer('s');
    await bad.calls[0]!.fail(new SidecarError('credential-unavailable'));
    await refused;
    const paused = await errorOf(lease());
    expect(paused.detail).toContain('provider "bad"');
    expect(good.calls).toHaveLength(1);
  });

  it('leave no unhandled rejection behind', async () => {
    const unhandled: unknown[] = [];
    const listen = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', listen);
    const opened = open({ references: { a: { from: 'fake', get: 'a' }, b: { from: 'fake', get: 'b' } } });
    const refused = errorOf(opened.lease());
    await opened.store.calls[0]!.fail(new Error('one'));
    await opened.store.calls[1]!.fail(new Error('two'));
    await refused;
    await settle();
    process.off('unhandledRejection', listen);
    expect(unhandled).toEqual([]);
  });
});
