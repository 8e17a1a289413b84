import { expect, test } from 'vitest';
import { startUpstream } from './rig.ts';
import {
  dial,
  get,
  problemOf,
  startApi,
  startForward,
  startScriptedUpstream,
  type ApiOptions,
  type ApiRig,
} from './http-kit.ts';

const CLOSE = 'Connection: close';
const DOWN = 'http://127.0.0.1:9';

interface Provoked {
  readonly code: string;
  readonly status: number;
  readonly start: () => Promise<ApiRig>;
  readonly request: string;
}

const api = (target: string, options?: ApiOptions) => () => startApi(target, options);
const echoing = (answer: string) => async () => startApi((await startScriptedUpstream(answer)).url);

/** Each code that a request can provoke. */
const PROVOKED: readonly Provoked[] = [
  {
    code: 'policy-denied',
    status: 403,
    start: api(DOWN, { top: ['rules: [{ id: never, effect: deny }]'] }),
    request: get('/', CLOSE),
  },
  {
    code: 'no-service',
    status: 403,
    start: () => startForward(['^https://api\\.example\\.com/']),
    request: `GET http://127.0.0.1:9/ HTTP/1.1\r\nHost: 127.0.0.1:9\r\n${CLOSE}\r\n\r\n`,
  },
  {
    code: 'credential-unavailable',
    status: 503,
    start: api(DOWN, { credential: '{ from: exec, get: "false" }' }),
    request: get('/', CLOSE),
  },
  {
    code: 'credential-missing',
    status: 503,
    start: api(DOWN, { credential: '{ from: env, get: NOT_THERE_AT_ALL }' }),
    request: get('/', CLOSE),
  },
  {
    code: 'credential-timeout',
    status: 503,
    start: api(DOWN, { credential: '{ from: exec, get: "sleep 5" }', service: ['timeouts: { credential: 100ms }'] }),
    request: get('/', CLOSE),
  },
  {
    code: 'credential-unfit',
    status: 503,
    start: api(DOWN, { credential: '{ from: exec, get: "printf \'a\\\\nb\'" }' }),
    request: get('/', CLOSE),
  },
  {
    code: 'provider-tool-missing',
    status: 503,
    start: api(DOWN, { credential: '{ from: exec, get: "/no/such/tool" }' }),
    request: get('/', CLOSE),
  },
  { code: 'path-ambiguous', status: 400, start: api(DOWN), request: get('/a/../b', CLOSE) },
  { code: 'header-refused', status: 400, start: api(DOWN), request: get('/', 'Content_Length: 5', CLOSE) },
  {
    code: 'method-refused',
    status: 405,
    start: api(DOWN),
    request: `TRACE / HTTP/1.1\r\nHost: localhost\r\n${CLOSE}\r\n\r\n`,
  },
  {
    code: 'host-mismatch',
    status: 421,
    start: api(DOWN),
    request: `GET / HTTP/1.1\r\nHost: rebound.example\r\n${CLOSE}\r\n\r\n`,
  },
  { code: 'origin-refused', status: 403, start: api(DOWN), request: get('/', 'Sec-Fetch-Site: cross-site', CLOSE) },
  { code: 'upstream-unreachable', status: 502, start: api(DOWN), request: get('/', CLOSE) },
  { code: 'upstream-protocol', status: 502, start: echoing('SSH-2.0-x\r\n\r\n'), request: get('/', CLOSE) },
  {
    code: 'plaintext-refused',
    status: 502,
    start: () => startForward(['^http://.*\\.invalid/']),
    request: `GET http://a.invalid/ HTTP/1.1\r\nHost: a.invalid\r\n${CLOSE}\r\n\r\n`,
  },
];

test.each(PROVOKED)(
  '$code is a problem document with a next step and an id that log and ledger know',
  async ({ code, status, start, request }) => {
    const { rig, port, token } = await start();
    const text = await (await dial(port, request)).end();
    expect(text.split('\r\n')[0]).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(text).toContain('\r\nContent-Type: application/problem+json\r\n');
    const problem = problemOf(text);
    expect(problem).toMatchObject({ code, status });
    expect(problem.title).not.toBe('');
    expect(problem.detail).not.toBe('');
    if (code === 'policy-denied') expect(problem.rule).toBe('never');
    // Nothing of where it would have gone, of the provider, or of this machine.
    expect(text).not.toMatch(
      /127\.0\.0\.1|invalid\/|example\.com|NOT_THERE|\/no\/such|node_modules|ECONN|sleep|printf/,
    );
    expect(text.includes(token)).toBe(false);
    expect(rig.log.filter(({ id }) => id === problem.id)).toHaveLength(1);
    const events = rig.events().filter(({ id }) => id === problem.id);
    // What no service was found for by a fault of the request's form is in the log alone.
    if (!/^(header-refused|method-refused|host-mismatch|origin-refused|plaintext-refused)$/.test(code))
      expect(events.length).toBeGreaterThan(0);
    expect(events.filter(({ result }) => result === 'allow').length).toBe(
      /^upstream-|^credential-unfit$/.test(code) ? 1 : 0,
    );
  },
);

test('a rate that is used up is a 429 with Retry-After and the rule', async () => {
  const upstream = await startUpstream();
  const rules = 'rules: [{ id: slowly, effect: allow, rate: { perMinute: 1 } }]';
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`, { top: [rules] });
  await (await dial(port, get('/', CLOSE))).end();
  const text = await (await dial(port, get('/', CLOSE))).end();
  expect(text).toMatch(/^HTTP\/1\.1 429 .*\r\nRetry-After: \d+\r\n/s);
  expect(problemOf(text)).toMatchObject({ code: 'rate-limited', rule: 'slowly' });
  expect(upstream.requests).toHaveLength(1);
});

test.each([
  ['two Host fields', 'GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n'],
  ['no Host field', 'GET / HTTP/1.1\r\n'],
  ['Transfer_Encoding', 'POST / HTTP/1.1\r\nHost: localhost\r\nTransfer_Encoding: chunked\r\n'],
  ['Content_Length', 'POST / HTTP/1.1\r\nHost: localhost\r\nContent_Length: 5\r\n'],
  ['a length and chunked', 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n'],
  ['two lengths', 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n'],
  ['a folded field', 'GET / HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\n folded\r\n'],
  ['a bare CR', 'GET / HTTP/1.1\r\nHost: localhost\r\nX-A: 1\rX-B: 2\r\n'],
  ['a NUL', 'GET / HTTP/1.1\r\nHost: localhost\r\nX-A: 1\0\r\n'],
  ['a blank before the colon', 'GET / HTTP/1.1\r\nHost : localhost\r\n'],
  ['a fragment in the target', 'GET /a#b HTTP/1.1\r\nHost: localhost\r\n'],
  ['no version', 'GET /\r\nHost: localhost\r\n'],
  ['version 2.0', 'GET / HTTP/2.0\r\nHost: localhost\r\n'],
  ['version 1.0 and a transfer coding', 'POST / HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n'],
])('a request with %s is a 400 of ours, and the upstream sees nothing', async (_, head) => {
  const upstream = await startUpstream();
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const text = await (await dial(port, `${head}Connection: close\r\n\r\n`)).end();
  expect(text).toMatch(/^HTTP\/1\.1 400 /);
  expect(problemOf(text).code).toMatch(/^(request-malformed|header-refused)$/);
  expect(upstream.requests).toHaveLength(0);
});

test('the same request without the fault passes', async () => {
  const upstream = await startUpstream();
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
  const text = await (
    await dial(port, 'GET / HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\nConnection: close\r\n\r\n')
  ).end();
  expect(text).toMatch(/^HTTP\/1\.1 200 /);
});

test('thousands of header fields arrive without one missing', async () => {
  const upstream = await startScriptedUpstream('HTTP/1.1 204 No Content\r\n\r\n');
  const { port, token } = await startApi(upstream.url);
  const fields = Array.from({ length: 2500 }, (_, at) => `X${at}: ${at}`);
  await (await dial(port, get('/', ...fields, 'X-Api-Key: mine', CLOSE))).end();
  const { text } = upstream.connections[0]!;
  for (const field of fields) expect(text).toContain(`\r\n${field}\r\n`);
  expect(text.match(/^x.api.key: .*$/gim)).toHaveLength(1);
  expect(text.includes(`X-Api-Key: ${token}\r\n`)).toBe(true);
});
