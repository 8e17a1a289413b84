import { expect, test } from 'vitest';
import { canary } from './canary.ts';
import { ask, startRig, startUpstream } from './rig.ts';

async function injecting() {
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
