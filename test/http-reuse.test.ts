import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { canary } from './canary.ts';
import { eventually, startRig, startUpstream, temporaryFolder } from './rig.ts';
import { dial, expectNothingLeft, get, heads, send, startApi, startRawUpstream } from './http-kit.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n';

test.each([301, 302, 303, 307, 308])('a redirect (%i) passes as it is and is not followed', async (status) => {
  const elsewhere = await startUpstream();
  const location = `http://127.0.0.1:${elsewhere.port}/stolen`;
  const upstream = await startUpstream((_, response) => response.writeHead(status, { location }).end());
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const { message } = await send(port);
  expect(message.statusCode).toBe(status);
  expect(message.headers.location).toBe(location);
  expect(elsewhere.requests).toHaveLength(0);
  expect(upstream.requests).toHaveLength(1);
});

test.each(['GET', 'POST'])('a %s that reached an upstream which then closes is not sent again', async (method) => {
  const upstream = await startRawUpstream(async (peer, index) => {
    await heads(peer, 1);
    if (index > 0) return peer.write(`${OK}ok`);
    peer.write(`${OK}ok`);
    await heads(peer, 2);
    return peer.socket.destroy();
  });
  const { rig, port } = await startApi(upstream.url);
  await send(port);
  const { message, body } = await send(port, { method });
  expect(message.statusCode).toBe(502);
  expect(JSON.parse(String(body))).toMatchObject({ code: 'upstream-closed' });
  expect(upstream.requests()).toHaveLength(2);
  expect(upstream.connections).toHaveLength(1);
  await eventually(() => rig.events('exchange.ended').length === 2);
  expect(rig.events('exchange.ended')[1]).toMatchObject({ result: 'error', reason: 'upstream-closed', status: 502 });
});

test('connections that the upstream closed while they rested fail no later request', async () => {
  const upstream = await startRawUpstream(async (peer) => {
    await heads(peer, 1);
    peer.write(`${OK}ok`);
    setTimeout(() => peer.socket.destroy(), 1);
  });
  const { port } = await startApi(upstream.url);
  for (let round = 0; round < 50; round += 1) {
    expect((await send(port)).message.statusCode).toBe(200);
    // What races with the next request cannot be told from a lost answer; so the close is let through first.
    await eventually(() => upstream.connections.every(({ closed }) => closed));
  }
});

/** Answers the n-th request with `/n` as its body, and then sends an answer that nobody asked for. */
function startPoisoner(samePacket: boolean) {
  return startRawUpstream(async (peer) => {
    const poison = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison';
    for (let count = 1; ; count += 1) {
      await heads(peer, count);
      const path = /.*^GET (\S+) /ms.exec(peer.text)![1]!;
      const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`;
      if (samePacket) peer.write(answer + poison);
      else {
        peer.write(answer);
        setImmediate(() => peer.write(poison));
      }
    }
  });
}

test.each([
  ['in the same packet', true],
  ['in a later packet', false],
])('an answer that nobody asked for, %s, is never taken for the next one', async (_, samePacket) => {
  const upstream = await startPoisoner(samePacket);
  const { port } = await startApi(upstream.url);
  const client = await dial(port);
  for (let round = 0; round < 250; round += 1) {
    if (!samePacket) await upstream.connections.at(-1)?.end();
    client.write(get(`/round-${round}`));
    await client.until(`/round-${round}`);
  }
  expect(client.text).not.toContain('poison');
  expect(upstream.connections.length).toBeGreaterThanOrEqual(250);
});

test('connections are reused where nothing stands against it', async () => {
  const upstream = await startUpstream();
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  for (let round = 0; round < 20; round += 1) await send(port);
  expect(new Set(upstream.requests.map(({ socket }) => socket.remotePort)).size).toBe(1);
});

/** An upstream that wants `current`, and a service whose credential is read by a command from a file. */
async function startRotating(service: readonly string[]) {
  const folder = temporaryFolder();
  const file = join(folder, 'token');
  const [old, current] = [canary(), canary()];
  writeFileSync(file, old);
  let wanted = old;
  const upstream = await startUpstream((request, response) => {
    request
      .resume()
      .on('end', () => response.writeHead(request.headers['x-api-key'] === wanted ? 200 : 401).end('answer'));
  });
  const rig = await startRig(
    [
      'services:',
      '  api:',
      '    connector: http',
      '    listenOn: tcp://127.0.0.1:0',
      `    target: http://127.0.0.1:${upstream.port}`,
      `    credentials: { token: { from: exec, get: "cat ${file}" } }`,
      '    config: { headers: { X-Api-Key: "{{ .token }}" } }',
      ...service.map((line) => `    ${line}`),
    ].join('\n'),
  );
  expectNothingLeft(rig);
  const rotate = (inFile = current): void => {
    wanted = current;
    writeFileSync(file, inFile);
  };
  return { rig, port: rig.port('api'), upstream, rotate, old };
}

test('a 401 on a cached credential is followed by one fetch and one more try', async () => {
  const { rig, port, upstream, rotate } = await startRotating(['cache: 1h']);
  expect((await send(port)).message.statusCode).toBe(200);
  rotate();
  expect((await send(port)).message.statusCode).toBe(200);
  expect(upstream.requests).toHaveLength(3);
  expect((await send(port)).message.statusCode).toBe(200);
  expect(upstream.requests).toHaveLength(4);
  const decisions = rig.events('decision');
  expect(decisions).toHaveLength(4);
  const versions = decisions.map(({ credentials }) => (credentials as { token: string }).token);
  expect(versions[0]).toBe(versions[1]);
  expect(versions[2]).toBe(versions[3]);
  expect(versions[1]).not.toBe(versions[2]);
  // The pool of the old version is retired: its connection serves the new one no more.
  await eventually(() => upstream.requests[0]!.socket.destroyed);
  const ports = upstream.requests.map(({ socket }) => socket.remotePort ?? 0);
  expect(upstream.requests[3]!.socket).not.toBe(upstream.requests[0]!.socket);
  expect(ports).toHaveLength(4);
});

test('a second 401 is the answer', async () => {
  const { port, upstream, rotate } = await startRotating(['cache: 1h']);
  await send(port);
  rotate(canary());
  expect((await send(port)).message.statusCode).toBe(401);
  expect(upstream.requests).toHaveLength(3);
});

test('a 401 is the answer where the fetch brings the same credential', async () => {
  const { port, upstream, rotate, old } = await startRotating(['cache: 1h']);
  await send(port);
  rotate(old);
  const { message, body } = await send(port);
  expect(message.statusCode).toBe(401);
  expect(String(body)).toBe('answer');
  expect(upstream.requests).toHaveLength(2);
});

test('a 401 to a streamed body is the answer', async () => {
  const { port, upstream, rotate } = await startRotating(['cache: 1h']);
  await send(port);
  rotate();
  expect((await send(port, { method: 'POST', body: Buffer.from('once') })).message.statusCode).toBe(401);
  expect(upstream.requests).toHaveLength(2);
});

test('a 401 without a cache is the answer', async () => {
  const { port, upstream, rotate, old } = await startRotating([]);
  await send(port);
  rotate(old);
  expect((await send(port)).message.statusCode).toBe(401);
  expect(upstream.requests).toHaveLength(2);
});
