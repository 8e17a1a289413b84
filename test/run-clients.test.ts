import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { issueAuthority } from '../src/certificate/authority.ts';
import { issueServerIdentity } from '../src/certificate/server.ts';
import { canary, keepArtefact } from './canary.ts';
import { ledgerLines, runCommand } from './process-rig.ts';

/** Unmodified https clients under `secretless run`, against an origin of this machine that only the sidecar can find. */

const HOST = 'api.upstream.test';
const OTHER = 'other.upstream.test';
const SECRET = canary();
const TOKEN = canary();
const ROOT = join(import.meta.dirname, '..');

let folder: string;
let site: string;
let url: string;
let otherUrl: string;
let close: () => void;
let seen: { host: string; path: string; headers: IncomingHttpHeaders }[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sl-'));
  site = join(folder, 'site');
  mkdirSync(site);
  const authority = await issueAuthority('clients test');
  const { certificate, key } = await issueServerIdentity(authority, [HOST, OTHER]);
  const server = createServer({ cert: certificate, key }, (request, response) => {
    const path = (request.url ?? '/').replace(/\?.*/, '');
    seen.push({ host: request.headers.host ?? '', path, headers: request.headers });
    request.resume();
    const isOther = request.headers.host?.startsWith(OTHER) === true;
    if (!isOther && request.headers.authorization !== `Bearer ${SECRET}`) return void response.writeHead(401).end();
    const file = join(site, path);
    if (existsSync(file) && statSync(file).isFile()) return void response.end(readFileSync(file));
    if (existsSync(join(file, 'index'))) {
      response.setHeader('content-type', path.startsWith('/npm') ? 'application/json' : 'text/html');
      return void response.end(readFileSync(join(file, 'index')));
    }
    response.writeHead(path === '/hello' ? 200 : 404).end(path === '/hello' ? `hello over ${request.httpVersion}` : '');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  url = `https://${HOST}:${port}`;
  otherUrl = `https://${OTHER}:${port}`;
  close = () => {
    server.close();
    server.closeAllConnections();
  };
  writeFileSync(join(folder, 'authority.pem'), authority.certificate);
  writeFileSync(join(folder, 'token'), TOKEN, { mode: 0o600 });
});

afterAll(() => {
  close();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => {
  seen = [];
});

function config(more: object = {}, egress: object = {}): string {
  const service = {
    connector: 'http',
    target: url,
    tls: { ca: join(folder, 'authority.pem') },
    credentials: { token: { from: 'env', get: 'CLIENTS_SECRET' } },
    config: { headers: { Authorization: 'Bearer {{ .token }}' } },
  };
  const resolve = { [HOST]: '127.0.0.1', [OTHER]: '127.0.0.1' };
  return JSON.stringify({ version: '2', services: { api: service }, egress: { resolve, ...egress }, ...more });
}

let serial = 0;

interface Under {
  readonly text?: string;
  readonly words?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

/** The program under `run`, in a state folder of its own. */
async function under(program: readonly string[], { text = config(), words = [], env = {} }: Under = {}) {
  const state = join(folder, `s${(serial += 1)}`);
  mkdirSync(state, { mode: 0o700 });
  const file = join(state, 'secretless.yml');
  writeFileSync(file, text, { mode: 0o600 });
  const result = await runCommand(state, ['run', '-f', file, ...words, '--', ...program], {
    env: { CLIENTS_SECRET: SECRET, ...programEnvironment(), ...env },
  });
  const ledger = ledgerLines(state);
  keepArtefact('ledger', JSON.stringify(ledger));
  return { ...result, state, ledger };
}

/** What toolchains need to work at all. */
function programEnvironment(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'GOCACHE', 'GOROOT', 'JAVA_HOME', 'PYENV_ROOT'].flatMap((name) =>
    process.env[name] === undefined ? [] : [[name, process.env[name]] as const],
  );
  return {
    ...Object.fromEntries(kept),
    GOCACHE: process.env['GOCACHE'] ?? join(homedir(), '.cache/go-build'),
    GOTOOLCHAIN: 'local',
    GOFLAGS: '',
  };
}

function has(program: string, ...words: string[]): boolean {
  return spawnSync(program, words.length === 0 ? ['--version'] : words).status === 0;
}

const GO = `package main
import ("fmt"; "io"; "net/http"; "os")
func main() {
  answer, err := http.Get(os.Args[1])
  if err != nil { fmt.Println(err); os.Exit(1) }
  body, _ := io.ReadAll(answer.Body)
  fmt.Println(string(body))
}
`;

const JAVA = `import java.net.*;
import java.net.http.*;
public class Get {
  public static void main(String[] words) throws Exception {
    HttpRequest request = HttpRequest.newBuilder(URI.create(words[0])).build();
    System.out.println(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
    System.out.println(new String(new URL(words[0]).openStream().readAllBytes()));
  }
}
`;

const node = (script: string) => (to: string) => [process.execPath, '--input-type=module', '-e', script, to];
const python = (script: string) => (to: string) => ['python3', '-c', `import sys\nurl = sys.argv[1]\n${script}`, to];
const modules = (name: string) => JSON.stringify(import.meta.resolve(name));

/** Programs that print the body at a URL; what keeps one from being tried. */
const CLIENTS: readonly [name: string, program: (to: string) => readonly string[], isThere: () => boolean][] = [
  ['curl', (to) => ['curl', '-sS', to], () => has('curl')],
  ['curl over HTTP/1.1', (to) => ['curl', '-sS', '--http1.1', to], () => has('curl')],
  ['wget', (to) => ['wget', '-nv', '-O', '-', to], () => has('wget')],
  ['node fetch', node('console.log(await (await fetch(process.argv[1])).text())'), () => true],
  [
    'node https',
    node(`import { get } from 'node:https'; get(process.argv[1], (answer) => answer.pipe(process.stdout))`),
    () => true,
  ],
  [
    'axios',
    node(`import axios from ${modules('axios')}; console.log((await axios.get(process.argv[1])).data)`),
    () => true,
  ],
  ['got', node(`import got from ${modules('got')}; console.log(await got(process.argv[1]).text())`), () => true],
  [
    'undici',
    node(`import { EnvHttpProxyAgent, request } from ${modules('undici')};
      const dispatcher = new EnvHttpProxyAgent();
      console.log(await (await request(process.argv[1], { dispatcher })).body.text())`),
    () => true,
  ],
  ['python urllib', python('import urllib.request as u; print(u.urlopen(url).read().decode())'), () => has('python3')],
  [
    'python requests',
    python('import requests; print(requests.get(url).text)'),
    () => has('python3', '-c', 'import requests'),
  ],
  ['python httpx', python('import httpx; print(httpx.get(url).text)'), () => has('python3', '-c', 'import httpx')],
  [
    'python aiohttp',
    python(`import asyncio, aiohttp
async def main():
  async with aiohttp.ClientSession(trust_env=True) as session:
    async with session.get(url) as answer: print(await answer.text())
asyncio.run(main())`),
    () => has('python3', '-c', 'import aiohttp'),
  ],
  ['Go net/http', (to) => [goProgram(), to], () => has('go', 'version')],
  [
    'Java HttpClient and URL',
    (to) => ['java', javaProgram(), to],
    () => has('java', '--version') && has('javac', '--version'),
  ],
];

function goProgram(): string {
  const made = join(folder, 'get');
  if (existsSync(made)) return made;
  const source = join(folder, 'get.go');
  writeFileSync(source, GO);
  execFileSync('go', ['build', '-o', made, source], { env: { HOME: folder, ...programEnvironment() } });
  return made;
}

function javaProgram(): string {
  const source = join(folder, 'Get.java');
  writeFileSync(source, JAVA);
  return source;
}

describe.each(CLIENTS)('%s', (_, program, isThere) => {
  test('gets through with the credential under `run`, and not without', { timeout: 300_000 }, async (context) => {
    if (!isThere()) context.skip('not installed here');
    const words = program(`${url}/hello`);
    const { code, out, err, ledger } = await under(words);
    expect({ code, out, err }).toMatchObject({ code: 0, out: expect.stringMatching(/hello over/) as string });
    expect(`${out}${err}`).not.toContain(SECRET);
    expect(ledger.filter(({ type }) => type === 'decision')[0]).toMatchObject({ service: 'api', result: 'allow' });
    const [first, ...rest] = words;
    const alone = spawnSync(first!, rest, {
      env: { HOME: folder, ...programEnvironment() },
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect(alone.stdout).not.toContain('hello over');
  });
});

describe('tools', () => {
  test('git clones over https', { timeout: 60_000 }, async (context) => {
    if (!has('git')) context.skip('git is not installed');
    const work = join(folder, 'work');
    const git = (...words: string[]) =>
      execFileSync('git', ['-C', work, '-c', 'user.name=a', '-c', 'user.email=a@b.c', ...words], {
        env: { ...process.env, HOME: folder },
      });
    mkdirSync(work);
    git('init', '-q');
    writeFileSync(join(work, 'file'), 'cloned');
    git('add', '.');
    git('commit', '-qm', 'one');
    execFileSync('git', ['clone', '-q', '--bare', work, join(site, 'repo.git')], {
      env: { ...process.env, HOME: folder },
    });
    execFileSync('git', ['-C', join(site, 'repo.git'), 'update-server-info']);
    const into = join(folder, 'cloned');
    const { code, err } = await under(['git', 'clone', '-q', `${url}/repo.git`, into]);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(readFileSync(join(into, 'file'), 'utf8')).toBe('cloned');
  });

  test('pip downloads a wheel', { timeout: 60_000 }, async (context) => {
    if (!has('pip')) context.skip('pip is not installed');
    const wheel = 'held_by_us-1.0-py3-none-any.whl';
    const made = join(site, 'wheels', wheel);
    mkdirSync(join(site, 'simple/held-by-us'), { recursive: true });
    mkdirSync(dirname(made));
    const metadata = 'Metadata-Version: 2.1\nName: held-by-us\nVersion: 1.0\n';
    const script = `import sys, zipfile
with zipfile.ZipFile(sys.argv[1], 'w') as z:
  z.writestr('held_by_us-1.0.dist-info/METADATA', sys.argv[2])
  z.writestr('held_by_us-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
  z.writestr('held_by_us-1.0.dist-info/RECORD', '')`;
    execFileSync('python3', ['-c', script, made, metadata]);
    writeFileSync(join(site, 'simple/held-by-us/index'), `<a href="/wheels/${wheel}">${wheel}</a>`);
    const into = join(folder, 'downloaded');
    const words = [
      '--no-deps',
      '--no-cache-dir',
      '--disable-pip-version-check',
      '--index-url',
      `${url}/simple/`,
      '-d',
      into,
    ];
    const { code, out } = await under(['pip', 'download', ...words, 'held-by-us']);
    expect([code, out]).toEqual([0, expect.stringContaining('Successfully downloaded')]);
    expect(existsSync(join(into, wheel))).toBe(true);
  });

  test('npm views a package', { timeout: 60_000 }, async (context) => {
    if (!has('npm')) context.skip('npm is not installed');
    mkdirSync(join(site, 'npm/held-by-us'), { recursive: true });
    const version = { name: 'held-by-us', version: '1.0.0', description: 'a package' };
    const document = { name: 'held-by-us', 'dist-tags': { latest: '1.0.0' }, versions: { '1.0.0': version } };
    writeFileSync(join(site, 'npm/held-by-us/index'), JSON.stringify(document));
    const words = [
      'view',
      'held-by-us',
      'description',
      '--registry',
      `${url}/npm/`,
      '--cache',
      join(folder, 'npm-cache'),
    ];
    const { code, out } = await under(['npm', ...words]);
    expect([code, out]).toEqual([0, 'a package\n']);
  });
});

describe('origins', () => {
  const trusting = (): NodeJS.ProcessEnv => ({ SSL_CERT_FILE: join(folder, 'authority.pem') });
  const curl = (to: string): string[] => ['curl', '-sS', to];

  test('that have no service are refused, and the program hears why', async () => {
    const { code, out, err, ledger } = await under(['curl', '-sS', '-v', `${otherUrl}/hello`], { env: trusting() });
    expect([code, out]).toEqual([56, '']);
    expect(err).toContain('403');
    expect(seen).toEqual([]);
    expect(ledger.find(({ type }) => type === 'decision')).toMatchObject({ service: '-', result: 'deny' });
  });

  test('that are allowed pass untouched, without a credential, with their own certificate', async () => {
    // An authority that the operator trusts is in the bundle of the program beside ours.
    const text = config({}, { allow: [otherUrl], reach: { addresses: ['127.0.0.0/8'] } });
    const { code, out } = await under(curl(`${otherUrl}/hello`), { text, env: trusting() });
    expect([code, out]).toEqual([0, 'hello over 1.1']);
    expect(seen.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });
});

describe('the token of an agent', () => {
  const agents = { scanner: { token: { from: 'file', get: '' } } };
  const text = (): string =>
    config({ agents: { scanner: { token: { ...agents.scanner.token, get: join(folder, 'token') } } } });

  test('is shown for the program that is its, and leaves the machine by no request', async () => {
    for (const program of [
      ['curl', '-sS', `${url}/hello`],
      node('console.log(await (await fetch(process.argv[1])).text())')(`${url}/hello`),
    ]) {
      const { code, out, ledger } = await under(program, { text: text(), words: ['--agent', 'scanner'] });
      expect([code, out]).toEqual([0, expect.stringContaining('hello over')]);
      expect(ledger.find(({ type }) => type === 'decision')).toMatchObject({
        principal: { agent: 'scanner', attested: 'token' },
      });
    }
    expect(seen.length).toBeGreaterThan(1);
    expect(JSON.stringify(seen).includes(TOKEN)).toBe(false);
    expect(JSON.stringify(seen)).not.toContain('proxy-authorization');
  });

  test('is asked for where nobody says whose program it is', async () => {
    const { code, out, err } = await under(['echo', 'started'], { text: text() });
    expect([code, out]).toEqual([78, '']);
    expect(err).toContain('--agent scanner');
    expect(err).not.toContain(TOKEN);
  });

  test('is not in what Java prints when it starts', async (context) => {
    if (!has('java', '--version')) context.skip('no Java here');
    const { err } = await under(['java', '--version'], { text: text(), words: ['--agent', 'scanner'] });
    expect(err).toContain('Picked up JAVA_TOOL_OPTIONS');
    expect(err).not.toContain(TOKEN);
  });
});

test('`env` beside a running sidecar leads a shell there too', async () => {
  const script = 'eval "$("$0" --conditions=secretless-source "$1" env)" && curl -sS "$2"';
  const words = [process.execPath, join(ROOT, 'src/cli/secretless.ts'), `${url}/hello`];
  const without = ['env', '-u', 'CURL_CA_BUNDLE', '-u', 'SSL_CERT_FILE'];
  const { code, out, err } = await under([...without, 'sh', '-c', script, ...words]);
  expect({ code, out, err }).toEqual({ code: 0, out: expect.stringContaining('hello over') as string, err: '' });
});
