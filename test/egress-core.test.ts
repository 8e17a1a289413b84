import { expect, test } from 'vitest';
import { issueAuthority } from '../src/certificate/authority.ts';
import { askOn, connectTunnel, getThrough, secure, service, startEgress, startOrigin } from './egress-core-kit.ts';
import { Peer, problemOf } from './http-kit.ts';
import { eventually } from './rig.ts';

const resolve = '  resolve: { api.test: 127.0.0.1, other.test: 127.0.0.1, open.test: 127.0.0.1 }';

test('an unmodified https client gets the credential put on its request, and never sees it', async () => {
  const upstream = await startOrigin(['api.test']);
  const egress = await startEgress({ services: service('api', `https://api.test:${upstream.port}`), egress: resolve });
  const answer = await getThrough(egress, `api.test:${upstream.port}`, '/v1/a%20b?x=1');
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK[^]*hello from api\.test:/);
  expect(upstream.requests[0]!.headers['x-api-key'] === egress.token).toBe(true);
  expect(upstream.requests[0]!.url).toBe('/v1/a%20b?x=1');
  expect(answer.includes(egress.token)).toBe(false);
  const [decision] = egress.rig.events('decision');
  expect(decision).toMatchObject({ service: 'api', result: 'allow', upstream: `https://api.test:${upstream.port}` });
});

test('requests follow each other on one connection, and one upstream connection serves them', async () => {
  const upstream = await startOrigin(['api.test']);
  const egress = await startEgress({ services: service('api', `https://api.test:${upstream.port}`), egress: resolve });
  const authority = `api.test:${upstream.port}`;
  const { socket } = await connectTunnel(egress.port, authority);
  const tls = await secure(socket, { servername: 'api.test', ca: egress.ca });
  const peer = new Peer(tls, 'downstream');
  for (let at = 1; at <= 3; at += 1) {
    peer.write(`GET /${at} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    await eventually(() => peer.text.match(/hello from/g)?.length === at);
  }
  tls.destroy();
  expect(upstream.dialled()).toBe(1);
  await eventually(() => egress.rig.events('connection.closed').some(({ exchanges }) => exchanges === 3));
});

test.each([
  ['a Host of another name', (port: number) => `GET / HTTP/1.1\r\nHost: other.test:${port}`],
  ['a Host of this machine', () => 'GET / HTTP/1.1\r\nHost: localhost'],
  ['a Host without the port', () => 'GET / HTTP/1.1\r\nHost: api.test'],
  [
    'an absolute URI of another host',
    (port: number) => `GET https://other.test:${port}/ HTTP/1.1\r\nHost: other.test:${port}`,
  ],
  ['an absolute URI of http', (port: number) => `GET http://api.test:${port}/ HTTP/1.1\r\nHost: api.test:${port}`],
])('a request in a tunnel with %s is answered 421, and nothing is sent', async (_what, head) => {
  const upstream = await startOrigin(['api.test', 'other.test']);
  const services = ['api', 'other'].map((name) => service(name, `https://${name}.test:${upstream.port}`)).join('');
  const egress = await startEgress({ services, egress: resolve });
  const { socket } = await connectTunnel(egress.port, `api.test:${upstream.port}`);
  const tls = await secure(socket, { servername: 'api.test', ca: egress.ca });
  const text = await askOn(tls, `${head(upstream.port)}\r\nConnection: close\r\n\r\n`);
  expect(problemOf(text)).toMatchObject({ status: 421, code: 'host-mismatch' });
  expect(upstream.dialled()).toBe(0);
});

test('the absolute URI of the tunnel itself is taken', async () => {
  const upstream = await startOrigin(['api.test']);
  const authority = `api.test:${upstream.port}`;
  const egress = await startEgress({ services: service('api', `https://${authority}`), egress: resolve });
  const { socket } = await connectTunnel(egress.port, authority);
  const tls = await secure(socket, { servername: 'api.test', ca: egress.ca });
  const text = await askOn(
    tls,
    `GET https://${authority}/x HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`,
  );
  expect(text).toMatch(/^HTTP\/1\.1 200 /);
  expect(upstream.requests[0]!.url).toBe('/x');
});

test('a handshake that names another host gets 421 for every request', async () => {
  const upstream = await startOrigin(['api.test']);
  const authority = `api.test:${upstream.port}`;
  const egress = await startEgress({ services: service('api', `https://${authority}`), egress: resolve });
  const { socket } = await connectTunnel(egress.port, authority);
  const tls = await secure(socket, { servername: 'other.test', ca: egress.ca, checkServerIdentity: () => undefined });
  const text = await askOn(tls, `GET / HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`);
  expect(problemOf(text).code).toBe('host-mismatch');
  expect(upstream.dialled()).toBe(0);
});

test.each([
  ['unknown.test:443', 403, 'no-service'],
  ['api.test:1', 403, 'no-service'],
  ['api.test', 400, 'request-malformed'],
  ['user@api.test:443', 400, 'request-malformed'],
  ['api.test.:443', 400, 'request-malformed'],
  ['api.test%00.evil.test:443', 400, 'request-malformed'],
  ['0x7f.1:443', 400, 'request-malformed'],
  ['2130706433:443', 400, 'request-malformed'],
  ['127.0.0.1:443', 403, 'no-service'],
  ['[::1]:443', 403, 'no-service'],
  ['[::1%25lo]:443', 400, 'request-malformed'],
  ['api.test:0443', 400, 'request-malformed'],
  ['api.test:0', 400, 'request-malformed'],
])('CONNECT %s is answered %i, in problem+json, and nothing is dialled', async (target, status, code) => {
  const upstream = await startOrigin(['api.test']);
  const egress = await startEgress({ services: service('api', `https://api.test:${upstream.port}`), egress: resolve });
  const answer = await connectTunnel(egress.port, target);
  expect(answer.status).toBe(status);
  expect(problemOf(answer.text)).toMatchObject({ status, code });
  expect(upstream.dialled()).toBe(0);
  if (code !== 'no-service') return;
  const [event] = egress.rig.events('decision');
  expect(event).toMatchObject({ service: '-', connector: '-', method: 'CONNECT', result: 'deny' });
});

test('a CONNECT whose Host names another host is refused', async () => {
  const upstream = await startOrigin(['api.test']);
  const egress = await startEgress({ services: service('api', `https://api.test:${upstream.port}`), egress: resolve });
  const answer = await connectTunnel(egress.port, `api.test:${upstream.port}`, ['Host: other.test']);
  expect(problemOf(answer.text).code).toBe('host-mismatch');
});

test('an upstream with a foreign certificate gets no byte of a request, and the client hears 502 inside the tunnel', async () => {
  const upstream = await startOrigin(['api.test'], undefined, await issueAuthority('somebody else'));
  const egress = await startEgress({ services: service('api', `https://api.test:${upstream.port}`), egress: resolve });
  const text = await getThrough(egress, `api.test:${upstream.port}`);
  expect(problemOf(text)).toMatchObject({ status: 502, code: 'upstream-tls' });
  expect(upstream.requests).toHaveLength(0);
});

test('an upstream with a certificate for another name gets no byte of a request', async () => {
  const upstream = await startOrigin(['other.test']);
  const egress = await startEgress({ services: service('api', `https://api.test:${upstream.port}`), egress: resolve });
  const text = await getThrough(egress, `api.test:${upstream.port}`);
  expect(problemOf(text)).toMatchObject({ status: 502, code: 'upstream-tls' });
  expect(upstream.requests).toHaveLength(0);
});

test('of services with one origin the longest base path that holds the path takes a request', async () => {
  const upstream = await startOrigin(['api.test']);
  const origin = `https://api.test:${upstream.port}`;
  const named = (name: string, target: string): string => service(name, target).replace('X-Api-Key', `X-${name}`);
  const services = named('All', origin) + named('Acme', `${origin}/repos/acme`) + named('Repos', `${origin}/repos`);
  const egress = await startEgress({ services, egress: resolve });
  const authority = `api.test:${upstream.port}`;
  const used = async (path: string): Promise<string> => {
    const text = await getThrough(egress, authority, path);
    if (!text.startsWith('HTTP/1.1 200')) return problemOf(text).code;
    const { headers, url } = upstream.requests.at(-1)!;
    expect(url).toBe(path);
    return ['x-all', 'x-acme', 'x-repos'].filter((name) => name in headers).join();
  };
  expect(await used('/')).toBe('x-all');
  expect(await used('/repos/other')).toBe('x-repos');
  expect(await used('/repos/acme/x?y')).toBe('x-acme');
  expect(await used('/repos/acme')).toBe('x-acme');
  expect(await used('/repos/acme?tab=1')).toBe('x-acme');
  expect(await used('/repos/acmes')).toBe('x-repos');
  expect(await used('/reposacme/')).toBe('x-all');
  expect(await used('/repos/%61cme/x')).toBe('path-ambiguous');
  expect(await used('/repos//acme/x')).toBe('path-ambiguous');
  expect(await used('/repos/x/../acme')).toBe('path-ambiguous');
});

test('a path outside every base path has no service', async () => {
  const upstream = await startOrigin(['api.test']);
  const services = service('api', `https://api.test:${upstream.port}/v1`);
  const egress = await startEgress({ services, egress: resolve });
  expect(problemOf(await getThrough(egress, `api.test:${upstream.port}`, '/v2/x')).code).toBe('no-service');
  expect(upstream.dialled()).toBe(0);
});

test('a client that does not trust the certificate is told of in the log, once a minute for a host', async () => {
  const upstream = await startOrigin(['api.test']);
  const egress = await startEgress({ services: service('api', `https://api.test:${upstream.port}`), egress: resolve });
  for (let at = 0; at < 3; at += 1) {
    const { socket } = await connectTunnel(egress.port, `api.test:${upstream.port}`);
    await expect(secure(socket, { servername: 'api.test' })).rejects.toThrow();
  }
  const told = () => egress.rig.log.filter(({ message }) => message === 'certificate refused');
  await eventually(() => told().length > 0);
  expect(told()).toHaveLength(1);
  expect(JSON.stringify(told()[0])).toContain('secretless run');
});

test('a page of a foreign origin spends no credential through the proxy', async () => {
  const upstream = await startOrigin(['api.test']);
  const authority = `api.test:${upstream.port}`;
  const egress = await startEgress({ services: service('api', `https://${authority}`), egress: resolve });
  for (const field of ['Origin: https://evil.test', 'Sec-Fetch-Site: cross-site']) {
    const { socket } = await connectTunnel(egress.port, authority);
    const tls = await secure(socket, { servername: 'api.test', ca: egress.ca });
    const text = await askOn(tls, `POST / HTTP/1.1\r\nHost: ${authority}\r\n${field}\r\nConnection: close\r\n\r\n`);
    expect(problemOf(text).code).toBe('origin-refused');
  }
  expect(upstream.dialled()).toBe(0);
});
