import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { issueServerIdentity } from '../src/certificate/server.ts';
import { startSidecar } from '../src/main.ts';
import { openLog } from '../src/telemetry/log.ts';
import { canary } from './canary.ts';
import {
  askOn,
  connectTunnel,
  getThrough,
  secure,
  service,
  startEgress,
  startOrigin,
  testAuthority,
  type EgressRig,
} from './egress-core-kit.ts';
import { dial, heads, Peer, problemOf } from './http-kit.ts';
import { eventually, startRig, temporaryFolder } from './rig.ts';
import { freePorts } from './process-rig.ts';

/** A proxy on the way out: a target of CONNECT leads to the port beside it, so that names have their usual ports. */
async function startWayOut(ports: Readonly<Record<string, number>>, server: Server = createServer()) {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.on('connect', (request, downstream: Socket) => {
    asked.push(request.url!);
    downstream.on('error', () => undefined);
    const port = ports[request.url!];
    if (port === undefined) return downstream.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    const upstream = connect(port, '127.0.0.1').on('error', () => undefined);
    downstream.write('HTTP/1.1 200 OK\r\n\r\n');
    downstream.pipe(upstream).pipe(downstream);
    return undefined;
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', () => done()));
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: (server.address() as AddressInfo).port, asked };
}

async function tunnelCounts({ rig }: Pick<EgressRig, 'rig'>): Promise<Record<string, number>> {
  const text = await (await fetch(`${rig.telemetry()}/metrics`)).text();
  const lines = text.matchAll(/^secretless_tunnels_total\{.*outcome="(\w+)"\} (\d+)$/gm);
  const counts: Record<string, number> = {};
  for (const [, outcome, count] of lines) counts[outcome!] = (counts[outcome!] ?? 0) + Number(count);
  return counts;
}

test('whoever does not prove who they are is on record, however they ask, and many of them fold', async () => {
  const token = canary();
  const egress = await startEgress({
    top: 'agents: { one: { token: { from: env, get: AGENT_ONE } } }',
    env: { AGENT_ONE: token },
  });
  const wrong = `Proxy-Authorization: Bearer ${canary()}`;
  expect((await connectTunnel(egress.port, 'elsewhere.test:443')).status).toBe(407);
  expect((await connectTunnel(egress.port, 'elsewhere.test:443', [wrong])).status).toBe(407);
  const socks = new Peer(connect(egress.port, '127.0.0.1'), 'downstream');
  socks.write(Buffer.from([5, 1, 0]));
  await socks.end();
  const event = {
    service: '-',
    connector: '-',
    principal: { agent: '-' },
    result: 'deny',
    reason: 'proxy-auth-required',
  };
  const seen = (): Record<string, unknown>[] => egress.rig.events('decision');
  await eventually(() => seen().length === 3, 'the refused tunnels on record');
  expect(seen()).toMatchObject(Array.from({ length: 3 }, () => ({ ...event, method: 'CONNECT' })));
  expect(await tunnelCounts(egress)).toMatchObject({ intercepted: 0, spliced: 0, refused: 3, failed: 0 });
  const plain = await dial(egress.port);
  for (let count = 1; count <= 60; count++) {
    plain.write('GET http://elsewhere.test/ HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n');
    await heads(plain, count);
  }
  expect(plain.text).toMatch(/^HTTP\/1\.1 407 /);
  plain.socket.destroy();
  const lines = (): Record<string, unknown>[] => seen().filter(({ method }) => method === 'GET');
  const refusals = (): number => lines().reduce((sum, { count = 1 }) => sum + Number(count), 0);
  await eventually(() => refusals() === 60, 'the refused requests on record');
  expect(lines()[0]).toMatchObject(event);
  expect(lines().length).toBeLessThan(50);
});

test('tunnels are counted by what became of them', async () => {
  const upstream = await startOrigin(['api.test', 'open.test']);
  const egress = await startEgress({
    services: service('api', `https://api.test:${upstream.port}`),
    egress: `  resolve: { api.test: 127.0.0.1, open.test: 127.0.0.1 }\n  allow: ["https://open.test:${upstream.port}", "https://open.test:1"]\n`,
  });
  await getThrough(egress, `api.test:${upstream.port}`);
  const trusted = { port: egress.port, ca: (await testAuthority()).certificate };
  await getThrough(trusted, `open.test:${upstream.port}`);
  await expect(getThrough(trusted, `api.test:${upstream.port}`)).rejects.toThrow();
  await connectTunnel(egress.port, 'unknown.test:443');
  await connectTunnel(egress.port, 'open.test:1');
  const wanted = { intercepted: 1, spliced: 1, distrusted: 1, refused: 1, failed: 1 };
  await eventually(async () => (await tunnelCounts(egress))['distrusted'] === 1, 'the count of the distrustful');
  expect(await tunnelCounts(egress)).toEqual(wanted);
});

test('a file without services serves what `allow` lets pass', async () => {
  const upstream = await startOrigin(['open.test']);
  const rig = await startRig(
    `egress:\n  listenOn: tcp://127.0.0.1:0\n  resolve: { open.test: 127.0.0.1 }\n  allow: ["https://open.test:${upstream.port}"]\n`,
  );
  const { address } = rig.sidecar.status().listeners[0]!;
  const port = Number(address.slice(address.lastIndexOf(':') + 1));
  const ca = (await testAuthority()).certificate;
  expect(await getThrough({ port, ca }, `open.test:${upstream.port}`)).toMatch(/^HTTP\/1\.1 200/);
  expect((await connectTunnel(port, 'other.test:443')).status).toBe(403);
});

/** Services of a listener that is a proxy, as CyberArk's broker has them, and a way out with usual ports. */
async function startBroker(patterns: string, unmatched: 'pass' | 'deny') {
  const upstream = await startOrigin(['api.test', 'other.test']);
  const wayOut = await startWayOut({ '192.0.2.1:443': upstream.port, '192.0.2.2:443': upstream.port });
  const [listener] = await freePorts(1);
  const egress = await startEgress({
    services: [
      '  api:',
      '    connector: http',
      `    listenOn: tcp://127.0.0.1:${listener}`,
      `    unmatched: ${unmatched}`,
      '    credentials: { token: { from: env, get: EGRESS_TOKEN } }',
      `    config: { headers: { X-Api-Key: "{{ .token }}" }, authenticateURLsMatching: ${patterns}, forceSSL: true }`,
      '    tls: { ca: "{ca}" }',
      '',
    ].join('\n'),
    egress: `  resolve: { api.test: 192.0.2.1, other.test: 192.0.2.2 }\n  unmatched: pass\n  upstreamProxy: "http://127.0.0.1:${wayOut.port}"\n`,
  });
  return { ...egress, port: listener!, upstream, asked: wayOut.asked };
}

test('a CyberArk listener that lets pass takes CONNECT: what it matches gets the credential, the rest is never decrypted', async () => {
  const broker = await startBroker('["^https://api\\\\.test/"]', 'pass');
  expect(await getThrough(broker, 'api.test:443')).toMatch(/^HTTP\/1\.1 200/);
  expect(broker.upstream.requests[0]!.headers['x-api-key'] === broker.token).toBe(true);
  const { socket, status } = await connectTunnel(broker.port, 'other.test:443');
  expect(status).toBe(200);
  const tls = await secure(socket, { servername: 'other.test', ca: (await testAuthority()).certificate });
  const text = await askOn(tls, 'GET / HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n');
  expect(text).toMatch(/^HTTP\/1\.1 200/);
  expect(broker.upstream.requests[1]!.headers['x-api-key']).toBeUndefined();
  expect(broker.asked).toEqual(['192.0.2.1:443', '192.0.2.2:443']);
  expect((await connectTunnel(broker.port, 'other.test:8443')).status).toBe(403);
});

test('a wide pattern decrypts what it may match and nothing else: not https where it says http, not other hosts', async () => {
  const ca = (await testAuthority()).certificate;
  for (const patterns of ['["^http://.*"]', '["^https?://.*\\\\.example\\\\.com/"]']) {
    const broker = await startBroker(patterns, 'pass');
    expect(await getThrough({ port: broker.port, ca }, 'other.test:443')).toMatch(/^HTTP\/1\.1 200/);
    expect(broker.upstream.requests[0]!.headers['x-api-key']).toBeUndefined();
    const denying = await startBroker(patterns, 'deny');
    const { status, socket } = await connectTunnel(denying.port, 'other.test:443');
    // Requests in clear may come through a tunnel too.
    if (patterns.includes('http://')) expect(status).toBe(200);
    else expect(status).toBe(403);
    if (status === 200) await expect(secure(socket, { servername: 'other.test', ca })).rejects.toThrow(/alert/i);
    expect(denying.asked).toEqual([]);
  }
});

test('clients that come up with host names keep us at a bounded number of handshakes, and named hosts are served beside', async () => {
  const broker = await startBroker('["^https://.*\\\\.flood\\\\.test/", "^https://api\\\\.test/"]', 'deny');
  const beginnings = await Promise.all(
    Array.from({ length: 320 }, async (_, at) => {
      const tunnel = await connectTunnel(broker.port, `n${at}.flood.test:443`);
      // A record that says more will come.
      if (tunnel.status === 200) tunnel.socket.write(Buffer.from([22, 3, 1, 2, 0, 1]));
      return tunnel;
    }),
  );
  for (const { socket } of beginnings) socket.resume();
  await eventually(async () => (await tunnelCounts(broker))['refused'] === 64, 'those that were too many refused');
  const { status, text } = await connectTunnel(broker.port, 'late.flood.test:443');
  expect([status, problemOf(text).code]).toEqual([503, 'connections-exhausted']);
  expect(await getThrough(broker, 'api.test:443')).toMatch(/^HTTP\/1\.1 200/);
  for (const { socket } of beginnings) socket.destroy();
  await eventually(
    async () => (await connectTunnel(broker.port, 'late.flood.test:443')).status === 200,
    'room for others once those are gone',
  );
}, 30_000);

test('a proxy on the way out may speak TLS and resolve the names itself', async () => {
  const upstream = await startOrigin(['api.test']);
  const { key, certificate } = await issueServerIdentity(await testAuthority(), ['127.0.0.1']);
  const secured = createTlsServer({ key, cert: certificate });
  const wayOut = await startWayOut({ 'api.test:443': upstream.port }, secured);
  const egress = await startEgress({
    services: service('api', 'https://api.test') + service('named', 'https://named.test'),
    egress: `  resolve: { named.test: 127.0.0.9 }\n  allow: ["https://192.168.1.1"]\n  upstreamProxy: { url: "https://127.0.0.1:${wayOut.port}", resolves: true }\n`,
  });
  // Nobody vouches for the certificate of the proxy yet.
  expect(problemOf(await getThrough(egress, 'api.test:443'))).toMatchObject({ status: 502 });
  expect(wayOut.asked).toEqual([]);
  const before = getCACertificates('default');
  onTestFinished(() => setDefaultCACertificates(before));
  setDefaultCACertificates([...before, (await testAuthority()).certificate]);
  expect(await getThrough(egress, 'api.test:443')).toMatch(/^HTTP\/1\.1 200/);
  expect(upstream.requests[0]!.headers['x-api-key'] === egress.token).toBe(true);
  expect(wayOut.asked).toEqual(['api.test:443']);
  // What can be checked here still is.
  expect(problemOf((await connectTunnel(egress.port, '192.168.1.1:443')).text).code).toBe('address-refused');
  expect(wayOut.asked).toEqual(['api.test:443']);
});

test('an authority that is kept in the state folder is the same after a restart, and none that others may read', async () => {
  const upstream = await startOrigin(['api.test']);
  const folder = temporaryFolder();
  const file = join(folder, 'secretless.yml');
  const upstreamCa = join(folder, 'ca.pem');
  writeFileSync(upstreamCa, (await testAuthority()).certificate);
  const token = canary();
  process.env['EGRESS_TOKEN'] = token;
  onTestFinished(() => void delete process.env['EGRESS_TOKEN']);
  const [port] = await freePorts(1);
  const egress = `egress:\n  listenOn: tcp://127.0.0.1:${port}\n  resolve: { api.test: 127.0.0.1 }\n  ca: { store: folder }\n`;
  const services = service('api', `https://api.test:${upstream.port}`).replaceAll('{ca}', upstreamCa);
  writeFileSync(file, `version: "2"\ntelemetry: { listenOn: off }\n${egress}services:\n${services}`, { mode: 0o600 });
  const start = () =>
    startSidecar({
      file,
      env: { PATH: process.env['PATH'], HOME: folder, SECRETLESS_HOME: folder },
      log: openLog({ level: 'error', stream: { write: () => undefined } }),
      onStopRequested: () => undefined,
    });
  const first = await start();
  const ca = readFileSync(join(folder, 'egress-ca.pem'), 'utf8');
  await first.drain();
  const second = await start();
  onTestFinished(() => second.drain());
  expect(readFileSync(join(folder, 'egress-ca.pem'), 'utf8')).toBe(ca);
  expect(await getThrough({ port: port!, ca }, `api.test:${upstream.port}`)).toMatch(/^HTTP\/1\.1 200/);
  await second.drain();
  chmodSync(join(folder, 'egress-ca.key'), 0o640);
  await expect(start()).rejects.toMatchObject({ code: 'config-invalid' });
});
