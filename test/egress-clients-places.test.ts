import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { issueAuthority } from '../src/certificate/authority.ts';
import { canary } from './canary.ts';
import { helloAnswer, startOrigin, type Origin } from './egress/origins.ts';
import { missing, nodeProgram, python } from './egress/programs.ts';
import { runProgram, useShell } from './egress/shell.ts';

/** One origin as clients write it: with the port that everybody leaves out, in capitals, as a literal, on this machine. */

const SECRET = canary();
/** Nothing else of this machine is likely to be on port 443 of it. */
const HTTPS = { address: '127.0.0.77', port: 443 };
const folder = mkdtempSync(join(tmpdir(), 'sl-'));
const authorityFile = join(folder, 'authority.pem');
const origins: Partial<Record<'https' | 'first' | 'sixth', Origin>> = {};

async function canListen(address: string, port: number): Promise<boolean> {
  const server = createServer();
  const listens = once(server.listen(port, address), 'listening').then(
    () => true,
    () => false,
  );
  if (!(await listens)) return false;
  server.close();
  return true;
}

beforeAll(async () => {
  const issuer = await issueAuthority('authority of the origins');
  writeFileSync(authorityFile, issuer.certificate);
  const common = { issuer, credential: `Bearer ${SECRET}`, answer: helloAnswer };
  origins.first = await startOrigin({ ...common, host: ['127.0.0.1', 'localhost'] });
  if (await canListen('::1', 0))
    origins.sixth = await startOrigin({ ...common, host: ['::1'], at: { address: '::1', port: 0 } });
  if (await canListen(HTTPS.address, HTTPS.port))
    origins.https = await startOrigin({ ...common, host: ['api.example.test'], at: HTTPS });
}, 60_000);

afterAll(() => {
  for (const origin of Object.values(origins)) origin.close();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => {
  for (const { seen } of Object.values(origins)) seen.splice(0);
});

const shell = useShell(() => {
  const service = (target: string) => ({
    connector: 'http',
    target,
    tls: { ca: authorityFile },
    credentials: { token: { from: 'env', get: 'S_TOKEN' } },
    config: { headers: { Authorization: 'Bearer {{ .token }}' } },
  });
  const services = {
    api: service('https://api.example.test'),
    literal: service(`https://127.0.0.1:${origins.first!.port}`),
    local: service(`https://localhost:${origins.first!.port}`),
    sixth: service(`https://[::1]:${origins.sixth?.port ?? 1}`),
  };
  const egress = { resolve: { 'api.example.test': HTTPS.address } };
  return { text: JSON.stringify({ version: '2', services, egress }), env: { S_TOKEN: SECRET } };
});

const PLACES: Readonly<Record<string, readonly [of: keyof typeof origins, url: () => string]>> = {
  'a name without a port': ['https', () => 'https://api.example.test/hello'],
  'a name with port 443': ['https', () => 'https://api.example.test:443/hello'],
  'a name in capitals': ['https', () => 'https://API.Example.TEST/hello'],
  'an IPv4 literal': ['first', () => `https://127.0.0.1:${origins.first!.port}/hello`],
  'an IPv6 literal': ['sixth', () => `https://[::1]:${origins.sixth!.port}/hello`],
  localhost: ['first', () => `https://localhost:${origins.first!.port}/hello`],
};

const REQUESTS = spawnSync('python3', ['-c', 'import requests']).status === 0;
/** Before its version 2 urllib3, which requests calls, leaves the brackets of a literal out. */
const OLD_URLLIB3 =
  spawnSync('python3', ['-c', 'import urllib3; assert int(urllib3.__version__.split(".")[0]) >= 2']).status !== 0;
const CLIENTS: Readonly<Record<string, (url: string) => readonly string[]>> = {
  'curl over HTTP/2': (url) => ['curl', '-sS', '--http2', url],
  'curl over HTTP/1.1': (url) => ['curl', '-sS', '--http1.1', url],
  'node fetch': (url) => nodeProgram('console.log(await (await fetch(process.argv[1])).text())', url),
  'python urllib': (url) => python('python3', 'import urllib.request as u; print(u.urlopen(url).read().decode())', url),
  ...(REQUESTS
    ? { 'python requests': (url: string) => python('python3', 'import requests; print(requests.get(url).text)', url) }
    : {}),
};

describe.each(Object.entries(PLACES))('%s', (_, [of, url]) => {
  test.for(Object.entries(CLIENTS))('is found by %s, and has the credential', async ([client, words], context) => {
    const reason = client.startsWith('python') ? missing('python3') : undefined;
    if (reason !== undefined) context.skip(reason);
    if (of === 'sixth' && (client === 'python urllib' || (client === 'python requests' && OLD_URLLIB3)))
      context.skip('writes CONNECT ::1:443, without brackets');
    const origin = origins[of] ?? context.skip('no such address can be listened on here');
    const ran = await runProgram(words(url()), { env: { ...shell().env }, cwd: folder });
    expect(ran).toMatchObject({ code: 0, out: expect.stringContaining('hello over') as string });
    expect(origin.seen.map(({ credentials }) => credentials.map((one) => one === `Bearer ${SECRET}`))).toEqual([
      [true],
    ]);
  });
});

test('a name with a dot at its end is another one, which has no service', async () => {
  const words = ['curl', '-sS', 'https://api.example.test./hello'];
  const { code, err } = await runProgram(words, { env: { ...shell().env }, cwd: folder });
  expect([code, err]).toEqual([56, expect.stringContaining('400')]);
});
