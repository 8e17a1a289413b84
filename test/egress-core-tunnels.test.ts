import { createHash, randomBytes } from 'node:crypto';
import { connect, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { issueServerIdentity } from '../src/certificate/server.ts';
import { canary } from './canary.ts';
import {
  askOn,
  connectTunnel,
  egressPort,
  getThrough,
  secure,
  service,
  startEgress,
  startOrigin,
  startPlainOrigin,
  testAuthority,
} from './egress-core-kit.ts';
import { dial, Peer, problemOf } from './http-kit.ts';
import { eventually } from './rig.ts';

const resolve = '  resolve: { api.test: 127.0.0.1, open.test: 127.0.0.1 }\n';

/** Echoes every byte over TLS. */
async function startEcho(name: string) {
  const identity = await issueServerIdentity(await testAuthority(), [name]);
  const server = createTlsServer({ key: identity.key, cert: identity.certificate }, (socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  let dialled = 0;
  server.on('connection', () => (dialled += 1)).on('tlsClientError', () => undefined);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', () => done()));
  onTestFinished(() => void server.close());
  return { port: (server.address() as AddressInfo).port, certificate: identity.certificate, dialled: () => dialled };
}

function allow(...origins: string[]): string {
  return `${resolve}  allow: [${origins.map((origin) => `"${origin}"`).join(', ')}]\n`;
}

test('what is allowed passes untouched: the certificate and every byte are the upstream’s own', async () => {
  const echo = await startEcho('open.test');
  const egress = await startEgress({ egress: allow(`https://open.test:${echo.port}`) });
  const { status, socket } = await connectTunnel(egress.port, `open.test:${echo.port}`);
  expect(status).toBe(200);
  const tls = await secure(socket, { servername: 'open.test', ca: (await testAuthority()).certificate });
  expect(tls.getPeerX509Certificate()!.toString().trim()).toBe(echo.certificate.trim());
  const sent = randomBytes(3_000_000);
  const hash = createHash('sha256');
  const back = new Promise<string>((done) => {
    tls.on('data', (chunk: Buffer) => hash.update(chunk)).on('end', () => done(hash.digest('hex')));
  });
  tls.end(sent);
  expect(await back).toBe(createHash('sha256').update(sent).digest('hex'));
  await eventually(() => egress.rig.events('connection.closed').length === 1);
  const [closed] = egress.rig.events('connection.closed');
  const upstream = `https://open.test:${echo.port}`;
  expect(egress.rig.events('decision')).toMatchObject([{ service: '-', method: 'CONNECT', result: 'allow', upstream }]);
  expect(closed).toMatchObject({ service: '-', result: 'allow', upstream });
  expect(closed!['bytesUp']).toBeGreaterThan(sent.length);
  expect(closed!['bytesDown']).toBeGreaterThan(sent.length);
});

test.each([
  ['another name', { servername: 'api.test' }],
  ['no name', {}],
])('TLS with %s ends a tunnel that would pass, and no byte of it reaches the upstream', async (_what, options) => {
  const echo = await startEcho('open.test');
  const egress = await startEgress({ egress: allow(`https://open.test:${echo.port}`) });
  const { socket } = await connectTunnel(egress.port, `open.test:${echo.port}`);
  await expect(secure(socket, { ...options, rejectUnauthorized: false })).rejects.toThrow();
  await eventually(() => egress.rig.events('connection.closed').length === 1);
  expect(egress.rig.events('connection.closed')[0]).toMatchObject({ result: 'error', bytesUp: 0 });
});

test('what is no TLS never passes, even to an allowed origin', async () => {
  let seen = '';
  const upstream = createTcpServer((socket) => socket.on('data', (chunk) => (seen += chunk.toString())));
  await new Promise<void>((done) => upstream.listen(0, '127.0.0.1', () => done()));
  onTestFinished(() => void upstream.close());
  const { port } = upstream.address() as AddressInfo;
  const egress = await startEgress({ egress: allow(`https://open.test:${port}`) });
  const { socket } = await connectTunnel(egress.port, `open.test:${port}`);
  const text = await askOn(socket, `GET / HTTP/1.1\r\nHost: open.test:${port}\r\nConnection: close\r\n\r\n`);
  expect(problemOf(text).code).toBe('no-service');
  expect(seen).toBe('');
});

test.each(['deny', 'pass'])('with `unmatched: %s` a literal of this machine is not dialled', async (unmatched) => {
  const echo = await startEcho('open.test');
  const egress = await startEgress({
    egress: `  unmatched: ${unmatched}\n  allow: ["https://127.0.0.1:${echo.port}"]\n`,
  });
  const { status, text } = await connectTunnel(egress.port, `127.0.0.1:${echo.port}`);
  expect(status).toBe(403);
  expect(problemOf(text).code).toBe('address-refused');
  expect(echo.dialled()).toBe(0);
  expect(egress.rig.events('decision').at(-1)).toMatchObject({ result: 'deny', service: '-' });
});

test('a deny rule holds for what passes untouched, and no allow rule is needed', async () => {
  const echo = await startEcho('open.test');
  const rules = '[{ id: never, effect: deny, hosts: [open.test] }, { id: some, effect: allow, services: [none] }]';
  const origin = `https://open.test:${echo.port}`;
  const egress = await startEgress({ egress: allow(origin), top: `rules: ${rules}` });
  const refused = await connectTunnel(egress.port, `open.test:${echo.port}`);
  expect(problemOf(refused.text)).toMatchObject({ status: 403, code: 'policy-denied', rule: 'never' });
  expect(echo.dialled()).toBe(0);
  await egress.rig.rewrite(egress.yaml.replace('hosts: [open.test]', 'hosts: [shut.test]'));
  expect((await connectTunnel(egressPort(egress.rig), `open.test:${echo.port}`)).status).toBe(200);
});

async function socks(port: number, bytes: (number | string)[], answer: number): Promise<{ peer: Peer; reply: number }> {
  const peer = await dial(port, Buffer.from([5, 1, 0]));
  await peer.untilBytes(2);
  peer.write(Buffer.concat(bytes.map((part) => (typeof part === 'string' ? Buffer.from(part) : Buffer.of(part)))));
  await peer.untilBytes(2 + answer);
  return { peer, reply: peer.content[3]! };
}

function named(host: string, port: number): (number | string)[] {
  return [5, 1, 0, 3, host.length, host, port >> 8, port & 255];
}

test('SOCKS leads to the same services, the credential included', async () => {
  const upstream = await startOrigin(['api.test']);
  const egress = await startEgress({ services: service('api', `https://api.test:${upstream.port}`), egress: resolve });
  const { peer, reply } = await socks(egress.port, named('api.test', upstream.port), 10);
  expect(reply).toBe(0);
  peer.socket.removeAllListeners('data');
  const tls = await secure(peer.socket, { servername: 'api.test', ca: egress.ca });
  const text = await askOn(tls, `GET / HTTP/1.1\r\nHost: api.test:${upstream.port}\r\nConnection: close\r\n\r\n`);
  expect(text).toMatch(/^HTTP\/1\.1 200 /);
  expect(upstream.requests[0]!.headers['x-api-key'] === egress.token).toBe(true);
});

test('SOCKS to anything else is refused in its own words', async () => {
  const egress = await startEgress({ egress: allow('https://127.0.0.1:1') });
  expect((await socks(egress.port, named('unknown.test', 443), 10)).reply).toBe(2);
  expect((await socks(egress.port, [5, 1, 0, 1, 127, 0, 0, 1, 0, 1], 10)).reply).toBe(2);
});

const agents =
  'agents: { one: { token: { from: env, get: AGENT_ONE } }, two: { token: { from: env, get: AGENT_TWO } } }';

test('each agent is known by its token, the tokens stay here, and no upstream connection serves two agents', async () => {
  const env = { AGENT_ONE: canary(), AGENT_TWO: canary() };
  const upstream = await startOrigin(['api.test']);
  const authority = `api.test:${upstream.port}`;
  const egress = await startEgress({
    services: service('api', `https://${authority}`),
    egress: resolve,
    top: agents,
    env,
  });
  const basic = (text: string): string => `Proxy-Authorization: Basic ${Buffer.from(text).toString('base64')}`;
  expect(await getThrough(egress, authority, '/', [basic(`one:${env.AGENT_ONE}`)])).toMatch(/^HTTP\/1\.1 200/);
  expect(await getThrough(egress, authority, '/', [`Proxy-Authorization: Bearer ${env.AGENT_TWO}`])).toMatch(/ 200 OK/);
  const principals = egress.rig.events('decision').map(({ principal }) => principal);
  expect(principals).toMatchObject([
    { agent: 'one', attested: 'token' },
    { agent: 'two', attested: 'token' },
  ]);
  expect(upstream.dialled()).toBe(2);
  for (const { rawHeaders } of upstream.requests) expect(rawHeaders.join().toLowerCase()).not.toContain('proxy-');
  for (const shown of [[], [basic('one:wrong')], [basic(`two:${env.AGENT_ONE}`)]]) {
    const { status, text } = await connectTunnel(egress.port, authority, shown);
    expect(status).toBe(407);
    expect(text).toMatch(/^Proxy-Authenticate: Basic realm="secretless"\r$/m);
  }
});

test('a token that is shown inside of the tunnel, or with a plain request, does not get upstream', async () => {
  const secret = canary();
  const upstream = await startOrigin(['api.test']);
  const plain = await startPlainOrigin();
  const authority = `api.test:${upstream.port}`;
  const egress = await startEgress({
    services: service('api', `https://${authority}`),
    egress: allow(`http://open.test:${plain.port}`),
  });
  const { socket } = await connectTunnel(egress.port, authority);
  const tls = await secure(socket, { servername: 'api.test', ca: egress.ca });
  const fields = `Proxy-Authorization: Bearer ${secret}\r\nConnection: close\r\n\r\n`;
  // Refused as a caller's claim: a token that no agent has. Inside the tunnel nobody reads it.
  expect(await askOn(tls, `GET / HTTP/1.1\r\nHost: ${authority}\r\n${fields}`)).toMatch(/ 200 OK/);
  const peer = await dial(
    egress.port,
    `GET http://open.test:${plain.port}/ HTTP/1.1\r\nHost: open.test:${plain.port}\r\n${fields}`,
  );
  expect(await peer.end()).toMatch(/^HTTP\/1\.1 407/);
  expect(
    [...upstream.requests, ...plain.requests].some(({ rawHeaders }) => rawHeaders.includes(`Bearer ${secret}`)),
  ).toBe(false);
});

test('plain requests: the http target of a service, what is allowed, and nothing else', async () => {
  const [one, two] = [await startPlainOrigin(), await startPlainOrigin()];
  const secured = await startOrigin(['api.test']);
  const services =
    service('plain', `http://api.test:${one.port}`) + service('secured', `https://api.test:${secured.port}`);
  const egress = await startEgress({ services, egress: allow(`http://open.test:${two.port}`) });
  const ask = async (url: string): Promise<string> =>
    (await dial(egress.port, `GET ${url} HTTP/1.1\r\nHost: ${new URL(url).host}\r\nConnection: close\r\n\r\n`)).end();
  expect(await ask(`http://api.test:${one.port}/`)).toMatch(/^HTTP\/1\.1 200/);
  expect(one.requests[0]!.headers['x-api-key'] === egress.token).toBe(true);
  expect(await ask(`http://open.test:${two.port}/`)).toMatch(/^HTTP\/1\.1 200/);
  expect(two.requests[0]!.headers['x-api-key']).toBeUndefined();
  expect(problemOf(await ask(`http://api.test:${two.port}/`)).code).toBe('no-service');
  // The credential of an https service never goes where http was asked for, and http is not made https.
  expect(problemOf(await ask(`http://api.test:${secured.port}/`)).code).toBe('no-service');
  expect(secured.dialled()).toBe(0);
  expect(await ask(`https://api.test:${secured.port}/`)).toMatch(/^HTTP\/1\.1 200/);
  const origin = await dial(egress.port, 'GET / HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n');
  expect(problemOf(await origin.end()).code).toBe('absolute-form-required');
});

test('a request in clear in a tunnel is taken where a service has that http target', async () => {
  const plain = await startPlainOrigin();
  const egress = await startEgress({ services: service('plain', `http://api.test:${plain.port}`), egress: resolve });
  const { socket } = await connectTunnel(egress.port, `api.test:${plain.port}`);
  expect(await askOn(socket, `GET / HTTP/1.1\r\nHost: api.test:${plain.port}\r\nConnection: close\r\n\r\n`)).toMatch(
    / 200 OK/,
  );
  expect(plain.requests[0]!.headers['x-api-key'] === egress.token).toBe(true);
  const other = await connectTunnel(egress.port, `api.test:${plain.port}`);
  await expect(secure(other.socket, { servername: 'api.test', ca: egress.ca })).rejects.toThrow();
});

test('no tunnel leads through a tunnel', async () => {
  const upstream = await startOrigin(['api.test']);
  const authority = `api.test:${upstream.port}`;
  const egress = await startEgress({ services: service('api', `https://${authority}`), egress: resolve });
  const { socket } = await connectTunnel(egress.port, authority);
  const tls = await secure(socket, { servername: 'api.test', ca: egress.ca });
  expect(await askOn(tls, `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 405/);
});

test('a reload cuts the tunnels that it lets through no more, and keeps the others', async () => {
  const [one, two] = [await startEcho('open.test'), await startEcho('api.test')];
  const origins = [`https://open.test:${one.port}`, `https://api.test:${two.port}`];
  const egress = await startEgress({ egress: allow(...origins) });
  const ca = (await testAuthority()).certificate;
  const open = async (name: string, port: number): Promise<Peer> => {
    const { socket } = await connectTunnel(egress.port, `${name}:${port}`);
    return new Peer(await secure(socket, { servername: name, ca }), 'downstream');
  };
  const [kept, cut] = [await open('open.test', one.port), await open('api.test', two.port)];
  kept.write('a');
  cut.write('b');
  await Promise.all([kept.until('a'), cut.until('b')]);
  await egress.rig.rewrite(egress.yaml.replace(`, "${origins[1]}"`, ''));
  await eventually(() => cut.closed);
  kept.write('c');
  await kept.until('ac');
  await eventually(() => egress.rig.events('connection.closed').some(({ reason }) => reason === 'grant-ended'));
});

test('a reload is felt by connections that end here: a service that is gone serves no further request', async () => {
  const upstream = await startOrigin(['api.test']);
  const authority = `api.test:${upstream.port}`;
  const egress = await startEgress({ services: service('api', `https://${authority}`), egress: resolve });
  const { socket } = await connectTunnel(egress.port, authority);
  const peer = new Peer(await secure(socket, { servername: 'api.test', ca: egress.ca }), 'downstream');
  peer.write(`GET / HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  await peer.until('hello from');
  await egress.rig.rewrite(egress.yaml.replace(`target: https://${authority}`, 'target: https://other.test'));
  peer.write(`GET / HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`);
  expect(await peer.end()).toContain('"code":"no-service"');
  expect(upstream.requests).toHaveLength(1);
});

test('a reload that takes an agent its token ends what was opened with it', async () => {
  const env = { AGENT_ONE: canary(), AGENT_TWO: canary() };
  const [echo, upstream] = [await startEcho('open.test'), await startOrigin(['api.test'])];
  const authority = `api.test:${upstream.port}`;
  const egress = await startEgress({
    services: service('api', `https://${authority}`),
    egress: allow(`https://open.test:${echo.port}`),
    top: agents,
    env,
  });
  const shown = [`Proxy-Authorization: Bearer ${env.AGENT_ONE}`];
  const passing = await connectTunnel(egress.port, `open.test:${echo.port}`, shown);
  const ca = (await testAuthority()).certificate;
  const spliced = new Peer(await secure(passing.socket, { servername: 'open.test', ca }), 'downstream');
  const ending = await connectTunnel(egress.port, authority, shown);
  const ended = new Peer(await secure(ending.socket, { servername: 'api.test', ca: egress.ca }), 'downstream');
  ended.write(`GET / HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
  await ended.until('hello from');
  process.env['AGENT_ONE'] = canary();
  await egress.rig.rewrite(egress.yaml);
  await eventually(() => spliced.closed);
  ended.write(`GET / HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`);
  expect(await ended.end()).toContain('"code":"no-service"');
});

test('draining lets a tunnel run on until the time is over, and opens none', async () => {
  const echo = await startEcho('open.test');
  const egress = await startEgress({ egress: allow(`https://open.test:${echo.port}`), top: 'limits: { drain: 1s }' });
  const { socket } = await connectTunnel(egress.port, `open.test:${echo.port}`);
  const ca = (await testAuthority()).certificate;
  const peer = new Peer(await secure(socket, { servername: 'open.test', ca }), 'downstream');
  const drained = egress.rig.sidecar.drain();
  peer.write('still');
  await peer.until('still');
  await drained;
  await eventually(() => peer.closed);
});

test('a client that says nothing in its tunnel is let go', async () => {
  const echo = await startEcho('open.test');
  const egress = await startEgress({
    egress: allow(`https://open.test:${echo.port}`),
    top: 'limits: { header: 300ms, keepAlive: 500ms, drain: 1s }',
  });
  const silent = await connectTunnel(egress.port, `open.test:${echo.port}`);
  const closed = new Promise((done) => silent.socket.resume().once('close', done));
  await closed;
  const slow = await dial(egress.port, Buffer.from([5, 1]));
  await eventually(() => slow.closed || slow.ended);
});

/** CyberArk’s way: a listener that is a proxy itself. */
async function startCyberArk(pattern: string, more = '') {
  const port = await freePort();
  return startEgress({
    services: [
      '  api:',
      '    connector: http',
      `    listenOn: tcp://127.0.0.1:${port}`,
      '    credentials: { token: { from: env, get: EGRESS_TOKEN } }',
      `    config: { headers: { X-Api-Key: "{{ .token }}" }, authenticateURLsMatching: ["${pattern}"] }`,
      '    tls: { ca: "{ca}" }',
      more,
    ].join('\n'),
    egress: `${resolve}  unmatched: pass\n`,
  }).then((egress) => ({ ...egress, listener: port }));
}

function freePort(): Promise<number> {
  const server = createTcpServer();
  return new Promise((done) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => done(port));
    });
  });
}

test('a CyberArk forward listener takes CONNECT where a pattern may match, and nothing else', async () => {
  const upstream = await startOrigin(['localhost', '127.0.0.1']);
  const egress = await startCyberArk(`^https://localhost:${upstream.port}/v1/`);
  const proxy = { ...egress, port: egress.listener };
  const authority = `localhost:${upstream.port}`;
  expect(await getThrough(proxy, authority, '/v1/x')).toMatch(/^HTTP\/1\.1 200/);
  expect(upstream.requests[0]!.headers['x-api-key'] === egress.token).toBe(true);
  expect(problemOf(await getThrough(proxy, authority, '/v2/x')).code).toBe('no-service');
  expect(problemOf((await connectTunnel(egress.listener, 'other.test:443')).text).code).toBe('no-service');
  expect(egress.rig.events('decision')[0]).toMatchObject({ service: 'api', principal: { agent: 'local' } });
});

test('transparent mode goes by SNI and by Host, and refuses what has no service', async () => {
  const plain = await startPlainOrigin();
  const egress = await startEgress({
    services: service('api', 'https://api.test') + service('plain', 'http://api.test'),
    egress: `${resolve}  mode: transparent\n`,
  });
  const connectHere = (): Socket => {
    const socket = connect(egress.port, '127.0.0.1');
    socket.on('error', () => undefined);
    onTestFinished(() => void socket.destroy());
    return socket;
  };
  const tls = await secure(connectHere(), { servername: 'api.test', ca: egress.ca });
  // Nothing listens on port 443 of this machine, most likely: the service was found, its upstream was not.
  const text = await askOn(tls, 'GET / HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n');
  expect(egress.rig.events('decision')[0]).toMatchObject({ service: 'api', upstream: 'https://api.test' });
  expect(text.startsWith('HTTP/1.1 5')).toBe(true);
  await expect(secure(connectHere(), { servername: 'unknown.test', ca: egress.ca })).rejects.toThrow(/alert/i);
  await expect(secure(connectHere(), { ca: egress.ca })).rejects.toThrow(/alert/i);
  const byHost = async (host: string): Promise<string> =>
    askOn(connectHere(), `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  await byHost('api.test');
  expect(egress.rig.events('decision').at(-1)).toMatchObject({ service: 'plain', upstream: 'http://api.test' });
  expect(problemOf(await byHost('unknown.test')).code).toBe('no-service');
  expect(problemOf(await byHost(`api.test:${plain.port}`)).code).toBe('host-mismatch');
  expect(await askOn(connectHere(), 'CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n\r\n')).toMatch(/ 405 /);
});
