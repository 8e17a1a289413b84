import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { issueAuthority } from '../src/certificate/authority.ts';
import { canary } from './canary.ts';
import { startVerifyingServer, type VerifyingServer } from './aws/verifying-server.ts';
import { gitAnswer } from './egress/git-origin.ts';
import { startGrpcOrigin } from './egress/grpc-origin.ts';
import { helloAnswer, startOrigin, startTlsBefore, type Origin, type Seen } from './egress/origins.ts';
import {
  AIOHTTP_CLIENT,
  bareRepository,
  GRPC_CLIENT,
  missing,
  nodeProgram,
  npmPackage,
  python,
  pythonWith,
  WEBSOCKET_CLIENT,
  WS_CLIENT,
} from './egress/programs.ts';
import { runProgram, useShell, type Ran } from './egress/shell.ts';

/**
 * Clients as they are installed, in a shell under `secretless run`: with its environment alone they are authenticated. In
 * the same shell without the variables that make them trust the sidecar they refuse; without the sidecar, straight to an
 * origin that they find and trust, they get 401.
 */

const SECRET = canary();
const WORD = canary();
const AWS = { accessKeyId: 'AKIAREALONE', secretAccessKey: canary('/+='), sessionToken: canary('/+=') };
const TOKEN = canary();
const CANARIES = [SECRET, WORD, TOKEN, AWS.secretAccessKey, AWS.sessionToken];
const HOST = { api: 'api.example.test', git: 'git.example.test', grpc: 'grpc.example.test', s3: 's3.example.test' };
const BASIC = `Basic ${Buffer.from(`robot:${WORD}`).toString('base64')}`;
const MIB = 1024 * 1024;

const folder = mkdtempSync(join(tmpdir(), 'sl-'));
const authorityFile = join(folder, 'authority.pem');
const hosts = join(folder, 'hosts');
const wgetrc = join(folder, 'wgetrc');
const files = { small: join(folder, 'small'), large: join(folder, 'large') };
const origins: Origin[] = [];
let urls: { readonly [Name in keyof typeof HOST]: string };
let aws: VerifyingServer;

beforeAll(async () => {
  const issuer = await issueAuthority('authority of the origins');
  writeFileSync(authorityFile, issuer.certificate);
  writeFileSync(wgetrc, `ca_certificate = ${authorityFile}\n`);
  writeFileSync(
    hosts,
    Object.values(HOST)
      .map((name) => `127.0.0.1 ${name}\n`)
      .join(''),
  );
  writeFileSync(files.small, randomBytes(MIB));
  writeFileSync(files.large, randomBytes(20 * MIB));
  mkdirSync(join(folder, 'repositories'));
  bareRepository(join(folder, 'repositories'), 'repo.git');
  const npm = {} as { package: ReturnType<typeof npmPackage> };
  const api = await startOrigin({
    issuer,
    host: HOST.api,
    credential: `Bearer ${SECRET}`,
    answer: (request, response, path) => {
      if (path === '/held-by-us') response.end(npm.package.document);
      else if (path.endsWith('.tgz')) response.end(readFileSync(npm.package.tarball));
      else helloAnswer(request, response, path);
    },
  });
  const git = await startOrigin({
    issuer,
    host: HOST.git,
    credential: BASIC,
    answer: gitAnswer(join(folder, 'repositories')),
  });
  const grpc = await startGrpcOrigin(issuer, HOST.grpc, `Bearer ${SECRET}`);
  aws = await startVerifyingServer({ accounts: [AWS], region: 'eu-central-1', buckets: ['ours'] });
  const s3 = await startTlsBefore(issuer, HOST.s3, aws.port);
  origins.push(api, git, grpc, { ...s3, seen: [] });
  urls = {
    api: `https://${HOST.api}:${api.port}`,
    git: `https://${HOST.git}:${git.port}`,
    grpc: `https://${HOST.grpc}:${grpc.port}`,
    s3: `https://${HOST.s3}:${s3.port}`,
  };
  npm.package = npmPackage(folder, urls.api);
}, 60_000);

afterAll(async () => {
  for (const origin of origins) origin.close();
  await aws.close();
  rmSync(folder, { recursive: true, force: true });
});

const shell = useShell(() => {
  const from = (get: string) => ({ from: 'env', get });
  const tls = { ca: authorityFile };
  const bearer = {
    connector: 'http',
    tls,
    credentials: { token: from('S_TOKEN') },
    config: { headers: { Authorization: 'Bearer {{ .token }}' } },
  };
  const key = { accessKeyId: AWS.accessKeyId, secretAccessKey: from('S_KEY'), sessionToken: from('S_SESSION') };
  const services = {
    api: { ...bearer, target: urls.api },
    grpc: { ...bearer, target: urls.grpc },
    git: {
      connector: 'basic-auth',
      tls,
      target: urls.git,
      credentials: { username: 'robot', password: from('S_WORD') },
    },
    s3: { connector: 'aws', tls, target: urls.s3, credentials: key, config: { service: 's3', region: aws.region } },
  };
  const resolve = Object.fromEntries(Object.values(HOST).map((name) => [name, '127.0.0.1']));
  const agents = { scanner: { token: from('S_AGENT') } };
  return {
    text: JSON.stringify({ version: '2', services, agents, egress: { agent: 'local', resolve } }),
    env: {
      S_TOKEN: SECRET,
      S_WORD: WORD,
      S_KEY: AWS.secretAccessKey,
      S_SESSION: AWS.sessionToken,
      S_AGENT: TOKEN,
      GOCACHE: join(process.env['HOME'] ?? folder, '.cache/go-build'),
    },
  };
});

beforeEach(() => {
  for (const { seen } of origins) seen.splice(0);
  aws?.requests.splice(0);
});

const seen = (): Seen[] => origins.flatMap((origin) => origin.seen);
const decisions = () =>
  shell()
    .ledger()
    .filter(({ type }) => type === 'decision');

interface Client {
  readonly words: () => readonly string[];
  /** The variables of `run` that make it trust the sidecar: it takes the first of them that is set. */
  readonly trustedBy: readonly string[];
  /** In what it prints, where it got through. */
  readonly prints: RegExp;
  readonly service?: keyof typeof HOST;
  /** Why it cannot be tried here. */
  readonly missing?: () => string | undefined;
  readonly input?: () => string;
  /** Of the environment that leads it straight to the origin. */
  readonly alone?: Readonly<Record<string, string>>;
  /** True where it finds the origin by the proxy alone. */
  readonly needsProxy?: boolean;
}

let serial = 0;
const freshFolder = (): string => {
  const made = join(folder, `f${(serial += 1)}`);
  mkdirSync(made);
  return made;
};
const hashed = (file: string): RegExp => new RegExp(createHash('sha256').update(readFileSync(file)).digest('hex'));
const grpcTarget = (): string => urls.grpc.replace('https://', 'dns:');
const webSocketUrl = (): string => urls.api.replace('https:', 'wss:');
const curlTrust = ['CURL_CA_BUNDLE', 'SSL_CERT_FILE'];
let venv: ReturnType<typeof pythonWith> | undefined;
const venvProgram = (): string => ('program' in venv! ? venv.program : '');
const venvMissing = (): string | undefined => {
  const none = missing('python3');
  if (none !== undefined) return none;
  venv ??= pythonWith('httpx', 'aiohttp');
  return 'reason' in venv ? venv.reason : undefined;
};

const CLIENTS: Readonly<Record<string, Client>> = {
  'curl over HTTP/2': {
    words: () => ['curl', '-sS', '--http2', `${urls.api}/hello`],
    trustedBy: curlTrust,
    prints: /^hello over 2\.0$/,
  },
  'curl with a body that waits for 100 Continue': {
    words: () => [
      'curl',
      '-fsSv',
      '--http1.1',
      '-H',
      'Expect: 100-continue',
      '--data-binary',
      `@${files.small}`,
      urls.api,
    ],
    trustedBy: curlTrust,
    prints: /^< HTTP\/1\.1 100 Continue/m,
  },
  wget: {
    words: () => ['wget', '-nv', '-O', '-', `${urls.api}/hello`],
    trustedBy: ['WGETRC'],
    prints: /hello over 1\.1/,
    missing: () => missing('wget'),
    alone: { WGETRC: wgetrc },
  },
  'git clone': {
    words: () => ['git', 'clone', `${urls.git}/repo.git`, join(freshFolder(), 'cloned')],
    trustedBy: ['GIT_SSL_CAINFO'],
    prints: /Cloning into .*cloned/,
    service: 'git',
    missing: () => missing('git'),
  },
  'npm install': {
    words: () => {
      const place = freshFolder();
      const more = ['--no-audit', '--no-fund', '--no-update-notifier', '--fetch-retries=0'];
      return [
        'npm',
        'install',
        'held-by-us',
        '--registry',
        urls.api,
        '--cache',
        join(place, 'cache'),
        '--prefix',
        place,
        ...more,
      ];
    },
    trustedBy: ['npm_config_cafile', 'NODE_EXTRA_CA_CERTS'],
    prints: /added 1 package/,
    missing: () => missing('npm'),
  },
  'node fetch': {
    words: () => nodeProgram('console.log(await (await fetch(process.argv[1])).text())', `${urls.api}/hello`),
    trustedBy: ['NODE_EXTRA_CA_CERTS'],
    prints: /^hello over/,
  },
  '@grpc/grpc-js': {
    words: () => nodeProgram(GRPC_CLIENT, grpcTarget()),
    trustedBy: ['GRPC_DEFAULT_SSL_ROOTS_FILE_PATH', 'NODE_EXTRA_CA_CERTS'],
    prints: /^hello over gRPC ping 123$/m,
    service: 'grpc',
  },
  'WebSocket of Node': {
    words: () => nodeProgram(WEBSOCKET_CLIENT, webSocketUrl()),
    trustedBy: ['NODE_EXTRA_CA_CERTS'],
    prints: /^you said hello$/m,
  },
  // Left alone it opens its connections past every agent.
  'ws with the agent of node:https': {
    words: () => nodeProgram(WS_CLIENT, webSocketUrl(), 'agent'),
    trustedBy: ['NODE_EXTRA_CA_CERTS'],
    prints: /^you said hello$/m,
  },
  'python urllib': {
    words: () =>
      python('python3', 'import urllib.request as u; print(u.urlopen(url).read().decode())', `${urls.api}/hello`),
    trustedBy: ['SSL_CERT_FILE'],
    prints: /^hello over 1\.1$/m,
    missing: () => missing('python3'),
  },
  'python requests': {
    words: () => python('python3', 'import requests; print(requests.get(url).text)', `${urls.api}/hello`),
    trustedBy: ['REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'],
    prints: /^hello over 1\.1$/m,
    missing: () => missing('python3', '-c', 'import requests'),
  },
  'python httpx': {
    words: () => python(venvProgram(), 'import httpx; print(httpx.get(url).text)', `${urls.api}/hello`),
    trustedBy: ['SSL_CERT_FILE'],
    prints: /^hello over 1\.1$/m,
    missing: venvMissing,
  },
  'python aiohttp with trust_env': {
    words: () => python(venvProgram(), AIOHTTP_CLIENT, `${urls.api}/hello`),
    trustedBy: ['SSL_CERT_FILE'],
    prints: /^hello over 1\.1$/m,
    missing: venvMissing,
  },
  'aws s3api': {
    words: () => ['aws', 's3api', 'list-buckets', '--endpoint-url', urls.s3, '--output', 'json'],
    trustedBy: ['AWS_CA_BUNDLE', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'],
    prints: /"Name": "ours"/,
    service: 's3',
    missing: () => missing('aws'),
    alone: { AWS_ACCESS_KEY_ID: 'AKIAMADEUP', AWS_SECRET_ACCESS_KEY: 'made-up', AWS_DEFAULT_REGION: 'eu-central-1' },
  },
  'openssl s_client': {
    words: () => {
      const to = urls.api.replace('https://', '');
      const verified = ['-servername', HOST.api, '-verify_return_error', '-verify_hostname', HOST.api];
      return [
        'openssl',
        's_client',
        '-quiet',
        '-ign_eof',
        '-proxy',
        `127.0.0.1:${shell().port}`,
        '-connect',
        to,
        ...verified,
      ];
    },
    trustedBy: ['SSL_CERT_FILE'],
    prints: /hello over 1\.1/,
    missing: () => missing('openssl', 'version'),
    input: () => `GET /hello HTTP/1.1\r\nHost: ${urls.api.replace('https://', '')}\r\nConnection: close\r\n\r\n`,
    needsProxy: true,
  },
};

/** A refusal is not tried again. */
const QUICK = { AWS_MAX_ATTEMPTS: '1' };

/** What toolchains need to work at all. */
function bare(home: string): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    HOME: home,
    GIT_TERMINAL_PROMPT: '0',
    AWS_EC2_METADATA_DISABLED: 'true',
    ...QUICK,
  };
}

function inShell(without: readonly string[] = []): NodeJS.ProcessEnv {
  const left = Object.entries(shell().env).filter(([name]) => !without.includes(name));
  return { ...Object.fromEntries(left), GIT_TERMINAL_PROMPT: '0', ...QUICK };
}

function run(client: Client, env: NodeJS.ProcessEnv, wrapper: readonly string[] = []): Promise<Ran> {
  const input = client.input?.();
  const options = { env, cwd: freshFolder(), ...(input === undefined ? {} : { input }) };
  return runProgram([...wrapper, ...client.words()], options);
}

/** Runs a program where the names of the origins lead to them: in a mount namespace of its own. */
const WITH_HOSTS = ['unshare', '-rm', 'sh', '-c', 'mount --bind "$0" /etc/hosts && exec "$@"', hosts];
const hasNamespaces = spawnSync('unshare', ['-rm', 'sh', '-c', `mount --bind /etc/passwd /etc/hosts`]).status === 0;

function expectNoSecret({ out, err }: Ran): void {
  for (const secret of CANARIES) expect(`${out}${err}`.includes(secret)).toBe(false);
}

test('the shell holds no secret of the sidecar', () => {
  const given = JSON.stringify(shell().env);
  for (const secret of CANARIES) expect(given.includes(secret)).toBe(false);
});

describe.each(Object.entries(CLIENTS))('%s', (_, client) => {
  const { trustedBy, prints, service = 'api', missing: whatIsMissing, alone = {}, needsProxy = false } = client;

  test('is authenticated with the environment of the shell alone', { timeout: 240_000 }, async (context) => {
    const reason = whatIsMissing?.();
    if (reason !== undefined) context.skip(reason);
    const before = decisions().length;
    const ran = await run(client, inShell());
    const { code, out, err } = ran;
    expect({ code, out, err, printed: prints.test(`${out}${err}`) }).toMatchObject({ code: 0, printed: true });
    expectNoSecret(ran);
    expectOneCredentialEach(service);
    const uses = decisions().slice(before);
    expect(uses.length).toBeGreaterThan(0);
    for (const use of uses) expect(use).toMatchObject({ service, result: 'allow', principal: { agent: 'local' } });
  });

  test(`refuses the sidecar without ${trustedBy.join(' and ')}`, { timeout: 120_000 }, async (context) => {
    const reason = whatIsMissing?.();
    if (reason !== undefined) context.skip(reason);
    const before = decisions().length;
    const { code, out, err } = await run(client, inShell(trustedBy));
    expect({ code, out: out.slice(0, 500), err: err.slice(0, 500) }).not.toMatchObject({ code: 0 });
    expect([...seen(), ...aws.requests]).toEqual([]);
    expect(decisions().slice(before)).toEqual([]);
  });

  test.skipIf(needsProxy)('gets nothing without the sidecar', { timeout: 120_000 }, async (context) => {
    const reason = whatIsMissing?.() ?? (hasNamespaces ? undefined : 'no mount namespaces here');
    if (reason !== undefined) context.skip(reason);
    const trust = Object.fromEntries(trustedBy.map((name) => [name, authorityFile]));
    const ran = await run(client, { ...bare(freshFolder()), ...trust, ...alone }, WITH_HOSTS);
    const came = service === 's3' ? aws.requests.map(({ signer }) => signer) : seen().flatMap((one) => one.credentials);
    // It did come to the origin, and was nobody there.
    expect(seen().length + aws.requests.length, ran.err.slice(0, 500)).toBeGreaterThan(0);
    expect(came.filter((one) => one !== undefined)).toEqual([]);
    expect(ran.code === 0 && prints.test(`${ran.out}${ran.err}`)).toBe(false);
  });
});

function expectOneCredentialEach(service: keyof typeof HOST): void {
  if (service === 's3') {
    expect(aws.requests.length).toBeGreaterThan(0);
    for (const { signer } of aws.requests) expect(signer?.account.accessKeyId).toBe(AWS.accessKeyId);
    return;
  }
  const expected = service === 'git' ? BASIC : `Bearer ${SECRET}`;
  expect(seen().length).toBeGreaterThan(0);
  for (const { credentials } of seen()) {
    // No values in what a failure prints.
    expect(credentials.map((one) => one === expected)).toEqual([true]);
  }
}

describe('curl', () => {
  const curl = (...words: string[]): Promise<Ran> =>
    runProgram(['curl', '-sS', ...words], { env: inShell(), cwd: folder });

  test.each(['--http1.1', '--http2'])('uploads 20 MB with %s', { timeout: 60_000 }, async (version) => {
    const { code, out } = await curl(version, '-T', files.large, `${urls.api}/large`);
    expect([code, out]).toEqual([0, expect.stringMatching(hashed(files.large))]);
    expectOneCredentialEach('api');
  });

  test.each([
    [
      'the name and token of an agent',
      () => ['--proxy', `http://127.0.0.1:${shell().port}`, '--proxy-user', `scanner:${TOKEN}`],
    ],
    ['a token alone', () => ['--proxy', `http://${TOKEN}@127.0.0.1:${shell().port}`]],
    ['a bearer token', () => ['--proxy-header', `Proxy-Authorization: Bearer ${TOKEN}`]],
    ['name and token by SOCKS', () => ['--proxy', `socks5h://scanner:${TOKEN}@127.0.0.1:${shell().port}`]],
  ])('shows %s, which proves whose it is and goes no further', async (_, words) => {
    const before = decisions().length;
    const ran = await curl(...words(), `${urls.api}/hello`);
    expect([ran.code, ran.out]).toEqual([0, expect.stringContaining('hello over')]);
    expectNoSecret(ran);
    expectOneCredentialEach('api');
    expect(seen().some(({ rawHeaders }) => rawHeaders.join().includes(TOKEN))).toBe(false);
    expect(decisions().slice(before)).toMatchObject([{ principal: { agent: 'scanner', attested: 'token' } }]);
  });

  test('with a wrong token is asked for a right one, and reaches nothing', async () => {
    const before = decisions().length;
    const { code, err } = await curl('--proxy-user', 'scanner:wrong-wrong-wrong-wrong', `${urls.api}/hello`);
    expect([code, err]).toEqual([56, expect.stringContaining('407')]);
    expect(seen()).toEqual([]);
    const refusal = { service: '-', result: 'deny', reason: 'proxy-auth-required' };
    expect(decisions().slice(before)).toMatchObject([refusal]);
  });
});

test('git pushes 3 MB, and holds no password', { timeout: 60_000 }, async (context) => {
  const reason = missing('git');
  if (reason !== undefined) context.skip(reason);
  const work = join(freshFolder(), 'work');
  const run = (...words: string[]): Promise<Ran> =>
    runProgram(['git', '-c', 'user.name=a', '-c', 'user.email=a@b.c', ...words], { env: inShell(), cwd: folder });
  expect(await run('clone', '-q', `${urls.git}/repo.git`, work)).toMatchObject({ code: 0, err: '' });
  // More than git holds in memory: it asks by an empty request first, then sends in chunks.
  writeFileSync(join(work, 'large'), randomBytes(3 * MIB));
  await run('-C', work, 'add', '.');
  await run('-C', work, 'commit', '-qm', 'two');
  const pushed = await run('-C', work, 'push', '-q', 'origin', 'HEAD:refs/heads/pushed');
  expect(pushed).toMatchObject({ code: 0, err: '' });
  expectNoSecret(pushed);
  expectOneCredentialEach('git');
  const config = readFileSync(join(work, '.git/config'), 'utf8');
  expect(config.includes(WORD)).toBe(false);
  const { out } = await run('-C', join(folder, 'repositories/repo.git'), 'log', '--format=%s', 'pushed');
  expect(out).toBe('two\none\n');
});

test('ws without an agent does not ask the proxy, and is nobody', { timeout: 60_000 }, async () => {
  const ran = await runProgram(nodeProgram(WS_CLIENT, webSocketUrl()), { env: inShell(), cwd: folder });
  expect([ran.code, ran.out]).toEqual([1, expect.stringContaining('ENOTFOUND')]);
  expect(seen()).toEqual([]);
});
