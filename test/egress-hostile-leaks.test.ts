import { readdirSync, readFileSync, statSync } from 'node:fs';
import { connect as connectTcp, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { canary } from './canary.ts';
import { askHttp2On, askInside, askRaw, openTunnel } from './egress-confusion-kit.ts';
import { connectTunnel, service, startEgress, startOrigin, startPlainOrigin } from './egress-core-kit.ts';
import { dial } from './http-kit.ts';
import { eventually } from './rig.ts';

/** Tokens of agents, the password of a proxy and the key of the authority: wherever they are shown, they stay here. */

/** A proxy of a company: what it was asked, and everything that went through it. */
async function startCorporateProxy() {
  const asked: string[] = [];
  let through = '';
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (first) => {
      const head = first.toString('latin1');
      asked.push(head);
      const port = Number(/^CONNECT [^ ]+:([0-9]+) /.exec(head)![1]);
      const upstream = connectTcp(port, '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
      upstream.on('error', () => socket.destroy());
      socket.on('data', (chunk) => (through += chunk.toString('latin1')));
      socket.pipe(upstream).pipe(socket);
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => void server.close());
  return { port: (server.address() as AddressInfo).port, asked, through: () => through };
}

/** The forms in which a secret would be found. */
function formsOf(secret: string, ...users: string[]): string[] {
  const bytes = Buffer.from(secret);
  const pairs = ['', ...users].map((user) => Buffer.from(`${user}:${secret}`).toString('base64').replace(/=+$/, ''));
  return [
    secret,
    bytes.toString('base64').replace(/=+$/, ''),
    bytes.toString('hex'),
    encodeURIComponent(secret),
    ...pairs,
  ];
}

test('tokens and the password of the proxy are nowhere but where they belong', async () => {
  const env = { AGENT_ONE: canary(), AGENT_TWO: canary(), PROXY_USER: 'sidecar', PROXY_PASSWORD: canary() };
  const wrong = canary();
  const [secured, plain, proxy] = [
    await startOrigin(['api.test']),
    await startPlainOrigin(),
    await startCorporateProxy(),
  ];
  const authority = `api.test:${secured.port}`;
  const open = `open.test:${plain.port}`;
  const egress = await startEgress({
    services: service('api', `https://${authority}`),
    egress: [
      '  resolve: { api.test: 127.0.0.1, open.test: 127.0.0.1 }',
      `  allow: ["http://${open}", "https://${open}"]`,
      `  upstreamProxy: { url: "http://127.0.0.1:${proxy.port}", username: { from: env, get: PROXY_USER }, password: { from: env, get: PROXY_PASSWORD } }`,
      '',
    ].join('\n'),
    top: 'agents: { one: { token: { from: env, get: AGENT_ONE } }, two: { token: { from: env, get: AGENT_TWO } } }',
    env,
  });
  const basic = (user: string, word: string): string =>
    `Proxy-Authorization: Basic ${Buffer.from(`${user}:${word}`).toString('base64')}`;
  const good = basic('one', env.AGENT_ONE);
  const answers: string[] = [];
  const tunnel = { ca: egress.ca, port: egress.port, authority, fields: [good] };
  const shown = [
    good,
    `Proxy-Authorization: Bearer ${env.AGENT_TWO}`,
    basic('', env.AGENT_ONE),
    `proxy_authorization: ${env.AGENT_ONE}`,
  ];
  for (const field of shown) {
    const get = `GET /x HTTP/1.1\r\nHost: ${authority}\r\n${field}\r\nConnection: close, x\r\n\r\n`;
    answers.push(await askInside(tunnel, get));
    const request = `GET http://${open}/ HTTP/1.1\r\nHost: ${open}\r\n${good}\r\n${field}\r\nConnection: close\r\n\r\n`;
    answers.push(await askRaw(egress.port, request));
  }
  expect(answers).toContain('200');
  const chunked = `POST /t HTTP/1.1\r\nHost: ${authority}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\n${good}\r\n\r\n`;
  expect(await askInside(tunnel, chunked)).toBe('200');
  const upgrade = `GET /ws HTTP/1.1\r\nHost: ${authority}\r\n${good}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
  await askInside({ ...tunnel }, upgrade);
  const tls = (await openTunnel({ ...tunnel, protocols: ['h2'] })) as TLSSocket;
  const fields = [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':authority', authority],
    [':path', '/h2'],
    ['proxy-authorization', `Bearer ${env.AGENT_TWO}`],
  ] as const;
  expect(await askHttp2On(tls, fields)).toBe('answered');
  // Refused, each in another place.
  for (const each of [
    basic('one', wrong),
    basic('two', env.AGENT_ONE),
    `Proxy-Authorization: Digest ${wrong}`,
    basic('one', env.AGENT_TWO),
  ])
    expect((await connectTunnel(egress.port, authority, [each])).status).toBe(407);
  for (const target of [`one:${env.AGENT_ONE}@${authority}`, `${env.AGENT_ONE}.test:443`, `api.test:${env.AGENT_ONE}`])
    answers.push(await askRaw(egress.port, `CONNECT ${target} HTTP/1.1\r\nHost: x\r\n${good}\r\n\r\n`));
  for (const word of [env.AGENT_ONE, wrong]) {
    const login = Buffer.concat([
      Buffer.from([1, 3]),
      Buffer.from('one'),
      Buffer.from([word.length]),
      Buffer.from(word),
    ]);
    const peer = await dial(egress.port, Buffer.concat([Buffer.from([5, 1, 2]), login, Buffer.from([9, 9])]));
    await peer.end();
  }
  await eventually(() => secured.requests.some(({ url }) => url === '/h2'));
  const upstream = [...secured.requests, ...plain.requests].map(({ rawHeaders, rawTrailers, url }) =>
    [...rawHeaders, ...rawTrailers, url].join('\n'),
  );
  const files = readdirSync(egress.rig.folder).filter(
    (name) => !name.endsWith('.key') && statSync(join(egress.rig.folder, name)).isFile(),
  );
  const kept: Record<string, string> = {
    upstream: upstream.join('\n'),
    proxied: proxy.through(),
    log: JSON.stringify(egress.rig.log),
    status: JSON.stringify(egress.rig.sidecar.status()),
    metrics: await (await fetch(`${egress.rig.telemetry()}/metrics`)).text(),
    ...Object.fromEntries(files.map((name) => [name, readFileSync(join(egress.rig.folder, name), 'latin1')])),
  };
  const secrets = [env.AGENT_ONE, env.AGENT_TWO, wrong, env.PROXY_PASSWORD].flatMap((one) =>
    formsOf(one, 'one', 'two', env.PROXY_USER),
  );
  // A name that an agent asks for is on record as it is, though it be a token.
  const asName = `${env.AGENT_ONE}.test`;
  const found = Object.entries(kept).flatMap(([where, text]) => {
    const rest = text.replaceAll(asName, '');
    return secrets.filter((one) => rest.includes(one)).map(() => where);
  });
  expect(found).toEqual([]);
  expect(
    Object.entries(kept)
      .filter(([, text]) => /PRIVATE KEY/.test(text))
      .map(([where]) => where),
  ).toEqual([]);
  // The proxy itself was shown its password, with every CONNECT, and no agent's token.
  expect(proxy.asked.length).toBeGreaterThan(0);
  const password = Buffer.from(`${env.PROXY_USER}:${env.PROXY_PASSWORD}`).toString('base64');
  expect(proxy.asked.every((head) => head.includes(`Basic ${password}\r\n`))).toBe(true);
  expect(proxy.asked.some((head) => head.includes(env.AGENT_ONE) || head.includes(env.AGENT_TWO))).toBe(false);
});

test('nothing is issued for a name that has no service, however many are asked for', async () => {
  const secured = await startOrigin(['api.test']);
  const egress = await startEgress({
    services: service('api', `https://api.test:${secured.port}`),
    egress: '  resolve: { api.test: 127.0.0.1 }\n',
  });
  const before = process.cpuUsage();
  const rss = process.memoryUsage().rss;
  for (let round = 0; round < 20; round += 1) {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, at) =>
        askRaw(egress.port, `CONNECT n${round}-${at}.test:443 HTTP/1.1\r\nHost: n${round}-${at}.test:443\r\n\r\n`),
      ),
    );
    expect(new Set(answers)).toEqual(new Set(['403 no-service']));
  }
  expect(process.cpuUsage(before).user).toBeLessThan(10e6);
  expect(process.memoryUsage().rss - rss).toBeLessThan(64 * 1024 * 1024);
});
