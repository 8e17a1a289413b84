import { once } from 'node:events';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { canary } from './canary.ts';
import { ask, eventually, startRig, startUpstream } from './rig.ts';

async function injecting(more = '') {
  const token = canary();
  const upstream = await startUpstream();
  const rig = await startRig(
    `services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:0
    target: http://127.0.0.1:${upstream.port}
    credentials: { token: { from: env, get: TOKEN } }
    config: { headers: { X-Api-Key: "{{ .token }}" } }
${more}
`,
    { TOKEN: token },
  );
  return { token, upstream, rig, port: rig.port('api') };
}

test('the upstream sees the credential and the agent sees only the answer', async () => {
  const { token, upstream, port } = await injecting();
  const answer = await ask(port, 'GET /v1/items?a=1&b');
  expect(answer.status).toBe(200);
  expect(answer.body).toContain('hello');
  expect(upstream.requests[0]!.headers['x-api-key']).toBe(token);
  expect(upstream.requests[0]!.url).toBe('/v1/items?a=1&b');
});

test('client copies of an injected header are removed in every spelling', async () => {
  const { token, upstream, port } = await injecting();
  await ask(port, 'GET / HTTP/1.1\nX-Api-Key: a\nx_api_key: b\nX-API_KEY: c\nX_Api-Key: d');
  const { rawHeaders } = upstream.requests[0]!;
  const names = rawHeaders.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase().replaceAll('_', '-'));
  expect(names.filter((name) => name === 'x-api-key')).toHaveLength(1);
  expect(upstream.requests[0]!.headers['x-api-key']).toBe(token);
});

test('a Connection field cannot take the injected header off again', async () => {
  const { token, upstream, port } = await injecting();
  await ask(port, 'GET / HTTP/1.1\nConnection: X-Api-Key, X-Hop\nX-Hop: 1\nProxy-Authorization: Basic eA==');
  const { headers } = upstream.requests[0]!;
  expect(headers['x-api-key']).toBe(token);
  expect(headers['x-hop']).toBeUndefined();
  expect(headers['proxy-authorization']).toBeUndefined();
});

test('the ledger holds the decision with the version of the credential, and the end with the status', async () => {
  const { rig, port } = await injecting();
  await ask(port, 'GET /v1/items?secret=of-others');
  const [decision] = rig.events('decision');
  expect(decision).toMatchObject({ service: 'api', result: 'allow', method: 'GET', path: '/v1/items' });
  expect(decision!['credentials']).toEqual({ token: expect.stringMatching(/^[0-9a-f]{12}$/) });
  await rig.sidecar.drain();
  expect(rig.events('exchange.ended')[0]).toMatchObject({ id: decision!['id'], status: 200 });
  expect(rig.events('connection.closed')[0]).toMatchObject({ exchanges: 1 });
});

test('the end of a connection counts the bytes of the exchange that it cut', async () => {
  const upstream = await startUpstream((_request, response) => void response.writeHead(200).write('x'.repeat(1000)));
  const rig = await startRig(`services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:0
    target: http://127.0.0.1:${upstream.port}
    credentials: { token: ${canary()} }
    config: { headers: { X-Api-Key: "{{ .token }}" } }
`);
  const socket = connect(rig.port('api'), '127.0.0.1');
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await once(socket, 'data');
  socket.destroy();
  await eventually(() => rig.events('connection.closed').length === 1, 'the end of the connection');
  expect(rig.events('connection.closed')[0]).toMatchObject({ exchanges: 1, bytesDown: 1000 });
  expect(rig.events('exchange.ended')[0]).toMatchObject({ result: 'error', bytesDown: 1000 });
});

test('a use that policy refused is no time of the upstream', async () => {
  const { rig, port, upstream } = await injecting('rules: [{ id: reads, effect: allow, methods: [GET] }]');
  await ask(port, 'DELETE /');
  await ask(port, 'GET /');
  expect(upstream.requests).toHaveLength(1);
  const metrics = await (await fetch(`${rig.telemetry()}/metrics`)).text();
  expect(metrics).toContain('secretless_upstream_seconds_count{service="api"} 1');
  expect(metrics).toContain('secretless_added_seconds_count{service="api"} 2');
});
