import { describe, expect, it } from 'vitest';
import { SidecarError } from '../error.ts';
import { Grant } from '../policy/request.ts';
import { AgentSource } from './agent-source.ts';
import { AGENTS_MAX, openSource } from './source.ts';
import { Secret } from './secret.ts';
import { settle } from './testdata/fake-store.ts';
import { errorOf, never, textOf } from './testdata/source-fixture.ts';
import { VirtualClock } from './testdata/virtual-clock.ts';
import type { FetchContext, SecretStore } from './store.ts';

function grantOf(agent: string, service = 'api'): Grant {
  return Grant.issue({ service, connector: 'http', principal: { agent, attested: 'listener' }, facts: {} }, undefined);
}

interface Rig {
  readonly perAgent?: boolean;
  readonly cacheSeconds?: number;
  /** Waited for before each answer. */
  readonly hold?: Promise<void>;
}

/** A source over a store that answers with whom it was asked for. */
function rig({ perAgent = true, cacheSeconds = 60, hold }: Rig = {}) {
  const contexts: (FetchContext | undefined)[] = [];
  const forgotten: (FetchContext | undefined)[] = [];
  const failing = new Set<string | undefined>();
  const store: SecretStore = {
    perAgent,
    async fetch(_, __, context) {
      contexts.push(context);
      await hold;
      if (failing.has(context?.agent)) throw new SidecarError('credential-unavailable');
      return { secret: new Secret(`for ${context?.agent ?? 'all'} #${contexts.length}`) };
    },
    forget: (_, context) => forgotten.push(context),
    close: () => Promise.resolve(),
  };
  const references = { token: { from: 'fake', get: 'id' }, fixed: { from: 'fake', get: 'other' } };
  const open = () => store;
  const clock = new VirtualClock();
  const options = { service: 'api', references, store: open, cacheSeconds, timeoutSeconds: 5, clock };
  const source = openSource(options);
  const lease = (agent: string) => source.lease(grantOf(agent), never);
  const valueFor = async (agent: string) => textOf((await lease(agent)).credentials.get('token'));
  return { source, options, contexts, forgotten, failing, lease, valueFor };
}

describe('a store that fetches for one agent alone', () => {
  it('is told the service and the agent', async () => {
    const { contexts, lease } = rig();
    await lease('one');
    expect(contexts).toEqual([
      { service: 'api', agent: 'one' },
      { service: 'api', agent: 'one' },
    ]);
  });

  it('never has the credential of one agent lent to another, cached or under way', async () => {
    for (const cacheSeconds of [0, 60]) {
      const { valueFor, lease } = rig({ cacheSeconds });
      const together = await Promise.all(['one', 'two', 'one', 'two'].map(valueFor));
      expect(together.map((value) => value.slice(0, 7))).toEqual(['for one', 'for two', 'for one', 'for two']);
      expect((await valueFor('two')).startsWith('for two')).toBe(true);
      expect((await lease('one')).version).not.toBe((await lease('two')).version);
    }
  });

  it('is left alone for the agent it fails for, and serves the others', async () => {
    const { failing, lease, valueFor } = rig();
    failing.add('one');
    for (let attempt = 0; attempt < 5; attempt += 1) await errorOf(lease('one'));
    expect((await errorOf(lease('one'))).code).toBe('provider-paused');
    expect(await valueFor('two')).toContain('for two');
  });

  it('hears of a stale version for the agent that had it', async () => {
    const { source, forgotten, lease } = rig();
    const [one] = await Promise.all([lease('one'), lease('two')]);
    source.forget(one.version);
    expect(forgotten.map((context) => context?.agent)).toEqual(['one', 'one']);
  });

  it('is asked for no agent by what is no grant of this service', async () => {
    const { source, contexts } = rig();
    const forged = { service: 'api', principal: { agent: 'one' } } as unknown as Grant;
    expect((await errorOf(source.lease(forged, never))).code).toBe('internal');
    expect((await errorOf(source.lease({ service: 'api' } as Grant, never))).code).toBe('internal');
    expect((await errorOf(source.lease(grantOf('one', 'other'), never))).code).toBe('internal');
    expect(contexts).toEqual([]);
  });

  it('is not asked by the grant of another agent, should one ever be shown to its credentials', async () => {
    const { source, options, contexts } = rig();
    const own = new AgentSource(options, 'one');
    expect((await errorOf(own.lease(grantOf('two'), never))).code).toBe('internal');
    expect(contexts).toEqual([]);
    expect((await own.lease(grantOf('one'), never)).credentials.names).toEqual(['token', 'fixed']);
    await source.close();
  });

  it('has room for so many agents, and the one idle for longest makes it', async () => {
    const { valueFor, contexts } = rig();
    for (let at = 0; at < AGENTS_MAX; at += 1) await valueFor(`agent-${at}`);
    await valueFor('agent-0');
    const before = contexts.length;
    await valueFor('one-more');
    await valueFor('agent-0');
    expect(contexts.length).toBe(before + 2);
    await valueFor('agent-1');
    expect(contexts.length).toBe(before + 4);
  });

  it('refuses one more agent while all of them wait, and never takes a wait from another', async () => {
    let letGo = (): void => undefined;
    const hold = new Promise<void>((resolve) => (letGo = resolve));
    const { lease } = rig({ hold });
    const waiting = Array.from({ length: AGENTS_MAX }, (_, at) => lease(`agent-${at}`));
    await settle();
    const refused = await errorOf(lease('one-more'));
    expect(refused).toMatchObject({ code: 'credential-unavailable', retryAfterSeconds: 1 });
    letGo();
    expect(await Promise.all(waiting)).toHaveLength(AGENTS_MAX);
  });

  it('ends all of them when it closes', async () => {
    const { source, lease } = rig();
    await Promise.all([lease('one'), lease('two')]);
    await source.close();
    expect((await errorOf(lease('one'))).code).toBe('draining');
    expect((await errorOf(lease('three'))).code).toBe('draining');
  });
});

describe('any other store', () => {
  it('is asked once for all agents, and not told which one asked first', async () => {
    const { contexts, valueFor } = rig({ perAgent: false });
    expect(await valueFor('one')).toBe(await valueFor('two'));
    expect(contexts).toEqual([{ service: 'api' }, { service: 'api' }]);
  });
});
