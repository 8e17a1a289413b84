import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect, onTestFinished, test } from 'vitest';
import { dial, get, heads, startApi, startRawUpstream } from './http-kit.ts';

const ROUNDS = 400;

/** Turns of the event loop so far; it never rests while this counts. */
function countTurns(): () => number {
  let turns = 0;
  let next = setImmediate(function again() {
    turns += 1;
    next = setImmediate(again);
  });
  onTestFinished(() => clearImmediate(next));
  return () => turns;
}

/** Path of a request → turn in which undici wrote its head. */
function watchDispatches(turn: () => number): ReadonlyMap<string, number> {
  const dispatched = new Map<string, number>();
  const note = (message: unknown): void => {
    dispatched.set((message as { request: { path: string } }).request.path, turn());
  };
  subscribe('undici:client:sendHeaders', note);
  onTestFinished(() => void unsubscribe('undici:client:sendHeaders', note));
  return dispatched;
}

const answer = (body: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

/** Answers a request with its path, and up to 2 ms later with `poison:<path>`, which nobody asked for. */
async function startLatePoisoner(turn: () => number) {
  const poisoned = new Map<string, number>();
  const upstream = await startRawUpstream(async (peer) => {
    for (let count = 1; ; count += 1) {
      await heads(peer, count);
      const path = [...peer.text.matchAll(/^GET (\S+) /gm)].at(-1)![1]!;
      peer.write(answer(path));
      setTimeout(() => {
        if (peer.closed || !peer.socket.writable) return;
        poisoned.set(path, turn());
        peer.write(answer(`poison:${path}`));
      }, Math.random() * 2);
    }
  });
  return { upstream, poisoned };
}

/**
 * HTTP/1.1 answers have no name. One that comes before the next request was written is known to be nobody's, and its
 * connection is not used again. One that comes after looks like the answer to that request, to any client there is; it
 * is then an answer of the same upstream under the same credential, since no connection serves two of either.
 */
test('an answer nobody asked for that came before the next request was written is never delivered', async () => {
  const turn = countTurns();
  const dispatched = watchDispatches(turn);
  const { upstream, poisoned } = await startLatePoisoner(turn);
  const { port } = await startApi(upstream.url);
  const client = await dial(port);
  const knowable: string[] = [];
  let right = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const path = `/round-${round}-`;
    const from = client.bytes;
    client.write(get(path));
    while (!/\r\n\r\n.*-$/s.test(client.text.slice(from))) await client.untilBytes(client.bytes + 1);
    const body = /\r\n\r\n(.*)$/s.exec(client.text.slice(from))![1]!;
    if (body === path) right += 1;
    const of = /^poison:(.*)$/s.exec(body)?.[1];
    // Two turns apart, the event loop has asked for what came in between.
    if (of !== undefined && dispatched.get(path)! - poisoned.get(of)! >= 2) knowable.push(path);
  }
  expect(knowable).toEqual([]);
  expect(poisoned.size).toBeGreaterThan(20);
  expect(right).toBeGreaterThan(ROUNDS / 2);
}, 30_000);
