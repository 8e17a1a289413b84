import { createServer, connect, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { canary, keepArtefact } from './canary.ts';
import { exchangeRaw, startRig } from './rig.ts';
import { ANSWER_FAMILIES } from './smuggling/hostile-answers.ts';
import { listen } from './smuggling/recorder.ts';
import { readAnswers, readRequests, valuesOf, type StrictAnswer } from './smuggling/strict-reader.ts';

/** Answers `/hostile/<n>` with the nth of these texts, and `/fine/<n>` with the path as the body. */
async function startHostileUpstream(hostiles: readonly string[]): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let kept = Buffer.alloc(0);
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      kept = Buffer.concat([kept, chunk]);
      const { messages, end } = readRequests(kept);
      for (const { target } of messages) {
        if (target.startsWith('/hostile/')) socket.end(hostiles[Number(target.slice(9))]!, 'latin1');
        else socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${target}`);
      }
      kept = kept.subarray(end);
    });
  });
  return listen(server, () => sockets.forEach((socket) => socket.destroy()));
}

/** Silence after which the conversation is over. */
const QUIET_MS = 1_000;
const AT_ONCE = 16;

interface Heard {
  readonly answers: readonly StrictAnswer[];
  readonly problem: string | undefined;
}

/** One connection: the hostile answer first, then, where it is still there, a request for something fine. */
function converse(port: number, number: number): Promise<Heard> {
  return new Promise((resolve) => {
    let kept = Buffer.alloc(0);
    let asked = 1;
    const socket = connect(port, '127.0.0.1', () =>
      socket.write(`GET /hostile/${number} HTTP/1.1\r\nHost: localhost\r\n\r\n`),
    );
    const read = (closed: boolean) => readAnswers(kept, ['GET', 'GET'].slice(0, asked), closed);
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      kept = Buffer.concat([kept, chunk]);
      const whole = read(false).messages.filter(({ status, complete }) => status >= 200 && complete).length;
      if (whole < asked) return;
      if (asked === 2) return void setImmediate(() => socket.end());
      asked = 2;
      socket.write(`GET /fine/${number} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    });
    socket.on('end', () => socket.destroy());
    socket.setTimeout(QUIET_MS, () => socket.destroy());
    socket.on('close', () => {
      keepArtefact('downstream', kept);
      const { messages, problem } = read(true);
      resolve({ answers: messages.filter(({ status }) => status >= 200), problem });
    });
  });
}

/** What is wrong with what the downstream heard; undefined where it is sound. */
function confusion({ answers, problem }: Heard, fine: string, hostile: string): string | undefined {
  if (problem !== undefined) return `not well-formed: ${problem}`;
  const [first, second] = answers;
  if (first !== undefined && !isOurs(first)) {
    const wrong = unfaithful(first, hostile);
    if (wrong !== undefined) return wrong;
  }
  if (second === undefined || !second.complete || isOurs(second)) return undefined;
  return second.body === fine ? undefined : `the next answer is ${JSON.stringify(second.body)}`;
}

function isOurs(answer: StrictAnswer): boolean {
  return valuesOf(answer.fields, 'content-type').includes('application/problem+json') && answer.status >= 500;
}

/** An answer that is passed on has the body that a strict reader finds, or the beginning of it and a cut. */
function unfaithful(answer: StrictAnswer, hostile: string): string | undefined {
  if (valuesOf(answer.fields, 'x-evil').length > 0) return 'the answer behind the answer';
  const { messages } = readAnswers(Buffer.from(hostile, 'latin1'), ['GET'], true);
  const strict = messages.find(({ status }) => status >= 200);
  if (strict !== undefined) {
    const sound = answer.complete ? answer.body === strict.body : strict.body.startsWith(answer.body);
    return sound ? undefined : `another body: ${JSON.stringify(answer.body)}`;
  }
  // Where the strict reader finds no answer, at least nothing behind it may come as part of a whole one.
  return answer.complete && answer.body.includes('evil') ? 'bytes behind the answer' : undefined;
}

async function startReverse(upstream: number): Promise<number> {
  const rig = await startRig(
    `services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:0
    target: http://127.0.0.1:${upstream}
    credentials: { token: { from: env, get: ANSWERS_TOKEN } }
    config: { headers: { X-Api-Key: "{{ .token }}" } }
`,
    { ANSWERS_TOKEN: canary() },
  );
  return rig.port('api');
}

async function confusions(port: number, hostiles: readonly string[]) {
  const found: { hostile: string; wrong: string }[] = [];
  let passed = 0;
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < hostiles.length; at = next++) {
      const heard = await converse(port, at);
      const wrong = confusion(heard, `/fine/${at}`, hostiles[at]!);
      if (heard.answers[0] !== undefined && !isOurs(heard.answers[0])) passed += 1;
      if (wrong !== undefined) found.push({ wrong, hostile: hostiles[at]!.slice(0, 300) });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return { found, passed };
}

describe('a hostile upstream', () => {
  test.each(Object.entries(ANSWER_FAMILIES))(
    '%s: the downstream hears one sound answer, ours, or none',
    async (_, make) => {
      const hostiles = make();
      const port = await startReverse(await startHostileUpstream(hostiles));
      const { found, passed } = await confusions(port, hostiles);
      expect(found).toEqual([]);
      // Some of each family are sound, so that a sidecar that passes nothing does not pass the test.
      expect(passed).toBeGreaterThan(0);
    },
    60_000,
  );

  test('confuses a downstream that is joined to it by a pipe', async () => {
    const hostiles = Object.values(ANSWER_FAMILIES).flatMap((make) => make().slice(0, 40));
    const upstream = await startHostileUpstream(hostiles);
    const pipe = createServer((socket) => {
      const onward = connect(upstream, '127.0.0.1');
      socket.pipe(onward).pipe(socket);
      socket.on('error', () => onward.destroy());
      onward.on('error', () => socket.destroy());
    });
    const port = await listen(pipe, () => undefined);
    const { found } = await confusions(port, hostiles);
    expect(found.length).toBeGreaterThan(hostiles.length / 2);
  }, 60_000);
});

describe('answers on one connection', () => {
  /** The upstream is slow, so that the request behind the first one is read before; nothing announces that it was. */
  async function pipelined(behind: string): Promise<string> {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.once('data', () => setTimeout(() => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow'), 150));
    });
    const port = await startReverse(await listen(server, () => undefined));
    return (await exchangeRaw(port, `GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n${behind}`, 1_000)).text;
  }

  test.each([
    ['CONNECT', 'CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n'],
    [
      'an upgrade',
      'GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
    ],
    ['a malformed request', 'GET /\x00 HTTP/1.1\r\n\r\n'],
    ['a refused expectation', 'GET / HTTP/1.1\r\nHost: localhost\r\nExpect: x\r\n\r\n'],
    ['a refused method', 'TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n'],
  ])('%s is never answered before the request that came first', async (_, behind) => {
    const text = await pipelined(behind);
    // A cut connection is sound as well: nobody mistakes it for an answer.
    expect(text === '' || text.startsWith('HTTP/1.1 200 OK\r\n'), text).toBe(true);
  });
});
