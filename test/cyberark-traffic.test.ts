import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { canary } from './canary.ts';
import { freePort } from '../src/cli/demo/ports.ts';
import { dial, get, heads, problemOf, startApi, startForward, startRawUpstream } from './http-kit.ts';
import { ask, startRig, startUpstream, temporaryFolder, type RawAnswer } from './rig.ts';

/* What users of CyberArk Secretless Broker meet on the wire; cyberark.test.ts has the table. */

/** An absolute-form request, as a client with `http_proxy` sends it. */
function through(port: number, url: string, ...fields: string[]): Promise<RawAnswer> {
  return ask(port, [`GET ${url} HTTP/1.1`, `Host: ${new URL(url).host}`, ...fields].join('\n'));
}

const bound = (port: number) => `^http://127\\.0\\.0\\.1:${port}/`;

describe('the proxy', () => {
  test('forwards nothing that no service matches, not even to link-local addresses', async () => {
    const upstream = await startUpstream();
    const { port } = await startForward(['^http://api\\.example\\.com/']);
    for (const url of [`http://127.0.0.1:${upstream.port}/`, 'http://169.254.169.254/latest/meta-data/']) {
      const answer = await through(port, url);
      expect([answer.status, problemOf(answer.text).code]).toEqual([403, 'no-service']);
    }
    expect(upstream.requests).toHaveLength(0);
  });

  test('forwards what nothing matches only where `unmatched: pass` says so, and then without the credential', async () => {
    const upstream = await startUpstream();
    const { port } = await startForward(['^http://api\\.example\\.com/'], [], { service: ['unmatched: pass'] });
    expect((await through(port, `http://127.0.0.1:${upstream.port}/`)).status).toBe(200);
    expect(upstream.requests[0]!.headers['x-api-key']).toBeUndefined();
  });

  test('answers CONNECT to what nothing matches with 403, and a request without a URL with 400 that says what to do', async () => {
    const { port } = await startForward(['^http://api\\.example\\.com/']);
    const connect = await ask(port, 'CONNECT api.example.com:443 HTTP/1.1\nHost: api.example.com:443');
    expect([connect.status, problemOf(connect.text).code]).toEqual([403, 'no-service']);
    const origin = await ask(port, 'GET /');
    expect([origin.status, problemOf(origin.text).code]).toEqual([400, 'absolute-form-required']);
  });

  test('anchored: a pattern is not found in a longer host, a user part, a path or a query', async () => {
    const upstream = await startUpstream();
    const { port } = await startForward(['api\\.example\\.com', '^http://api\\.example\\.com']);
    const base = `http://127.0.0.1:${upstream.port}`;
    for (const url of [
      'http://api.example.com.evil.test/',
      `${base}/api.example.com/`,
      `${base}/?u=http://api.example.com`,
    ]) {
      expect(problemOf((await through(port, url)).text).code).toBe('no-service');
    }
    const user = await ask(
      port,
      `GET http://api.example.com@127.0.0.1:${upstream.port}/ HTTP/1.1\nHost: 127.0.0.1:${upstream.port}`,
    );
    expect(user.status).toBe(400);
    expect(upstream.requests).toHaveLength(0);
  });

  test('of two services that match, the first by name takes the request, wherever it stands in the file', async () => {
    const [upstream, port] = [await startUpstream(), await freePort()];
    const service = (name: string, pattern: string) =>
      `  ${name}: { connector: generic_http, listenOn: "tcp://127.0.0.1:${port}", credentials: { t: ${name} }, config: { headers: { X-By: '{{ .t }}' }, authenticateURLsMatching: '${pattern}' } }\n`;
    await startRig(
      `services:\n${service('zeta', bound(upstream.port))}${service('alpha', '^http://127\\.0\\.0\\.1:\\d+/')}`,
    );
    await through(port, `http://127.0.0.1:${upstream.port}/`);
    expect(upstream.requests[0]!.headers['x-by']).toBe('alpha');
  });

  test('redirects are not followed', async () => {
    const stranger = await startUpstream();
    const upstream = await startUpstream((_, response) =>
      response.writeHead(302, { location: `http://127.0.0.1:${stranger.port}/` }).end(),
    );
    const { port } = await startForward([bound(upstream.port)]);
    expect((await through(port, `http://127.0.0.1:${upstream.port}/`)).status).toBe(302);
    expect(stranger.requests).toHaveLength(0);
  });

  test('hop-by-hop fields stay on their hop, and so do those that `Connection` names', async () => {
    const upstream = await startUpstream();
    const { port } = await startForward([bound(upstream.port)]);
    const fields = [
      'Proxy-Authorization: Basic eA==',
      'Proxy-Connection: keep-alive',
      'Keep-Alive: timeout=5',
      'TE: gzip',
      'X-Hop: 1',
      'X-End: 2',
    ];
    const url = `http://127.0.0.1:${upstream.port}/`;
    await ask(
      port,
      [`GET ${url} HTTP/1.1`, `Host: 127.0.0.1:${upstream.port}`, 'Connection: X-Hop', ...fields].join('\n'),
    );
    const { headers } = upstream.requests[0]!;
    expect(headers['x-end']).toBe('2');
    for (const name of ['proxy-authorization', 'proxy-connection', 'keep-alive', 'te', 'x-hop'])
      expect(headers[name]).toBeUndefined();
  });

  test('the query arrives byte for byte, whether or not something is injected into it', async () => {
    const upstream = await startUpstream();
    const path = '/p%2Dq?z=1&a=+%2f;x&flag&&b=%7e';
    const plain = await startForward([bound(upstream.port)]);
    await through(plain.port, `http://127.0.0.1:${upstream.port}${path}`);
    const injected = await startForward([bound(upstream.port)], ["queryParams: { key: '{{ .token }}' }"]);
    await through(injected.port, `http://127.0.0.1:${upstream.port}${path}&key=mine`);
    expect(upstream.requests[0]!.url).toBe(path);
    expect(upstream.requests[1]!.url === `${path}&key=${injected.token}`).toBe(true);
  });
});

describe('`forceSSL`', () => {
  test('left out, a credential goes in clear to loopback only', async () => {
    const upstream = await startUpstream();
    const { port } = await startForward(['^http://api\\.invalid/', bound(upstream.port)]);
    expect(problemOf((await through(port, 'http://api.invalid/')).text).code).toBe('plaintext-refused');
    expect((await through(port, `http://127.0.0.1:${upstream.port}/`)).status).toBe(200);
  });

  test('written false is honoured: the name is looked up', async () => {
    const { port } = await startForward(['^http://api\\.invalid/'], ['forceSSL: false'], {
      service: ['timeouts: { connect: 2s }'],
    });
    expect(problemOf((await through(port, 'http://api.invalid/')).text).code).not.toBe('plaintext-refused');
  });

  test('written true is TLS at the port that was written, and nothing is sent where there is none', async () => {
    const upstream = await startRawUpstream((peer) => peer.untilBytes(1).then(() => peer.socket.destroy()));
    const { port } = await startForward([bound(upstream.port)], ['forceSSL: true']);
    expect((await through(port, `http://127.0.0.1:${upstream.port}/`)).status).toBe(502);
    // RFC 8446 section 5.1: a record of type handshake.
    expect(upstream.connections[0]!.content[0]).toBe(22);
  });
});

describe('streams', () => {
  test('an event stream arrives event by event', async () => {
    const upstream = await startRawUpstream(async (peer) => {
      await heads(peer, 1);
      peer.write(
        'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n',
      );
    });
    const { port } = await startApi(upstream.url);
    const client = await dial(port, get('/'));
    // The upstream writes no second event before the first was received.
    await client.until('data: 1');
    upstream.connections[0]!.write('8\r\ndata: 2\n\r\n0\r\n\r\n');
    await client.until('data: 2');
  });

  test('a WebSocket works beyond its 101', async () => {
    const upstream = await startUpstream();
    upstream.server.on('upgrade', (request, socket) => {
      const accept = createHash('sha1')
        .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
        .digest('base64');
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => socket.write(chunk));
      socket.on('end', () => socket.end());
    });
    const { port } = await startApi(`http://127.0.0.1:${upstream.port}`);
    const fields = [
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==',
    ];
    const client = await dial(port, get('/', ...fields));
    await client.until('101 ');
    client.write('echoed');
    await client.until('echoed');
    client.socket.destroy();
  });

  test('trailers are forwarded', async () => {
    const upstream = await startRawUpstream(async (peer) => {
      await heads(peer, 1);
      peer.write(
        'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n',
      );
    });
    const { port } = await startApi(upstream.url);
    const client = await dial(port, get('/', 'TE: trailers', 'Connection: close, TE'));
    expect(await client.end()).toContain('X-Sum: 7');
  });

  test('timeouts: an upstream that does not answer costs its time and no more', async () => {
    const upstream = await startRawUpstream((peer) => heads(peer, 1));
    const { port } = await startApi(upstream.url, { service: ['timeouts: { headers: 200ms }'] });
    const answer = await ask(port, 'GET /');
    expect([answer.status, problemOf(answer.text).code]).toEqual([504, 'upstream-timeout']);
  });
});

describe('a provider', () => {
  test('that fails fails that use: an answer without its words, a log line with them, and the next service works', async () => {
    const upstream = await startUpstream();
    const [one, other] = [await freePort(), await freePort()];
    const service = (name: string, variable: string, port: number) =>
      `  ${name}: { connector: generic_http, listenOn: "tcp://127.0.0.1:${port}", target: "http://127.0.0.1:${upstream.port}", credentials: { t: { from: env, get: ${variable} } }, config: { headers: { A: '{{ .t }}' } } }\n`;
    const rig = await startRig(
      `services:\n${service('broken', 'CYBERARK_UNSET', one)}${service('whole', 'CYBERARK_SET', other)}`,
      {
        CYBERARK_SET: canary(),
      },
    );
    const answer = await ask(rig.port('broken'), 'GET /');
    const problem = problemOf(answer.text);
    expect([answer.status, problem.code]).toEqual([503, 'credential-missing']);
    expect(answer.text).not.toMatch(/CYBERARK_UNSET|variable|env\b/);
    const logged = rig.log.filter((line) => JSON.stringify(line).includes(problem.id));
    expect(JSON.stringify(logged)).toContain('the variable is not set');
    expect((await ask(rig.port('whole'), 'GET /')).status).toBe(200);
    expect((await ask(rig.port('broken'), 'GET /')).status).toBe(503);
    expect(upstream.requests).toHaveLength(1);
  });

  test('of an upstream that cannot be reached: its address is not told, and the answer has a number to look up', async () => {
    const port = await freePort();
    const api = await startApi(`http://127.0.0.1:${port}`);
    const answer = await ask(api.port, 'GET /');
    expect([answer.status, problemOf(answer.text).code]).toEqual([502, 'upstream-unreachable']);
    expect(answer.text).not.toMatch(new RegExp(`${port}|ECONN|127\\.`));
    expect(JSON.stringify(api.rig.log)).toContain(problemOf(answer.text).id);
  });
});

describe('credentials', () => {
  /** One service of a connector on a real upstream; `credentials` and `config` in flow form. */
  async function serve(connector: string, credentials: string, config: string, env: Record<string, string> = {}) {
    const upstream = await startUpstream();
    const rig = await startRig(
      `services:\n  api: { connector: ${connector}, listenOn: "tcp://127.0.0.1:0", target: "http://127.0.0.1:${upstream.port}", credentials: ${credentials}, config: ${config} }\n`,
      env,
    );
    return { upstream, rig, port: rig.port('api') };
  }

  test('of a `file` lose the one line break that files end with, in a header and in a password', async () => {
    const path = join(temporaryFolder(), 'secret');
    const secret = canary();
    writeFileSync(path, `${secret}\n`);
    const header = await serve('generic_http', `{ t: { from: file, get: ${path} } }`, `{ headers: { A: '{{ .t }}' } }`);
    expect((await ask(header.port, 'GET /')).status).toBe(200);
    expect(header.upstream.requests[0]!.headers['a'] === secret).toBe(true);
    const basic = await serve('basic_auth', `{ username: u, password: { from: file, get: ${path} } }`, '{}');
    await ask(basic.port, 'GET /');
    const sent = basic.upstream.requests[0]!.headers.authorization;
    expect(sent === `Basic ${Buffer.from(`u:${secret}`).toString('base64')}`).toBe(true);
  });

  test('of a `file` with a line break inside never reach a header, and a changed file is read again', async () => {
    const path = join(temporaryFolder(), 'secret');
    writeFileSync(path, 'a\nb\n');
    const { port, upstream } = await serve(
      'generic_http',
      `{ t: { from: file, get: ${path} } }`,
      `{ headers: { A: '{{ .t }}' } }`,
    );
    expect(problemOf((await ask(port, 'GET /')).text).code).toBe('credential-unfit');
    writeFileSync(path, 'good\n');
    expect((await ask(port, 'GET /')).status).toBe(200);
    expect(upstream.requests.map(({ headers }) => headers['a'])).toEqual(['good']);
  });

  test('missing at the time of use are an error that names them in the log, never `<no value>` or `%!s(<nil>)`', async () => {
    const config = `{ headers: { A: '{{ printf "%s:%s" .t (index . (printf "%s" .which)) }}' } }`;
    const { port, upstream, rig } = await serve('generic_http', '{ t: x, which: absent }', config);
    expect((await ask(port, 'GET /')).status).toBe(503);
    expect(upstream.requests).toHaveLength(0);
    expect(JSON.stringify(rig.log)).toMatch(/header \\"A\\"/);
  });

  test('a user name with a colon is refused, not sent as another user', async () => {
    const { port, upstream } = await serve(
      'basic_auth',
      '{ username: { from: env, get: CYBERARK_USER }, password: p }',
      '{}',
      {
        CYBERARK_USER: 'root:x',
      },
    );
    expect(problemOf((await ask(port, 'GET /')).text).code).toBe('credential-unfit');
    expect(upstream.requests).toHaveLength(0);
  });

  test('of `oauth1` replace an Authorization of the caller instead of failing on it', async () => {
    const config = `{ oauth1: { consumer_key: '{{ .t }}', consumer_secret: b, token: c, token_secret: d } }`;
    const { port, upstream } = await serve('generic_http', '{ t: key }', config);
    expect((await ask(port, 'GET / HTTP/1.1\nAuthorization: Bearer mine')).status).toBe(200);
    expect(upstream.requests[0]!.headers.authorization).toMatch(/^OAuth .*oauth_consumer_key="key"/);
  });
});

describe('a Unix socket', () => {
  const yaml = (path: string, more = '') =>
    `services:\n  api: { connector: generic_http, listenOn: "unix://${path}", target: "http://127.0.0.1:1", credentials: { t: x }, config: { headers: { A: '{{ .t }}' } }${more} }\n`;

  test('replaces neither a file nor a socket that is answered', async () => {
    const folder = temporaryFolder();
    const [regular, live] = [join(folder, 'regular'), join(folder, 'live')];
    writeFileSync(regular, 'mine');
    await expect(startRig(yaml(regular))).rejects.toMatchObject({ code: 'address-unavailable' });
    expect(readFileSync(regular, 'utf8')).toBe('mine');
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(live, resolve));
    onTestFinished(() => void server.close());
    await expect(startRig(yaml(live))).rejects.toMatchObject({ code: 'address-unavailable' });
    expect(server.listening && existsSync(live)).toBe(true);
  });

  test('has the mode that is configured, 0600 where none is, whatever the umask', async () => {
    const folder = temporaryFolder();
    await startRig(yaml(join(folder, 'a')));
    await startRig(yaml(join(folder, 'b'), ', socketMode: "0660"'));
    expect(['a', 'b'].map((name) => statSync(join(folder, name)).mode & 0o777)).toEqual([0o600, 0o660]);
  });
});
