import { getEventListeners } from 'node:events';
import { SidecarError } from 'secretless-sidecar/connector';
import { strings, uint32 } from 'secretless-sidecar/connector/ssh';
import { describe, expect, test, vi } from 'vitest';
import type { ServedAgent } from './testdata/served-agent.ts';
import { commit, FAILURE, IDENTITIES, LIST, serve, SIGNATURE } from './testdata/talk.ts';

describe('the connection', () => {
  const ended = (agent: ServedAgent) => vi.waitFor(() => expect(agent.ends).toHaveLength(1), 3000);

  test('that is not to be served hears one failure and is closed', async () => {
    const { agent } = await serve();
    agent.options = { refusal: new SidecarError('connections-exhausted') };
    const client = await agent.client();
    client.send(LIST);
    expect(await client.ask(LIST)).toBe(FAILURE);
    expect(await client.hear()).toBeUndefined();
    await ended(agent);
    expect(agent.ends[0]!.error?.code).toBe('connections-exhausted');
    expect(agent.asked).toEqual([]);
  });

  test('that breaks the framing is closed, and what was answered before has arrived', async () => {
    for (const length of [0, 256 * 1024 + 1, 0xffff_ffff]) {
      const { agent, client } = await serve();
      expect(await client.ask(LIST)).toBe(IDENTITIES);
      client.socket.write(uint32(length));
      await client.closed();
      await ended(agent);
      expect(agent.ends[0]!.error?.code).toBe('downstream-protocol');
    }
  });

  test('that ends after its requests is answered and is no fault', async () => {
    const { agent, client } = await serve();
    client.socket.end(strings(LIST, Buffer.of(19), LIST));
    const answers = [await client.hear(), await client.hear(), await client.hear(), await client.hear()];
    expect(answers.map((answer) => answer?.[0])).toEqual([IDENTITIES, FAILURE, IDENTITIES, undefined]);
    await ended(agent);
    expect(agent.ends[0]).toEqual({ bytesUp: 3, bytesDown: expect.any(Number) });
    const second = await serve();
    second.client.socket.destroy();
    await ended(second.agent);
    expect(second.agent.ends[0]).toEqual({ bytesUp: 0, bytesDown: 0 });
  });

  test('that does not begin, or drips its request, is closed in time', async () => {
    const { agent } = await serve();
    agent.options = { headerSeconds: 0.3 };
    const silent = await agent.client();
    const dripping = await agent.client();
    expect(await dripping.ask(LIST)).toBe(IDENTITIES);
    const request = strings(Buffer.alloc(200, 11));
    let at = 0;
    const drip = setInterval(() => dripping.socket.write(request.subarray(at, (at += 1))), 20);
    await Promise.all([silent.closed(), dripping.closed()]);
    clearInterval(drip);
    expect(at).toBeLessThan(150);
    await vi.waitFor(() => expect(agent.ends).toHaveLength(2));
    for (const { error } of agent.ends) expect(error?.code).toBe('login-timeout');
  });

  test('that rests is closed when it has rested too long, and not before', async () => {
    const { agent } = await serve();
    agent.options = { headerSeconds: 0.2, idleSeconds: 0.6 };
    const client = await agent.client();
    for (let times = 0; times < 3; times += 1) {
      expect(await client.ask(LIST)).toBe(IDENTITIES);
      await new Promise((done) => setTimeout(done, 350));
    }
    await client.closed();
    await ended(agent);
    expect(agent.ends[0]!.error).toBeUndefined();
  });

  test('without such a limit rests for as long as it likes', async () => {
    const { agent } = await serve();
    agent.options = { headerSeconds: 0.2 };
    const client = await agent.client();
    await client.ask(LIST);
    await new Promise((done) => setTimeout(done, 500));
    expect(await client.ask(LIST)).toBe(IDENTITIES);
  });

  test('that is to end does so at once where it rests, and after its answer where it works', async () => {
    const { agent, key, client: resting } = await serve({ confirm: {} });
    const open: ((answer: boolean) => void)[] = [];
    agent.answer = () => new Promise<boolean>((done) => open.push(done));
    await resting.ask(LIST);
    const working = await agent.client();
    const answer = working.ask(commit(key));
    await vi.waitFor(() => expect(open).toHaveLength(1));
    agent.ending.abort(new SidecarError('draining'));
    expect(await resting.hear()).toBeUndefined();
    await ended(agent);
    open[0]!(true);
    expect(await answer).toBe(SIGNATURE);
    expect(await working.hear()).toBeUndefined();
    await vi.waitFor(() => expect(agent.ends).toHaveLength(2));
    for (const { error } of agent.ends) expect(error?.code).toBe('draining');
  });

  test('that must be over is over, whatever it waits for, and signs nothing any more', async () => {
    const { agent, key, client } = await serve();
    await client.ask(LIST);
    let allow: (answer: boolean) => void = () => undefined;
    agent.allows = () => new Promise<boolean>((done) => (allow = done));
    client.send(commit(key));
    await vi.waitFor(() => expect(allow.length).toBe(1));
    agent.killing.abort(new SidecarError('grant-ended'));
    await client.closed();
    await ended(agent);
    expect(agent.ends[0]!.error?.code).toBe('grant-ended');
    allow(true);
    await vi.waitFor(() => expect(agent.asked[1]?.outcome).toBeDefined());
    expect(agent.asked.at(-1)).toMatchObject({ released: true, outcome: { bytesDown: 0 } });
  });

  test('that is over listens to nothing any more', async () => {
    const { agent, client } = await serve();
    await client.ask(LIST);
    client.socket.end();
    await ended(agent);
    expect(getEventListeners(agent.killing.signal, 'abort')).toEqual([]);
    expect(getEventListeners(agent.ending.signal, 'abort')).toEqual([]);
  });

  test('that takes no answers is not read from', async () => {
    const { agent, client } = await serve({ comment: 'x'.repeat(128) });
    client.socket.pause();
    let sent = 0;
    const requests = strings(...Array.from({ length: 500 }, () => LIST));
    while (client.socket.write(requests) || client.socket.writableLength < 256 * 1024) {
      sent += 500;
      if (sent > 9000) break;
      await new Promise((done) => setTimeout(done, 5));
    }
    await new Promise((done) => setTimeout(done, 300));
    const asked = agent.asked.length;
    expect(asked).toBeLessThan(sent);
    await new Promise((done) => setTimeout(done, 200));
    expect(agent.asked.length).toBe(asked);
  });
});
