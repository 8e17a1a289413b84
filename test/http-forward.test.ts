import { lstatSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { canary } from './canary.ts';
import { startRig, startUpstream, temporaryFolder } from './rig.ts';
import { dial, expectNothingLeft, problemOf, startForward } from './http-kit.ts';

/** Absolute-form GET as clients of a proxy send it. */
function through(url: string, host = new URL(url).host, ...fields: string[]): string {
  return [`GET ${url} HTTP/1.1`, `Host: ${host}`, 'Connection: close', ...fields, '', ''].join('\r\n');
}

async function ask(port: number, request: string): Promise<string> {
  return (await dial(port, request)).end();
}

/** Two services on one new address, with a credential each. */
async function startPair(first: readonly string[], second: readonly string[], names = ['alpha', 'beta']) {
  const tokens = { KIT_ALPHA: canary(), KIT_BETA: canary() };
  // Two services share an address only where it is written alike, so it needs a number.
  const free = createServer();
  const port = await new Promise<number>((resolve) => {
    free.listen(0, '127.0.0.1', () => resolve((free.address() as { port: number }).port));
  });
  await new Promise((resolve) => free.close(resolve));
  const service = (name: string, variable: string, lines: readonly string[]) => [
    `  ${name}:`,
    '    connector: http',
    `    listenOn: tcp://127.0.0.1:${port}`,
    `    credentials: { token: { from: env, get: ${variable} } }`,
    ...lines.map((line) => `    ${line}`),
  ];
  // The one that comes first in the file is the later one in the alphabet.
  const yaml = ['services:', ...service(names[1]!, 'KIT_BETA', second), ...service(names[0]!, 'KIT_ALPHA', first)];
  const rig = await startRig(yaml.join('\n'), tokens);
  expectNothingLeft(rig);
  return { rig, port, alpha: tokens.KIT_ALPHA, beta: tokens.KIT_BETA };
}

const header = 'headers: { X-Api-Key: "{{ .token }}" }';

test('an absolute-form request to a matching URL gets the credential, and the path is sent as received', async () => {
  const upstream = await startUpstream();
  const origin = `http://127.0.0.1:${upstream.port}`;
  const { port, token } = await startForward([`^${origin}/v1/`]);
  expect(await ask(port, through(`${origin}/v1/a%20b?x=1&&y`))).toMatch(/^HTTP\/1\.1 200 OK/);
  expect(upstream.requests[0]!.headers['x-api-key'] === token).toBe(true);
  expect(upstream.requests[0]!.url).toBe('/v1/a%20b?x=1&&y');
  expect(upstream.requests[0]!.headers.host).toBe(`127.0.0.1:${upstream.port}`);
});

test('a Host that disagrees with the URL is refused', async () => {
  const upstream = await startUpstream();
  const origin = `http://127.0.0.1:${upstream.port}`;
  const { port } = await startForward([`^${origin}/`]);
  const text = await ask(port, through(`${origin}/`, 'evil.example'));
  expect(text).toMatch(/^HTTP\/1\.1 421 /);
  expect(problemOf(text).code).toBe('host-mismatch');
  expect(upstream.requests).toHaveLength(0);
});

test('a URL that nothing matches is refused, and the refusal is in the ledger', async () => {
  const upstream = await startUpstream();
  const { rig, port } = await startForward(['^https://api\\.example\\.com/']);
  const text = await ask(port, through(`http://127.0.0.1:${upstream.port}/`));
  expect(text).toMatch(/^HTTP\/1\.1 403 /);
  expect(problemOf(text).code).toBe('no-service');
  expect(upstream.requests).toHaveLength(0);
  expect(rig.events('decision')[0]).toMatchObject({ result: 'deny', service: '-' });
});

test('with `unmatched: pass` it goes through without the credential, and the use is in the ledger', async () => {
  const upstream = await startUpstream();
  const { rig, port } = await startForward(['^https://api\\.example\\.com/'], [], { service: ['unmatched: pass'] });
  expect(await ask(port, through(`http://127.0.0.1:${upstream.port}/`, undefined, 'X-Own: 1'))).toMatch(
    /^HTTP\/1\.1 200 /,
  );
  expect(upstream.requests[0]!.headers['x-api-key']).toBeUndefined();
  expect(upstream.requests[0]!.headers['x-own']).toBe('1');
  expect(rig.events('decision')[0]).toMatchObject({ result: 'allow', service: 'api', credentials: {} });
});

test('an origin-form request is told to use the absolute form', async () => {
  const { port } = await startForward(['^http://127\\.0\\.0\\.1/']);
  const text = await ask(port, 'GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n');
  expect(text).toMatch(/^HTTP\/1\.1 400 /);
  expect(problemOf(text).code).toBe('absolute-form-required');
});

test('without `forceSSL` a credential goes in clear to loopback only', async () => {
  const { rig, port } = await startForward(['^http://.*\\.invalid/', '^http://localhost:\\d+/']);
  const refused = await ask(port, through('http://api.invalid/'));
  expect(refused).toMatch(/^HTTP\/1\.1 502 /);
  expect(problemOf(refused).code).toBe('plaintext-refused');
  expect(rig.events('decision').filter(({ result }) => result === 'allow')).toHaveLength(0);
  const upstream = await startUpstream();
  expect(await ask(port, through(`http://localhost:${upstream.port}/`))).toMatch(/^HTTP\/1\.1 200 /);
});

test('`forceSSL: false` says that clear text is meant: the request is tried', async () => {
  const { port } = await startForward(['^http://.*\\.invalid/'], ['forceSSL: false'], {
    service: ['timeouts: { connect: 2s }'],
  });
  // The name resolves nowhere (RFC 6761 section 6.4), so the try itself fails.
  const { code } = problemOf(await ask(port, through('http://api.invalid/')));
  expect(code).not.toBe('plaintext-refused');
});

test('of two services that match, the first by name takes the request', async () => {
  const upstream = await startUpstream();
  const matching = (pattern: string) =>
    `config: { ${header}, authenticateURLsMatching: ["^http://127\\\\.0\\\\.0\\\\.1:${pattern}"] }`;
  const { port, alpha } = await startPair([matching('\\\\d+/')], [matching(`${upstream.port}/`)]);
  await ask(port, through(`http://127.0.0.1:${upstream.port}/`));
  expect(upstream.requests[0]!.headers['x-api-key'] === alpha).toBe(true);
});

test('a reverse and a forward service share an address: the form of the request tells them apart', async () => {
  const [own, other] = [await startUpstream(), await startUpstream()];
  const { port, alpha, beta } = await startPair(
    [`target: http://127.0.0.1:${own.port}`, `config: { ${header} }`],
    [`config: { ${header}, authenticateURLsMatching: ["^http://127\\\\.0\\\\.0\\\\.1:${other.port}/"] }`],
  );
  await ask(port, 'GET /reverse HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  await ask(port, through(`http://127.0.0.1:${other.port}/forward`));
  expect(own.requests.map(({ url, headers }) => [url, headers['x-api-key'] === alpha])).toEqual([['/reverse', true]]);
  expect(other.requests.map(({ url, headers }) => [url, headers['x-api-key'] === beta])).toEqual([['/forward', true]]);
});

test('the credentials meant for this proxy are never forwarded', async () => {
  const upstream = await startUpstream();
  const origin = `http://127.0.0.1:${upstream.port}`;
  const { port } = await startForward([`^${origin}/`]);
  await ask(
    port,
    through(`${origin}/`, undefined, 'Proxy-Authorization: Basic c2VjcmV0', 'Proxy-Connection: keep-alive'),
  );
  expect(upstream.requests[0]!.rawHeaders.join('\n')).not.toMatch(/proxy|c2VjcmV0/i);
});

/** A reverse service on a Unix socket. */
async function startOnSocket(path: string) {
  const upstream = await startUpstream();
  const rig = await startRig(
    `services:\n  api:\n    connector: http\n    listenOn: unix://${path}\n    target: http://127.0.0.1:${upstream.port}\n    credentials: { token: { from: env, get: KIT_UNIX } }\n    config: { ${header} }\n`,
    { KIT_UNIX: canary() },
  );
  return { rig, upstream };
}

test('a Unix socket serves with mode 0600', async () => {
  const path = join(temporaryFolder(), 'api.sock');
  await startOnSocket(path);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  const answer = await new Promise<IncomingMessage>((resolve, reject) =>
    httpRequest({ socketPath: path, path: '/', agent: false }, resolve).once('error', reject).end(),
  );
  answer.resume();
  expect(answer.statusCode).toBe(200);
});

test('a stale socket is replaced', async () => {
  const folder = temporaryFolder();
  const [bound, stale] = [join(folder, 'bound'), join(folder, 'stale')];
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(bound, resolve));
  // node removes the path it bound; under another name the socket stays, and nobody answers on it.
  renameSync(bound, stale);
  await new Promise((resolve) => server.close(resolve));
  expect(lstatSync(stale).isSocket()).toBe(true);
  const { rig } = await startOnSocket(stale);
  expect(rig.sidecar.health().live).toBe(true);
});

test('a socket that is answered and a regular file are refused and stay', async () => {
  const folder = temporaryFolder();
  const [live, regular] = [join(folder, 'live'), join(folder, 'regular')];
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(live, resolve));
  onTestFinished(() => void server.close());
  await expect(startOnSocket(live)).rejects.toMatchObject({ code: 'address-unavailable' });
  writeFileSync(regular, 'mine');
  await expect(startOnSocket(regular)).rejects.toMatchObject({ code: 'address-unavailable' });
  expect(lstatSync(regular).isFile()).toBe(true);
  expect(lstatSync(live).isSocket()).toBe(true);
});
