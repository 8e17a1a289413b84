import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from 'vitest';
import type { Arrival, Begun, HttpService } from '../src/connector/connector.ts';
import { headerValues, withHeader, withoutHeader } from '../src/connector/head.ts';
import type { Origin } from '../src/connector/origin.ts';
import { SidecarError, type ErrorCode } from '../src/error.ts';
import { startProbe, type ProbeOptions } from './http-connector-kit.ts';
import { dial, get, send } from './http-kit.ts';
import { ask, eventually, startUpstream, type TestUpstream } from './rig.ts';

/** Puts the token on every request, as simply as can be. */
const authenticate: HttpService['authenticate'] = (head, credentials) => ({
  head: withHeader(
    head,
    'X-Token',
    credentials.get('token').expose((bytes) => Buffer.from(bytes).toString()),
  ),
});

function local({ port }: TestUpstream): Origin {
  return { scheme: 'http', host: '127.0.0.1', port };
}

/** A service that leads everything to one upstream, unless `change` says otherwise; what arrived is kept. */
async function startRouting(change: (arrival: Arrival) => Partial<Begun> = () => ({}), options: ProbeOptions = {}) {
  const upstream = await startUpstream();
  const arrivals: Arrival[] = [];
  const rig = await startProbe(
    {
      authenticate: () => {
        throw new Error('the service itself is not asked');
      },
      begin: (arrival) => {
        arrivals.push(arrival);
        const head = { ...arrival.head, target: arrival.basePath + arrival.head.target };
        const origin = arrival.origin ?? local(upstream);
        return { origin, head, credentialed: true, authenticate, ...change(arrival) };
      },
    },
    options,
  );
  return { ...rig, upstream, arrivals };
}

function refusing(code: ErrorCode): () => never {
  return () => {
    throw new SidecarError(code, { detail: 'said by the test' });
  };
}

describe('where a request goes', () => {
  test('an origin-form request goes where the connector says, and begins with all its fields', async () => {
    const { port, upstream, arrivals, token } = await startRouting();
    const answer = await ask(port, 'GET /a/../b?c=%2f HTTP/1.1\nX-Kept: 1\nTE: trailers');
    expect(answer.status).toBe(400);
    const second = await ask(port, 'GET /a//b?c=%2f HTTP/1.1\nX-Kept: 1\nTE: trailers\nExpect: 100-continue');
    expect(second.text).toContain('200 OK');
    expect(upstream.requests.map(({ url }) => url)).toEqual(['/a//b?c=%2f']);
    expect(upstream.requests[0]!.headers).toMatchObject({ 'x-token': token, host: `127.0.0.1:${upstream.port}` });
    expect(upstream.requests[0]!.headers.te).toBeUndefined();
    const [, arrival] = arrivals;
    expect(arrival).toMatchObject({ basePath: '', bound: false, head: { target: '/a//b?c=%2f' } });
    expect(arrival!.origin).toBeUndefined();
    expect(arrival!.now).toBeInstanceOf(Date);
    expect(headerValues(arrival!.head.headers, 'te')).toEqual(['trailers']);
    expect(headerValues(arrival!.head.headers, 'host')).toEqual(['localhost']);
  });

  test('an absolute-form request names the origin, and the connector gets path and query alone', async () => {
    const { port, upstream, arrivals } = await startRouting();
    const named = `127.0.0.1:${upstream.port}`;
    const answer = await ask(port, `GET http://${named}/x?y HTTP/1.1\nHost: ${named}`);
    expect(answer.status).toBe(200);
    expect(arrivals).toMatchObject([{ origin: local(upstream), bound: false, head: { target: '/x?y' } }]);
  });

  test('a request that names one origin is not led to another', async () => {
    const other = await startUpstream();
    const { port, upstream, log } = await startRouting(() => ({ origin: local(other) }));
    const named = `127.0.0.1:${upstream.port}`;
    const answer = await ask(port, `GET http://${named}/ HTTP/1.1\nHost: ${named}`);
    expect(answer).toMatchObject({ status: 500, body: expect.stringContaining('"code":"internal"') });
    expect(other.requests).toHaveLength(0);
    expect(JSON.stringify(log)).toContain('leads a request');
  });

  test('a connector with a target gets it with its base path, and may not leave it', async () => {
    const upstream = await startUpstream();
    const other = await startUpstream();
    const lines = [`target: http://127.0.0.1:${upstream.port}/base`];
    const straight = await startRouting(() => ({}), { service: lines });
    await ask(straight.port, 'GET /x');
    expect(upstream.requests.map(({ url }) => url)).toEqual(['/base/x']);
    expect(straight.arrivals).toMatchObject([
      { origin: local(upstream), bound: true, basePath: '/base', head: { target: '/x' } },
    ]);
    const named = `127.0.0.1:${upstream.port}`;
    await ask(straight.port, `GET http://${named}/base/y HTTP/1.1\nHost: ${named}`);
    // In either form: what stands before every path is never taken for a part of one.
    expect(straight.arrivals[1]).toMatchObject({ basePath: '/base', bound: true, head: { target: '/y' } });
    expect(upstream.requests.map(({ url }) => url)).toEqual(['/base/x', '/base/y']);
    const astray = await startRouting(() => ({ origin: local(other) }), { service: lines });
    expect((await ask(astray.port, 'GET /x')).status).toBe(500);
    // Not even to the same host with TLS: the target is the operator's word.
    const upgraded = await startRouting(() => ({ origin: { ...local(upstream), scheme: 'https' } }), {
      service: lines,
    });
    expect((await ask(upgraded.port, 'GET /x')).status).toBe(500);
    expect(other.requests).toHaveLength(0);
  });

  test('a connector that routes may turn http into https to the same host, and to no other', async () => {
    const { port, upstream } = await startRouting(({ origin }) => ({ origin: { ...origin!, scheme: 'https' } }));
    const named = `127.0.0.1:${upstream.port}`;
    // The upstream speaks no TLS: that the handshake fails shows that one was tried.
    const answer = await ask(port, `GET http://${named}/ HTTP/1.1\nHost: ${named}`);
    expect(answer.status).toBe(502);
    expect(upstream.requests).toHaveLength(0);
  });

  test('only a pattern with a host binds a request to it, and none lets a credential go in clear unless written', async () => {
    const asked = 'GET http://plain.example/x HTTP/1.1\nHost: plain.example';
    const patterns = { "'^http://plain\\.example/'": true, "'^http'": false };
    for (const [pattern, bound] of Object.entries(patterns)) {
      const rig = await startRouting(() => ({}), { service: [`config: { authenticateURLsMatching: ${pattern} }`] });
      expect((await ask(rig.port, asked)).body).toContain('plaintext-refused');
      expect(rig.arrivals).toMatchObject([{ bound, basePath: '', origin: { scheme: 'http', host: 'plain.example' } }]);
      expect(rig.events('decision').filter(({ result }) => result === 'allow')).toEqual([]);
    }
  });

  test('`forceSSL: true` upgrades what the request names, and refuses a plaintext origin of the connector', async () => {
    const service = ['config: { forceSSL: true }'];
    const { port, arrivals } = await startRouting(() => ({}), { service });
    await ask(port, 'GET http://api.invalid/ HTTP/1.1\nHost: api.invalid');
    await ask(port, 'GET http://api.invalid:8080/ HTTP/1.1\nHost: api.invalid:8080');
    expect(arrivals.map(({ origin }) => origin)).toEqual([
      { scheme: 'https', host: 'api.invalid', port: 443 },
      { scheme: 'https', host: 'api.invalid', port: 8080 },
    ]);
    expect((await ask(port, 'GET /')).body).toContain('plaintext-refused');
  });

  test('services with a target or patterns come first on a shared address', async () => {
    const [targeted, matched] = [await startUpstream(), await startUpstream()];
    const http = ['connector: http', 'credentials: { k: literal-key }'];
    const { port, upstream, arrivals } = await startRouting(() => ({}), {
      beside: {
        api: [...http, `target: http://127.0.0.1:${targeted.port}`, 'config: { headers: { X-K: "{{ .k }}" } }'],
        zed: [
          ...http,
          `config: { headers: { X-K: "{{ .k }}" }, authenticateURLsMatching: '^http://127\\.0\\.0\\.1:${matched.port}/' }`,
        ],
      },
    });
    await ask(port, 'GET /origin-form');
    const named = `127.0.0.1:${matched.port}`;
    await ask(port, `GET http://${named}/matched HTTP/1.1\nHost: ${named}`);
    expect([targeted.requests.length, matched.requests.length, arrivals.length]).toEqual([1, 1, 0]);
    const rest = `127.0.0.1:${upstream.port}`;
    await ask(port, `GET http://${rest}/rest HTTP/1.1\nHost: ${rest}`);
    expect(upstream.requests.map(({ url }) => url)).toEqual(['/rest']);
  });

  test('a request that the connector lets pass has no credential, and is on record', async () => {
    const { port, upstream, events } = await startRouting(() => ({ credentialed: false }));
    await ask(port, 'GET /');
    expect(upstream.requests[0]!.headers['x-token']).toBeUndefined();
    expect(events('decision')).toMatchObject([{ service: 'probe', result: 'allow', credentials: {} }]);
  });
});

describe('browsers', () => {
  const foreign = ['GET / HTTP/1.1\nHost: rebound.example', 'GET / HTTP/1.1\nOrigin: https://evil.example'];
  test.each([...foreign, 'GET / HTTP/1.1\nSec-Fetch-Site: cross-site'])(
    '%j is refused before it begins',
    async (head) => {
      const { port, arrivals } = await startRouting();
      expect((await ask(port, head)).body).toMatch(/host-mismatch|origin-refused/);
      expect(arrivals).toHaveLength(0);
    },
  );

  test('not even the Host of the upstream passes: no operator named it', async () => {
    const upstream = await startUpstream();
    const { port, arrivals } = await startRouting(() => ({ origin: local(upstream) }));
    expect((await ask(port, 'GET / HTTP/1.1\nHost: s3.example.com')).body).toContain('host-mismatch');
    expect(arrivals).toHaveLength(0);
    for (const host of ['127.0.0.1', 'localhost:4711', 'bucket.localhost']) {
      expect((await ask(port, `GET / HTTP/1.1\nHost: ${host}`)).status).toBe(200);
    }
  });
});

describe('who asks', () => {
  test('a proven agent is the principal for policy, lease and ledger', async () => {
    const rules = 'rules: [{ id: ada-only, effect: allow, agents: [ada] }]';
    const { port, upstream, events } = await startRouting(
      ({ head }) => ({ agent: headerValues(head.headers, 'x-agent')[0]! }),
      { top: [rules] },
    );
    expect((await ask(port, 'GET / HTTP/1.1\nX-Agent: ada')).status).toBe(200);
    expect((await ask(port, 'GET / HTTP/1.1\nX-Agent: eve')).status).toBe(403);
    expect(upstream.requests).toHaveLength(1);
    expect(events('decision')).toMatchObject([
      { result: 'allow', rule: 'ada-only', principal: { agent: 'ada', attested: 'key' } },
      { result: 'deny', principal: { agent: 'eve', attested: 'key' } },
    ]);
    await eventually(() => events('exchange.ended').length === 1);
    expect(events('exchange.ended')).toMatchObject([{ principal: { agent: 'ada', attested: 'key' } }]);
  });

  test('one that proves nothing is whoever the listener belongs to', async () => {
    const { port, events } = await startRouting(() => ({}), { service: ['agent: bob'] });
    await ask(port, 'GET /');
    expect(events('decision')).toMatchObject([{ principal: { agent: 'bob', attested: 'listener' } }]);
  });

  test('two proven agents never share a connection to the upstream', async () => {
    const { port, upstream } = await startRouting(({ head }) => ({ agent: headerValues(head.headers, 'x-agent')[0]! }));
    for (const agent of ['ada', 'eve', 'ada']) await send(port, { headers: { 'x-agent': agent } });
    const [first, second, third] = upstream.requests.map(({ socket }) => socket);
    expect(second).not.toBe(first);
    expect(third).toBe(first);
  });
});

describe('a refusal to begin', () => {
  test.each(['caller-unproven', 'foreign-credential', 'request-expired', 'no-service'] as const)(
    '%s is on record as a refusal of the service',
    async (code) => {
      const { port, events, metrics, upstream } = await startRouting(refusing(code));
      expect((await ask(port, 'GET /v1?signature=secret')).body).toContain(code);
      expect(events('decision')).toMatchObject([
        { service: 'probe', connector: 'probe', result: 'deny', method: 'GET', path: '/v1' },
      ]);
      expect(JSON.stringify(events())).not.toContain('signature=secret');
      expect(await metrics()).toMatch(/secretless_exchanges_total\{[^}]*service="probe"[^}]*\} 1/);
      expect(upstream.requests).toHaveLength(0);
    },
  );

  test('one that says nothing of the agent is not', async () => {
    const { port, events } = await startRouting(refusing('signature-malformed'));
    expect((await ask(port, 'GET /')).body).toContain('signature-malformed');
    expect(events('decision')).toHaveLength(0);
  });

  test('is answered in the dialect of the service, with the id that the log has', async () => {
    const ids: string[] = [];
    const { port, log } = await startProbe({
      authenticate,
      begin: refusing('caller-unproven'),
      refuse: (error, head, id) => {
        ids.push(id);
        const body = Buffer.from(`<Error><Code>${error.code}</Code><Target>${head.target}</Target></Error>`);
        return { status: 499, reason: 'Own', headers: ['Content-Length', String(body.length)], body };
      },
    });
    const answer = await ask(port, 'GET /x');
    expect(answer).toMatchObject({
      status: 499,
      body: '<Error><Code>caller-unproven</Code><Target>/x</Target></Error>',
    });
    expect(ids).toEqual([expect.stringMatching(/^[0-9a-f]{16}-1$/)]);
    expect(log.filter(({ id }) => id === ids[0])).toHaveLength(1);
  });

  test('an error that is none of ours is an internal one', async () => {
    const { port } = await startRouting(() => {
      throw new TypeError('a bug');
    });
    const answer = await ask(port, 'GET /');
    expect(answer).toMatchObject({ status: 500, body: expect.not.stringContaining('a bug') });
  });
});

describe('the head that a connector returns', () => {
  test.each(['Host', 'Content-Length', 'Transfer-Encoding', 'Connection', 'Expect', 'Upgrade'])(
    'has no %s of its own on the way to the upstream',
    async (name) => {
      const { port, upstream } = await startRouting(() => ({
        authenticate: (head) => ({
          head: withHeader(head, name, name === 'Content-Length' ? '123456789' : 'evil.example'),
        }),
      }));
      expect((await ask(port, 'GET /')).status).toBe(200);
      const { rawHeaders } = upstream.requests[0]!;
      expect(rawHeaders.join()).not.toContain('evil.example');
      expect(rawHeaders.join()).not.toContain('123456789');
      expect(rawHeaders.filter((each) => each.toLowerCase() === 'host')).toHaveLength(1);
    },
  );

  test('keeps the fields of a body that is coded or has trailers within', async () => {
    const { port, upstream } = await startRouting(() => ({
      authenticate: (head) => ({ head: withoutHeader(head, 'X-Gone') }),
    }));
    await ask(
      port,
      'PUT / HTTP/1.1\nContent-Encoding: aws-chunked\nX-Amz-Trailer: x-amz-checksum-crc32\nX-Gone: 1\nTrailer: X-T\nContent-Length: 2',
      'ok',
    );
    expect(upstream.requests[0]!.headers).toMatchObject({
      'content-encoding': 'aws-chunked',
      'x-amz-trailer': 'x-amz-checksum-crc32',
    });
    expect(upstream.requests[0]!.headers.trailer).toBeUndefined();
    expect(upstream.requests[0]!.headers['x-gone']).toBeUndefined();
  });
});

describe('a path that is read literally', () => {
  const target = '/bucket/a/../b//%2e%2e/%5C%0A?x=/../';
  const literally = { readsPathLiterally: () => true };

  test('goes upstream byte for byte where the connector vouches for it', async () => {
    const { port, upstream } = await startRouting(() => literally);
    expect((await ask(port, `GET ${target}`)).status).toBe(200);
    expect(upstream.requests.map(({ url }) => url)).toEqual([target]);
    const plain = await startRouting();
    expect((await ask(plain.port, `GET ${target}`)).body).toContain('path-ambiguous');
    expect(plain.upstream.requests).toHaveLength(0);
  });

  test('is refused by rules with paths, and passes rules without', async () => {
    const withPaths = await startRouting(() => literally, {
      top: ['rules: [{ id: all, effect: allow, paths: ["/**"] }]'],
    });
    expect((await ask(withPaths.port, `GET ${target}`)).body).toContain('path-ambiguous');
    expect((await ask(withPaths.port, 'GET /bucket/plain')).status).toBe(200);
    const without = await startRouting(() => literally, { top: ['rules: [{ id: all, effect: allow }]'] });
    expect((await ask(without.port, `GET ${target}`)).status).toBe(200);
  });

  test.each(['/a#b', '/%zz', '/%0', '/\u00e9'])('%j is sent by nobody', async (path) => {
    const { port, upstream } = await startRouting(() => literally);
    expect((await ask(port, `GET ${path}`)).status).toBe(400);
    expect(upstream.requests).toHaveLength(0);
  });
});

describe('a websocket', () => {
  const handshake = (...fields: string[]): string =>
    get(
      '/ws',
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==',
      ...fields,
    );

  test('begins as any request does, and is given the hash of nothing where it asks for one', async () => {
    const proven: string[] = [];
    const { port, upstream, token, events } = await startRouting(() => ({
      agent: 'ada',
      body: () => ({ digest: { memory: 10, disk: 0 } }),
      prove: (sha256) => void proven.push(sha256),
      authenticate: async (head, credentials, context) => {
        const { head: signed } = await authenticate(head, credentials, context);
        return { head: withHeader(withHeader(signed, 'X-Hash', context.bodySha256!), 'Host', 'evil.example') };
      },
    }));
    const seen: IncomingMessage[] = [];
    upstream.server.on('upgrade', (request, socket) => {
      seen.push(request);
      socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
    });
    const client = await dial(port, handshake());
    await client.until('101 Switching');
    client.socket.destroy();
    const hash = createHash('sha256').digest('hex');
    expect(proven).toEqual([hash]);
    expect(seen[0]!.headers).toMatchObject({ 'x-token': token, 'x-hash': hash, host: `127.0.0.1:${upstream.port}` });
    expect(events('decision')).toMatchObject([{ result: 'allow', principal: { agent: 'ada', attested: 'key' } }]);
    await eventually(() => events('exchange.ended').length === 1);
  });

  test('whose connector refuses to begin, or to take its proof, is on record', async () => {
    const { port, events, upstream } = await startRouting(refusing('foreign-credential'));
    const client = await dial(port, handshake());
    expect(await client.end()).toContain('foreign-credential');
    const unproven = await startRouting(() => ({
      body: () => ({ digest: { memory: 10, disk: 0 } }),
      prove: refusing('caller-unproven'),
    }));
    const other = await dial(unproven.port, handshake());
    expect(await other.end()).toContain('caller-unproven');
    for (const all of [events('decision'), unproven.events('decision')]) {
      expect(all).toMatchObject([{ service: 'probe', result: 'deny', method: 'GET', path: '/ws' }]);
    }
    expect(upstream.requests).toHaveLength(0);
  });

  test('from a foreign page is refused before it begins', async () => {
    const { port, arrivals } = await startRouting();
    const client = await dial(port, handshake('Origin: https://evil.example'));
    expect(await client.end()).toContain('origin-refused');
    expect(arrivals).toHaveLength(0);
  });
});
