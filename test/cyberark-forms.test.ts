import { createHmac } from 'node:crypto';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { connectors, loadOrRefuse, storesOf } from '../src/main.ts';
import { Sidecar } from '../src/sidecar/sidecar.ts';
import { openLog } from '../src/telemetry/log.ts';
import { openMetrics } from '../src/telemetry/metrics.ts';
import { canary, keepArtefact } from './canary.ts';
import { freePort } from '../src/cli/demo/ports.ts';
import { check, form, FORMS, loaded, placed, setEnvironment } from './cyberark-kit.ts';
import { ask, startRig, startUpstream, temporaryFolder } from './rig.ts';

/*
 * The forms that files of CyberArk Secretless Broker come in, one to ten, unchanged through `secretless check`; those
 * whose connectors are in this build also at work. To run on one machine they are given places on loopback and, where
 * they say `forceSSL: true`, the authority of the test's own upstream.
 */

describe.each(FORMS)('form %s', (name) => {
  const text = form(name);

  test('is good to `check --grammar`', async () => {
    const { code, err } = await check(text, '--grammar');
    expect(err).not.toContain(': error: ');
    expect(code).toBe(0);
  });

  test('has no other error in this build than a part that this build lacks', async () => {
    const { code, out } = await check(text, '--json');
    const { ok, problems } = JSON.parse(out) as { ok: boolean; problems: { severity: string; kind?: string }[] };
    const errors = problems.filter(({ severity }) => severity === 'error');
    expect(errors.filter(({ kind }) => kind !== 'not-in-build')).toEqual([]);
    expect(ok).toBe(errors.length === 0);
    expect(code).toBe(ok ? 0 : 78);
    expect(ok).toBe(['e1', 'e4', 'e5', 'e6', 'e7', 'e8', 'e9', 'e10'].includes(name));
  });

  test('loads again from `check --print`, and is then the same', async () => {
    const first = (await check(text, '--grammar', '--print')).out;
    const again = await check(first, '--grammar', '--print');
    expect([again.code, again.out]).toEqual([0, first]);
    const [one, other] = [loaded(text).config, loaded(first).config];
    expect(withoutLiterals(other)).toEqual(withoutLiterals(one));
    expect(Object.keys((parse(first) as { services: object }).services).length).toBeGreaterThan(0);
  });
});

/** Values in the file are masked in a print; all else must be the same. Folders differ by file. */
function withoutLiterals(config: ReturnType<typeof loaded>['config']) {
  return config?.services.map((service) => ({
    ...service,
    credentials: Object.entries(service.credentials).map(([name, { from, get }]) => [
      name,
      from,
      from === 'literal' ? '' : get,
    ]),
  }));
}

const tls = join(import.meta.dirname, 'testdata', 'tls');
const authority = `tls: { ca: ${join(tls, 'ca.pem')} }`;

/** An https upstream on 127.0.0.1, and what it was asked. */
async function startTlsUpstream() {
  const requests: IncomingMessage[] = [];
  const options = { key: readFileSync(join(tls, 'local.key')), cert: readFileSync(join(tls, 'local.pem')) };
  const server = createServer(options, (request, response) => {
    requests.push(request);
    response.end('hello');
  });
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port));
  });
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { port, requests };
}

/** An absolute-form GET, as a client with `http_proxy` sends it. */
async function through(port: number, url: string): Promise<number> {
  return (await ask(port, `GET ${url} HTTP/1.1\nHost: ${new URL(url).host}`)).status;
}

const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

describe('at work', () => {
  test('e4: two headers, one through printf and base64, validated, upgraded to https', async () => {
    const upstream = await startTlsUpstream();
    const key = canary();
    const yaml = placed(form('e4'), {
      'tcp://127.0.0.1:8081': 'tcp://127.0.0.1:0',
      '    credentials:': `    ${authority}\n    credentials:`,
      'api\\.example\\.com': `127\\.0\\.0\\.1:${upstream.port}`,
    });
    const rig = await startRig(yaml, { API_KEY: key });
    expect(await through(rig.port('api'), `http://127.0.0.1:${upstream.port}/v1`)).toBe(200);
    const { headers } = upstream.requests[0]!;
    expect(headers['x-api-key'] === key).toBe(true);
    expect(headers['x-ident'] === Buffer.from(`acme/${key}`).toString('base64')).toBe(true);
  });

  test('e4: a credential that does not fit its validation is not sent, and the pattern is not told', async () => {
    const upstream = await startTlsUpstream();
    const yaml = placed(form('e4'), {
      'tcp://127.0.0.1:8081': 'tcp://127.0.0.1:0',
      '    credentials:': `    ${authority}\n    credentials:`,
      'api\\.example\\.com': `127\\.0\\.0\\.1:${upstream.port}`,
    });
    const rig = await startRig(yaml, { API_KEY: 'too-short' });
    expect(await through(rig.port('api'), `http://127.0.0.1:${upstream.port}/v1`)).toBe(503);
    expect(upstream.requests).toHaveLength(0);
  });

  test('e5: a key from the keychain in the query, at a host that the pattern leaves half open', async () => {
    const upstream = await startTlsUpstream();
    const key = canary();
    const folder = temporaryFolder();
    // The keychain's own tool is stood in for; all else is real.
    for (const tool of ['secret-tool', 'security']) {
      writeFileSync(
        join(folder, tool),
        `#!/bin/sh\ncase "$*" in *maps*api-key*) printf %s '${key}';; *) exit 1;; esac\n`,
      );
      chmodSync(join(folder, tool), 0o755);
    }
    setEnvironment({ PATH: `${folder}${delimiter}${process.env['PATH']}` });
    const yaml = placed(form('e5'), {
      'tcp://127.0.0.1:8082': 'tcp://127.0.0.1:0',
      '    credentials:': `    ${authority}\n    credentials:`,
      '^http://maps\\.': '^http://127\\.',
    });
    const rig = await startRig(yaml);
    const path = '/map?b=%7e&a=1&&flag';
    expect(await through(rig.port('maps'), `http://127.0.0.1:${upstream.port}${path}`)).toBe(200);
    expect(upstream.requests[0]!.url === `${path}&key=${key}`).toBe(true);
  });

  test('e6: an OAuth 1.0a signature over what the upstream sees', async () => {
    const upstream = await startTlsUpstream();
    const env = { CK: canary(), CS: canary(), T: canary(), TS: canary() };
    const yaml = placed(form('e6'), {
      'tcp://127.0.0.1:8083': 'tcp://127.0.0.1:0',
      '    credentials:': `    ${authority}\n    credentials:`,
    });
    const rig = await startRig(yaml, env);
    expect(await through(rig.port('oa1'), `http://127.0.0.1:${upstream.port}/r?b=2`)).toBe(200);
    const field = upstream.requests[0]!.headers.authorization!;
    const sent = Object.fromEntries([...field.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name!, value!]));
    const { oauth_signature: signature, ...signed } = sent;
    expect(signed['oauth_consumer_key'] === env.CK && signed['oauth_token'] === env.T).toBe(true);
    expect([signed['oauth_signature_method'], signed['oauth_version']]).toEqual(['HMAC-SHA1', '1.0']);
    // RFC 5849 section 3.4.1, for values that need no encoding.
    const parameters = Object.entries({ b: '2', ...signed })
      .map(([name, value]) => `${name}=${value}`)
      .sort()
      .join('&');
    const base = ['GET', `https://127.0.0.1:${upstream.port}/r`, parameters].map(encodeURIComponent).join('&');
    const expected = createHmac('sha1', `${env.CS}&${env.TS}`).update(base).digest('base64');
    expect(decodeURIComponent(signature!) === expected).toBe(true);
  });

  test('e7: two services on one port each take what they match, and what neither does is refused', async () => {
    const [internal, github, port] = [await startUpstream(), await startTlsUpstream(), await freePort()];
    const [password, token] = [canary(), canary()];
    const yaml = placed(form('e7'), {
      'tcp://0.0.0.0:8080': `tcp://127.0.0.1:${port}`,
      'int\\.': `127\\.0\\.0\\.1:${internal.port}/`,
      'api\\.github\\.com': `127\\.0\\.0\\.1:${github.port}`,
      'password: p }': `password: ${password} }`,
      'credentials: { t:': `${authority},\n      credentials: { t:`,
    });
    await startRig(yaml, { GH: token });
    expect(await through(port, `http://127.0.0.1:${internal.port}/a`)).toBe(200);
    expect(await through(port, `http://127.0.0.1:${github.port}/user`)).toBe(200);
    expect(internal.requests[0]!.headers.authorization === basic('u', password)).toBe(true);
    expect(github.requests[0]!.headers.authorization === `token ${token}`).toBe(true);
    const stranger = await startUpstream();
    expect(await through(port, `http://127.0.0.1:${stranger.port}/`)).toBe(403);
    expect(stranger.requests).toHaveLength(0);
  });

  test('e10: the same from a version 1 file', async () => {
    const [internal, port] = [await startUpstream(), await freePort()];
    const password = canary();
    const folder = temporaryFolder();
    const file = join(folder, 'secretless.yml');
    const yaml = placed(form('e10'), {
      '0.0.0.0:8080': `127.0.0.1:${port}`,
      'int\\.': `127\\.0\\.0\\.1:${internal.port}/`,
      'id: p }': `id: ${password} }`,
    });
    writeFileSync(file, yaml);
    await startVersion1(file, folder);
    expect(await through(port, `http://127.0.0.1:${internal.port}/a`)).toBe(200);
    expect(internal.requests[0]!.headers.authorization === basic('u', password)).toBe(true);
  });
});

/** The product on a file as it is; only the telemetry port, which version 1 cannot set, is another one. */
async function startVersion1(file: string, folder: string): Promise<void> {
  const sidecar = await Sidecar.start({
    version: '0',
    file,
    stateFolder: folder,
    load: () => ({
      ...loadOrRefuse(file, { HOME: folder, SECRETLESS_HOME: folder }, () => undefined),
      telemetry: { listenOn: undefined, log: { level: 'info' } },
    }),
    connectors,
    openStores: storesOf,
    log: openLog({ level: 'debug', stream: { write: (line: string) => keepArtefact('log', line) } }),
    metrics: openMetrics({ version: '0' }),
    onStopRequested: () => undefined,
  });
  onTestFinished(() => sidecar.drain());
}
