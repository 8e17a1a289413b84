import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { AuthenticateContext, Begun, HttpHandling, HttpService } from '../src/connector/connector.ts';
import { SidecarError } from '../src/error.ts';
import { startProbe, type ProbeOptions } from './http-connector-kit.ts';
import { nothingHeld, unnamed } from './http-held-files.ts';
import { dial, heads, send, startRawUpstream } from './http-kit.ts';
import { ask, eventually, startUpstream } from './rig.ts';

const KIB = 1024;
const MIB = KIB * KIB;
const NOTHING = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

const sha256 = (bytes: Uint8Array | string): string => createHash('sha256').update(bytes).digest('hex');

/** A sidecar that hashes bodies on the way to an upstream which answers with the hash of what it got. */
async function startHashing(
  digest = { memory: 64 * KIB, disk: 4 * MIB },
  more: Partial<Begun> = {},
  options: ProbeOptions = {},
) {
  const upstream = await startUpstream((request, response) => {
    const hash = createHash('sha256');
    request.on('data', (chunk: Buffer) => hash.update(chunk));
    request.on('end', () => response.end(hash.digest('hex')));
  });
  const contexts: AuthenticateContext[] = [];
  const proven: string[] = [];
  const handling: HttpHandling & Pick<Begun, 'prove'> = {
    body: () => ({ digest }),
    prove: (hash) => void proven.push(hash),
    authenticate: (head, _, context) => {
      contexts.push(context);
      return { head };
    },
    ...more,
  };
  const service: HttpService = {
    authenticate: (...given) => handling.authenticate(...given),
    begin: ({ head }) => ({
      head,
      origin: { scheme: 'http', host: '127.0.0.1', port: upstream.port },
      credentialed: true,
      ...handling,
    }),
  };
  return { ...(await startProbe(service, options)), upstream, contexts, proven };
}

describe('the whole body is hashed before it is sent', () => {
  test.each([
    ['small', 10],
    ['held in memory', 64 * KIB],
    ['held on disk', 2 * MIB + 3],
  ])('%s, with and without a length', async (_, bytes) => {
    const { port, upstream, contexts, proven } = await startHashing();
    const body = randomBytes(bytes);
    for (const sent of [body, [body.subarray(0, 5), body.subarray(5)]]) {
      const answer = await send(port, { method: 'PUT', body: sent });
      expect(answer.body.toString()).toBe(sha256(body));
    }
    expect(contexts.map(({ bodySha256 }) => bodySha256)).toEqual([sha256(body), sha256(body)]);
    expect(proven).toEqual([sha256(body), sha256(body)]);
    // What is held has a length, whatever the downstream framed it with.
    expect(upstream.requests.map(({ headers }) => headers['content-length'])).toEqual([String(bytes), String(bytes)]);
    expect(upstream.requests.map(({ headers }) => headers['transfer-encoding'])).toEqual([undefined, undefined]);
    await nothingHeld();
  });

  test('the hash of no body is that of nothing', async () => {
    const { port, contexts, proven } = await startHashing();
    await ask(port, 'GET /');
    await ask(port, 'PUT / HTTP/1.1\nContent-Length: 0');
    await ask(port, 'PUT / HTTP/1.1\nTransfer-Encoding: chunked', '0\r\n\r\n');
    expect(contexts.map(({ bodySha256 }) => bodySha256)).toEqual([NOTHING, NOTHING, NOTHING]);
    expect(proven).toEqual([NOTHING, NOTHING, NOTHING]);
  });
});

describe('limits', () => {
  test('a length beyond them is refused before a byte is read', async () => {
    const { port, upstream, events } = await startHashing({ memory: 10, disk: 100 });
    const client = await dial(
      port,
      'PUT / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 101\r\n\r\n',
    );
    await client.until('body-too-large');
    expect(client.text).toContain('HTTP/1.1 413');
    expect(client.text).not.toContain('100 Continue');
    client.socket.destroy();
    expect(upstream.requests).toHaveLength(0);
    expect(events('decision').filter(({ result }) => result === 'allow')).toHaveLength(0);
  });

  test.each([
    ['without a file', { memory: 100, disk: 0 }],
    ['with one', { memory: 10, disk: 100 }],
  ])('a body of unknown length is refused once it is beyond them (%s)', async (_, digest) => {
    const { port, upstream } = await startHashing(digest);
    const answer = await send(port, { method: 'PUT', body: [randomBytes(60), randomBytes(60)] });
    expect(answer.message.statusCode).toBe(413);
    expect(upstream.requests).toHaveLength(0);
    await nothingHeld();
  });

  test('`limits.body` of the service holds as well', async () => {
    const { port } = await startHashing(undefined, {}, { service: ['limits: { body: 50B }'] });
    expect((await send(port, { method: 'PUT', body: randomBytes(51) })).message.statusCode).toBe(413);
    expect((await send(port, { method: 'PUT', body: [randomBytes(51)] })).message.statusCode).toBe(413);
    await nothingHeld();
  });
});

test('who is not proven by the hash gets no lease, and that is on record', async () => {
  const { port, upstream, contexts, events } = await startHashing(undefined, {
    prove: (hash) => {
      if (hash !== sha256('good')) throw new SidecarError('caller-unproven');
    },
  });
  expect((await send(port, { method: 'PUT', body: Buffer.from('good') })).message.statusCode).toBe(200);
  const refused = await send(port, { method: 'PUT', body: Buffer.from('evil') });
  expect([refused.message.statusCode, String(refused.body)]).toEqual([403, expect.stringContaining('caller-unproven')]);
  expect([contexts.length, upstream.requests.length]).toEqual([1, 1]);
  const decisions = events('decision');
  expect(decisions).toMatchObject([{ result: 'allow' }, { result: 'deny', reason: 'caller-unproven' }]);
  expect(decisions[1]!['credentials']).toBeUndefined();
  await nothingHeld();
});

describe('what is held is given back', () => {
  test('when the downstream goes away half-way through its body', async () => {
    const { port, upstream } = await startHashing({ memory: 10, disk: 4 * MIB });
    const client = await dial(port, `PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${MIB}\r\n\r\n`);
    client.write(randomBytes(512 * KIB));
    if (process.platform === 'linux') await eventually(() => unnamed() === 1, 'a file');
    client.socket.destroy();
    await nothingHeld();
    expect(upstream.requests).toHaveLength(0);
  });

  test('when the upstream cuts the upload', async () => {
    const cutting = await startRawUpstream(async (peer) => {
      await heads(peer, 1);
      peer.socket.destroy();
    });
    const { port } = await startHashing(
      { memory: 10, disk: 64 * MIB },
      {
        origin: { scheme: 'http', host: '127.0.0.1', port: cutting.port },
      },
    );
    const { message } = await send(port, { method: 'PUT', body: randomBytes(16 * MIB) });
    expect(message.statusCode).toBe(502);
    await nothingHeld();
  });

  test('when the downstream goes away while the upstream does not read', async () => {
    const deaf = await startRawUpstream(async (peer) => {
      await heads(peer, 1);
      peer.socket.pause();
    });
    const { port } = await startHashing(
      { memory: 10, disk: 64 * MIB },
      {
        origin: { scheme: 'http', host: '127.0.0.1', port: deaf.port },
      },
    );
    const client = await dial(port, `PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${16 * MIB}\r\n\r\n`);
    client.write(randomBytes(16 * MIB));
    await eventually(() => deaf.connections.length === 1 && deaf.connections[0]!.bytes > 0, 'an upload');
    client.socket.destroy();
    await nothingHeld();
  });

  test('when the downstream goes away just as its body is there', async () => {
    const { port } = await startHashing({ memory: 10, disk: 4 * MIB });
    const body = randomBytes(200 * KIB);
    for (let round = 0; round < 40; round += 1) {
      const client = await dial(port, `PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n`);
      client.write(body);
      client.socket.end();
      await new Promise((resolve) => setTimeout(resolve, round % 8));
      client.socket.destroy();
    }
    await nothingHeld();
  });

  test('when its connector fails', async () => {
    const { port } = await startHashing(undefined, {
      authenticate: () => {
        throw new SidecarError('credential-unfit');
      },
    });
    expect((await send(port, { method: 'PUT', body: randomBytes(MIB) })).message.statusCode).toBe(503);
    await nothingHeld();
  });
});
