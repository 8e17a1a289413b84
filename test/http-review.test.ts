import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  REVIEWED_BYTES_MAX,
  type Begun,
  type BodyNeed,
  type HttpService,
  type Review,
} from '../src/connector/connector.ts';
import { withHeader, type ResponseHead } from '../src/connector/head.ts';
import { SidecarError } from '../src/error.ts';
import { startProbe, type ProbeOptions } from './http-connector-kit.ts';
import { dial, get, heads, send, startRawUpstream, type RawUpstream } from './http-kit.ts';
import { ask, eventually } from './rig.ts';

const KIB = 1024;
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const DIGEST: BodyNeed = { digest: { memory: 64 * KIB, disk: 4 * KIB * KIB } };

interface Seen {
  readonly response: ResponseHead;
  readonly beginning: string;
}

interface Given {
  readonly verdict: (count: number) => Review;
  readonly body?: BodyNeed;
  readonly begun?: (count: number) => Partial<Begun>;
  readonly options?: ProbeOptions;
}

/** A sidecar whose connector judges answers of `port` by `verdict`. */
async function startReviewing(port: number, { verdict, body = DIGEST, begun, options }: Given) {
  const seen: Seen[] = [];
  let begins = 0;
  const authenticate: HttpService['authenticate'] = (head, credentials, { bodySha256 = '' }) => {
    const token = credentials.get('token').expose((bytes) => Buffer.from(bytes).toString());
    return { head: withHeader(withHeader(head, 'X-Token', token), 'X-Hash', bodySha256) };
  };
  const rig = await startProbe(
    {
      authenticate,
      begin: ({ head }) => ({
        head: withHeader(head, 'X-Begun', String((begins += 1))),
        origin: { scheme: 'http', host: '127.0.0.1', port },
        credentialed: true,
        authenticate,
        body: () => body,
        review: (response, beginning, { origin, now }) => {
          expect([origin.port, now]).toEqual([port, expect.any(Date)]);
          seen.push({ response, beginning: Buffer.from(beginning).toString('latin1') });
          return verdict(seen.length);
        },
        ...begun?.(begins),
      }),
    },
    options,
  );
  return { ...rig, seen, begins: () => begins };
}

function answer(status: number, body: string, ...fields: string[]): string {
  return [`HTTP/1.1 ${status} Said`, `Content-Length: ${body.length}`, ...fields, '', body].join('\r\n');
}

/** Answers the n-th request over all connections with the n-th text, the last one for all that follow. */
function startAnswering(...answers: string[]): Promise<RawUpstream & { bodies?: never }> {
  let served = 0;
  return startRawUpstream(async (peer) => {
    for (let count = 1, from = 0; ; count += 1) {
      await heads(peer, count);
      const end = peer.text.indexOf('\r\n\r\n', from) + 4;
      const length = Number(/content-length: (\d+)/i.exec(peer.text.slice(from, end))?.[1] ?? 0);
      from = end + length;
      if (length > 0) await peer.untilBytes(from);
      peer.write(answers[Math.min(served, answers.length - 1)]!);
      served += 1;
    }
  });
}

const wholeText = (upstream: RawUpstream): string => upstream.connections.map(({ text }) => text).join('');

describe('an answer that its connector lets pass', () => {
  test.each([301, 307, 400, 401, 403])('%i goes down as it came, after it was judged', async (status) => {
    const upstream = await startAnswering(answer(status, 'refused', 'X-Kept: 1'));
    const { port, seen } = await startReviewing(upstream.port, { verdict: () => 'pass' });
    const got = await send(port);
    expect([got.message.statusCode, got.message.statusMessage, String(got.body)]).toEqual([status, 'Said', 'refused']);
    expect(got.message.headers['x-kept']).toBe('1');
    expect(seen).toMatchObject([{ response: { status }, beginning: 'refused' }]);
    expect(upstream.requests()).toHaveLength(1);
  });

  test.each([200, 404, 500])('%i is not held and nobody is asked', async (status) => {
    const upstream = await startAnswering(answer(status, 'said'));
    const { port, seen } = await startReviewing(upstream.port, { verdict: () => 'again' });
    expect((await send(port)).message.statusCode).toBe(status);
    expect(seen).toHaveLength(0);
  });

  test('one without a body is judged by its head alone', async () => {
    const upstream = await startAnswering('HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n');
    const { port, seen } = await startReviewing(upstream.port, { verdict: () => 'pass' });
    expect((await ask(port, 'GET /')).status).toBe(403);
    const head = await startAnswering('HTTP/1.1 403 No\r\nContent-Length: 77\r\n\r\n');
    const other = await startReviewing(head.port, { verdict: () => 'pass' });
    expect((await send(other.port, { method: 'HEAD' })).message.headers['content-length']).toBe('77');
    expect([...seen, ...other.seen].map(({ beginning }) => beginning)).toEqual(['', '']);
  });

  test('a long one is judged by its beginning and streams on, byte for byte', async () => {
    const body = randomBytes(600 * KIB).toString('latin1');
    const upstream = await startAnswering(answer(400, body));
    const { port, seen } = await startReviewing(upstream.port, { verdict: () => 'pass' });
    const got = await send(port);
    expect(got.body.toString('latin1') === body).toBe(true);
    expect(seen[0]!.beginning === body.slice(0, REVIEWED_BYTES_MAX)).toBe(true);
  });

  test('one that falls silent half-way is judged by what came, and streams on', async () => {
    const upstream = await startRawUpstream(async (peer) => {
      await heads(peer, 1);
      peer.write('HTTP/1.1 401 No\r\nContent-Length: 8\r\n\r\nhalf');
    });
    const { port, seen } = await startReviewing(upstream.port, { verdict: () => 'pass' });
    const client = await dial(port, get('/'));
    const begun = performance.now();
    await client.until('half');
    expect(performance.now() - begun).toBeGreaterThan(1_500);
    expect(seen).toMatchObject([{ beginning: 'half' }]);
    upstream.connections[0]!.write('more');
    await client.until('halfmore');
  });

  test('one that breaks off before it was judged is a failure of the upstream', async () => {
    const upstream = await startRawUpstream(async (peer) => {
      await heads(peer, 1);
      peer.write('HTTP/1.1 401 No\r\nContent-Length: 8\r\n\r\nhalf');
      peer.socket.end();
    });
    const { port, seen } = await startReviewing(upstream.port, { verdict: () => 'again' });
    expect((await send(port)).message.statusCode).toBe(502);
    expect(seen).toHaveLength(0);
  });

  test('a connector that cannot judge keeps nobody from the answer', async () => {
    const upstream = await startAnswering(answer(403, 'refused'));
    const { port, log } = await startReviewing(upstream.port, {
      verdict: () => {
        throw new TypeError('a bug');
      },
    });
    expect(String((await send(port)).body)).toBe('refused');
    expect(JSON.stringify(log)).toContain('could not judge');
  });

  test('a downstream that goes away while an answer is held ends the exchange', async () => {
    const upstream = await startRawUpstream(async (peer) => {
      await heads(peer, 1);
      peer.write('HTTP/1.1 401 No\r\nContent-Length: 8\r\n\r\nhalf');
    });
    const { port, seen, events } = await startReviewing(upstream.port, { verdict: () => 'pass' });
    const client = await dial(port, get('/'));
    await eventually(() => upstream.connections[0]?.text.includes('\r\n\r\n') === true);
    await new Promise((resolve) => setTimeout(resolve, 50));
    client.socket.destroy();
    await eventually(() => events('exchange.ended').length === 1);
    await eventually(() => upstream.connections[0]!.closed);
    // Longer than an upstream may be silent.
    await new Promise((resolve) => setTimeout(resolve, 2_200));
    expect(seen).toHaveLength(0);
  });
});

describe('a request that its connector sends again', () => {
  test('begins anew, is on record anew, and only its second answer goes down', async () => {
    const upstream = await startAnswering(answer(400, 'wrong region'), OK);
    const { port, begins, events, seen } = await startReviewing(upstream.port, { verdict: () => 'again' });
    expect(String((await send(port)).body)).toBe('ok');
    expect(begins()).toBe(2);
    expect(seen).toHaveLength(1);
    expect(wholeText(upstream)).toMatch(/x-begun: 1[\s\S]*x-begun: 2/i);
    const decisions = events('decision');
    expect(decisions).toMatchObject([{ result: 'allow' }, { result: 'allow' }]);
    expect(decisions[0]!['id']).toBe(decisions[1]!['id']);
    await eventually(() => events('exchange.ended').length === 1);
    expect(events('exchange.ended')).toMatchObject([{ status: 200, result: 'allow' }]);
  });

  test('is sent once more and no more; the second refusal is judged and passes', async () => {
    const upstream = await startAnswering(answer(400, 'first'), answer(400, 'second'), OK);
    const { port, seen } = await startReviewing(upstream.port, { verdict: () => 'again' });
    expect(String((await send(port)).body)).toBe('second');
    expect(seen.map(({ beginning }) => beginning)).toEqual(['first', 'second']);
    expect(upstream.requests()).toHaveLength(2);
  });

  test.each([
    ['small', 10],
    ['on disk', 300 * KIB],
  ])('has the same body, byte for byte (%s)', async (_, bytes) => {
    const upstream = await startAnswering(answer(403, 'first'), OK);
    const { port } = await startReviewing(upstream.port, { verdict: () => 'again' });
    const body = randomBytes(bytes);
    expect(String((await send(port, { method: 'PUT', body })).body)).toBe('ok');
    const text = wholeText(upstream);
    expect(text.split(body.toString('latin1'))).toHaveLength(3);
    expect(text.split(createHash('sha256').update(body).digest('hex'))).toHaveLength(3);
  });

  test('passes the refusal where the body is gone', async () => {
    const upstream = await startAnswering(answer(403, 'refused'), OK);
    const { port, seen } = await startReviewing(upstream.port, { verdict: () => 'again', body: 'stream' });
    expect(String((await send(port, { method: 'PUT', body: Buffer.from('x') })).body)).toBe('refused');
    expect(seen).toHaveLength(1);
    expect(upstream.requests()).toHaveLength(1);
    // Without a body there is nothing that could be gone.
    const other = await startAnswering(answer(403, 'refused'), OK);
    const bare = await startReviewing(other.port, { verdict: () => 'again', body: 'stream' });
    expect(String((await send(bare.port)).body)).toBe('ok');
  });

  test('passes the refusal where it cannot begin again, or policy says no this time', async () => {
    const upstream = await startAnswering(answer(403, 'refused'));
    const begun = (count: number): Partial<Begun> => {
      if (count === 2) throw new SidecarError('request-expired');
      return {};
    };
    const late = await startReviewing(upstream.port, { verdict: () => 'again', begun });
    expect(String((await send(late.port)).body)).toBe('refused');
    expect(late.events('decision')).toMatchObject([{ result: 'allow' }, { result: 'deny', reason: 'request-expired' }]);
    const rules = 'rules: [{ id: once, effect: allow, rate: { perMinute: 1 } }]';
    const limited = await startReviewing(upstream.port, { verdict: () => 'again', options: { top: [rules] } });
    expect(String((await send(limited.port)).body)).toBe('refused');
    expect(limited.events('decision')).toMatchObject([{ result: 'allow' }, { result: 'deny' }]);
    expect(upstream.requests()).toHaveLength(2);
  });

  test('may go elsewhere the second time', async () => {
    const [first, second] = [await startAnswering(answer(301, 'moved')), await startAnswering(OK)];
    const { port } = await startReviewing(first.port, {
      verdict: () => 'again',
      begun: (count) => (count === 2 ? { origin: { scheme: 'http', host: '127.0.0.1', port: second.port } } : {}),
    });
    expect(String((await send(port)).body)).toBe('ok');
    expect([first.requests().length, second.requests().length]).toEqual([1, 1]);
  });
});

describe('a request that is sent with another credential', () => {
  const cached: ProbeOptions = { service: ['cache: 1h'] };

  test('has the one that the provider holds now', async () => {
    const upstream = await startAnswering(OK, answer(403, 'expired'), OK);
    const { port, token, rotate, events } = await startReviewing(upstream.port, {
      verdict: () => 'lease-anew',
      options: cached,
    });
    await send(port);
    const next = rotate();
    expect(String((await send(port)).body)).toBe('ok');
    const tokens = [...wholeText(upstream).matchAll(/x-token: (\S+)/gi)].map(([, value]) => value);
    expect(tokens).toEqual([token, token, next]);
    const versions = events('decision').map(({ credentials }) => (credentials as { token: string }).token);
    expect(versions[1]).toBe(versions[0]);
    expect(versions[2]).not.toBe(versions[1]);
  });

  test('passes the refusal where the provider has no other, or was just asked', async () => {
    const upstream = await startAnswering(OK, answer(403, 'expired'));
    const same = await startReviewing(upstream.port, { verdict: () => 'lease-anew', options: cached });
    await send(same.port);
    expect(String((await send(same.port)).body)).toBe('expired');
    expect(upstream.requests()).toHaveLength(2);
    const other = await startAnswering(answer(403, 'expired'), OK);
    const fresh = await startReviewing(other.port, { verdict: () => 'lease-anew' });
    expect(String((await send(fresh.port)).body)).toBe('expired');
    expect(other.requests()).toHaveLength(1);
  });

  test('a 401 is the connector’s to judge where it judges', async () => {
    const upstream = await startAnswering(OK, answer(401, 'refused'), OK);
    const { port, rotate } = await startReviewing(upstream.port, { verdict: () => 'pass', options: cached });
    await send(port);
    rotate();
    expect(String((await send(port)).body)).toBe('refused');
    expect(upstream.requests()).toHaveLength(2);
  });
});
