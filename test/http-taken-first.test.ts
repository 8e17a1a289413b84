import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Begun, BodyNeed, HttpService, Review } from '../src/connector/connector.ts';
import { SidecarError } from '../src/error.ts';
import { startProbe, type ProbeOptions } from './http-connector-kit.ts';
import { heldBudget, HELD_BYTES_MAX } from '../src/http/held-body.ts';
import { nothingHeld, unnamed } from './http-held-files.ts';
import { dial, heads, type Peer, problemOf, send, startRawUpstream } from './http-kit.ts';
import { ask, eventually } from './rig.ts';

/* Bodies that policy reads before it decides: `BodyNeed.digest` with `first`. */

const KIB = 1024;
const RULES: ProbeOptions = { top: ['rules: [{ id: reads, effect: allow, aws: { actions: [read, nothing] } }]'] };
/** The file that `disk` would allow is never written. */
const FIRST: BodyNeed = { digest: { memory: 64 * KIB, disk: 4 * KIB * KIB }, first: true };

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

interface Given {
  readonly begun?: (count: number) => Partial<Begun>;
  readonly review?: Review;
  readonly answer?: string;
  readonly serve?: (peer: Peer) => unknown;
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** A sidecar whose policy allows requests with the body `read` alone. `steps` is what was asked of its connector. */
async function startReading({ begun = () => ({}), review, answer = OK, serve }: Given = {}) {
  const steps: string[] = [];
  const bodies: string[] = [];
  let [begins, answers] = [0, 0];
  const upstream = await startRawUpstream(async (peer) => {
    if (serve !== undefined) return serve(peer);
    for (let count = 1; ; count += 1) {
      await heads(peer, count);
      const head = peer.text.lastIndexOf('\r\n\r\n') + 4;
      const length = Number(/content-length: (\d+)/i.exec(peer.text)?.[1] ?? 0);
      if (length > 0) await peer.untilBytes(head + length);
      bodies.push(peer.text.slice(head));
      peer.write((answers += 1) === 1 ? answer : OK);
    }
  });
  const authenticate: HttpService['authenticate'] = (head, _, { bodySha256 = '' }) => {
    steps.push(`authenticate ${bodySha256}`);
    return { head };
  };
  const service: HttpService = {
    authenticate,
    begin: ({ head }) => ({
      head,
      origin: { scheme: 'http', host: '127.0.0.1', port: upstream.port },
      credentialed: true,
      authenticate,
      body: () => FIRST,
      facts: (_, body) => {
        const text = body === undefined ? 'unheard' : Buffer.from(body).toString('latin1');
        steps.push(`facts ${text.slice(0, 20)}`);
        return { aws: { service: 'probe', action: text.slice(0, 20).trimEnd() || 'nothing' } };
      },
      prove: (hash) => void steps.push(`prove ${hash}`),
      ...(review === undefined ? {} : { review: () => review }),
      ...begun((begins += 1)),
    }),
  };
  const rig = await startProbe(service, RULES);
  return { ...rig, upstream, steps, bodies, begins: () => begins };
}

async function put(port: number, body: string | Buffer) {
  const answer = await send(port, { method: 'PUT', body: Buffer.from(body) });
  return { status: answer.message.statusCode, text: String(answer.body) };
}

describe('what policy hears', () => {
  test('is the whole body, proven before and signed after', async () => {
    const { port, steps, bodies } = await startReading();
    expect(await put(port, 'read')).toEqual({ status: 200, text: 'ok' });
    const hash = sha256('read');
    expect(steps).toEqual([`prove ${hash}`, 'facts read', `authenticate ${hash}`]);
    expect(bodies).toEqual(['read']);
    await nothingHeld();
  });

  test('is nothing at all where there is no body, and not that nobody knows', async () => {
    const { port, steps } = await startReading();
    for (const head of ['GET /', 'PUT / HTTP/1.1\nContent-Length: 0']) expect((await ask(port, head)).status).toBe(200);
    expect((await ask(port, 'PUT / HTTP/1.1\nTransfer-Encoding: chunked', '0\r\n\r\n')).status).toBe(200);
    expect(steps.filter((step) => step.startsWith('facts'))).toEqual(['facts ', 'facts ', 'facts ']);
  });

  test('came in pieces as in one', async () => {
    const { port, upstream } = await startReading();
    const pieces = [Buffer.from('re'), Buffer.from('ad')];
    expect((await send(port, { method: 'PUT', body: pieces })).message.statusCode).toBe(200);
    expect(upstream.connections[0]!.text).toMatch(/content-length: 4\r\n/i);
    await nothingHeld();
  });

  test('is what a client sends only once it is asked to go on, and then policy refuses', async () => {
    const { port, upstream } = await startReading();
    const head =
      'PUT / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n';
    const client = await dial(port, head);
    await client.until('HTTP/1.1 100 Continue\r\n\r\n');
    client.write('write');
    expect(await client.end()).toContain('HTTP/1.1 403');
    expect(upstream.connections).toHaveLength(0);
    await nothingHeld();
  });
});

test('a body that policy refuses reaches neither a provider nor the upstream', async () => {
  const { port, steps, upstream, events, metrics } = await startReading();
  const refused = await put(port, 'write');
  expect([refused.status, refused.text]).toEqual([403, expect.stringContaining('policy-denied')]);
  expect(steps).toEqual([`prove ${sha256('write')}`, 'facts write']);
  expect(upstream.connections).toHaveLength(0);
  expect(events('decision')).toMatchObject([{ result: 'deny' }]);
  expect(events('decision')[0]!['credentials']).toBeUndefined();
  const fetches = (text: string): number =>
    [...text.matchAll(/^secretless_lease_fetches_total\{.*\} (\d+)/gm)].reduce((sum, [, n]) => sum + Number(n), 0);
  expect(fetches(await metrics())).toBe(0);
  await put(port, 'read');
  expect(fetches(await metrics())).toBe(1);
  await nothingHeld();
});

test('who is not proven by the body is refused before policy hears of it', async () => {
  const prove = (): void => {
    throw new SidecarError('caller-unproven');
  };
  const { port, steps, upstream, events } = await startReading({ begun: () => ({ prove }) });
  expect(await put(port, 'read')).toMatchObject({
    status: 403,
    text: expect.stringContaining('caller-unproven') as string,
  });
  expect([steps, upstream.connections]).toEqual([[], []]);
  expect(events('decision')).toMatchObject([{ result: 'deny', reason: 'caller-unproven' }]);
  await nothingHeld();
});

describe('a body larger than may be in memory', () => {
  test('is refused by its length, before a byte of it is asked for', async () => {
    const { port, steps } = await startReading();
    const head = `PUT / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: ${64 * KIB + 1}\r\n\r\n`;
    const client = await dial(port, head);
    await client.until('body-too-large');
    expect(client.text).toContain('HTTP/1.1 413');
    expect(client.text).not.toContain('100 Continue');
    client.socket.destroy();
    expect(steps).toEqual([]);
  });

  test('is refused once it is there, and was never in a file', async () => {
    const { port, steps, upstream } = await startReading();
    const client = await dial(port, 'PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n');
    const piece = (bytes: number): Buffer =>
      Buffer.concat([Buffer.from(`${bytes.toString(16)}\r\n`), randomBytes(bytes), Buffer.from('\r\n')]);
    client.write(piece(64 * KIB));
    await eventually(() => heldBudget.freeBytes < HELD_BYTES_MAX, 'a body that is held');
    if (process.platform === 'linux') expect(unnamed()).toBe(0);
    client.write(piece(1));
    await client.until('body-too-large');
    expect(problemOf(client.text).status).toBe(413);
    client.socket.destroy();
    expect([steps, upstream.connections]).toEqual([[], []]);
    await nothingHeld();
  });

  test('may fill the memory to its last byte', async () => {
    const { port } = await startReading();
    expect((await put(port, Buffer.alloc(64 * KIB, ' '))).status).toBe(200);
    await nothingHeld();
  });

  test('is refused too where others have taken the memory of all', async () => {
    const { port, upstream } = await startReading();
    const taken = heldBudget.freeBytes;
    heldBudget.take(taken);
    onTestFinished(() => {
      if (heldBudget.freeBytes < HELD_BYTES_MAX) heldBudget.give(taken);
    });
    expect((await put(port, 'read')).status).toBe(413);
    if (process.platform === 'linux') expect(unnamed()).toBe(0);
    expect(upstream.connections).toHaveLength(0);
    heldBudget.give(taken);
    expect((await put(port, 'read')).status).toBe(200);
    await nothingHeld();
  });
});

describe('a request that is sent again', () => {
  const refusal = 'HTTP/1.1 400 No\r\nContent-Length: 7\r\n\r\nrefused';

  test('is proven and decided anew, by the same bytes', async () => {
    const { port, steps, bodies, begins, events } = await startReading({ review: 'again', answer: refusal });
    expect(await put(port, 'read')).toEqual({ status: 200, text: 'ok' });
    expect([begins(), bodies]).toEqual([2, ['read', 'read']]);
    const once = [`prove ${sha256('read')}`, 'facts read', `authenticate ${sha256('read')}`];
    expect(steps).toEqual([...once, ...once]);
    expect(events('decision')).toMatchObject([{ result: 'allow' }, { result: 'allow' }]);
    await nothingHeld();
  });

  test('is not sent where policy refuses it this time, or it is not proven: the first answer goes down', async () => {
    const second: readonly Partial<Begun>[] = [
      { facts: () => ({ aws: { service: 'probe', action: 'write' } }) },
      {
        prove: () => {
          throw new SidecarError('caller-unproven');
        },
      },
    ];
    for (const changed of second) {
      const begun = (count: number): Partial<Begun> => (count === 2 ? changed : {});
      const { port, bodies, events } = await startReading({ review: 'again', answer: refusal, begun });
      expect(await put(port, 'read')).toEqual({ status: 400, text: 'refused' });
      expect(bodies).toEqual(['read']);
      expect(events('decision')).toMatchObject([{ result: 'allow' }, { result: 'deny' }]);
      await nothingHeld();
    }
  });

  test('is not sent where the second try needs its body in another way than it is held', async () => {
    const facts = () => ({ aws: { service: 'probe', action: 'read' } });
    const begun = (count: number): Partial<Begun> => (count === 2 ? { body: () => ({ buffer: 100 }), facts } : {});
    const { port, bodies, begins } = await startReading({ review: 'again', answer: refusal, begun });
    expect(await put(port, 'read')).toEqual({ status: 400, text: 'refused' });
    expect([begins(), bodies]).toEqual([2, ['read']]);
    await nothingHeld();
  });
});

describe('what is held is given back', () => {
  test('when the client leaves half-way: nothing is proven, decided or on record', async () => {
    const { port, steps, upstream, events } = await startReading();
    const client = await dial(port, 'PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n');
    client.write(randomBytes(30_000));
    await eventually(() => heldBudget.freeBytes < HELD_BYTES_MAX, 'a body that is held');
    client.socket.destroy();
    await nothingHeld();
    expect([steps, upstream.connections, events('decision')]).toEqual([[], [], []]);
  });

  test('when the client leaves just as its body is there', async () => {
    const { port } = await startReading();
    const body = Buffer.alloc(40 * KIB, ' ');
    for (let round = 0; round < 40; round += 1) {
      const client = await dial(port, `PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n`);
      client.write(body);
      client.socket.end();
      await new Promise((resolve) => setTimeout(resolve, round % 8));
      client.socket.destroy();
    }
    await nothingHeld();
  });

  test('when its connector fails, before policy or after', async () => {
    const fail = (): never => {
      throw new TypeError('a bug');
    };
    for (const begun of [{ facts: fail }, { prove: fail }, { authenticate: fail }]) {
      const { port, upstream } = await startReading({ begun: () => begun });
      expect((await put(port, 'read')).status).toBeGreaterThanOrEqual(500);
      expect(upstream.connections).toHaveLength(0);
      await nothingHeld();
    }
  });

  test('when the upstream breaks off', async () => {
    const serve = async (peer: Peer): Promise<void> => {
      await heads(peer, 1);
      peer.socket.destroy();
    };
    const { port } = await startReading({ serve });
    expect((await put(port, 'read')).status).toBe(502);
    await nothingHeld();
  });

  test('when the client leaves while the upstream is silent', async () => {
    const { port, upstream } = await startReading({ serve: (peer) => heads(peer, 1) });
    const client = await dial(port, 'PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nread');
    await eventually(() => upstream.connections[0]?.text.endsWith('read') === true);
    expect(heldBudget.freeBytes).toBeLessThan(HELD_BYTES_MAX);
    client.socket.destroy();
    await nothingHeld();
  });
});
