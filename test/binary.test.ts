import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { buildBinary, type Built } from '../release/binary.ts';
import { checksumLine } from '../release/checksums.ts';
import { canary, keepArtefact } from './canary.ts';
import { CATALOG } from '../src/main.ts';
import { freePort } from '../src/cli/demo/ports.ts';
import { eventually, startUpstream } from './rig.ts';
import { programPath } from './ssh/programs.ts';

/** The single executable, in an empty folder and with an empty environment. */

const place = mkdtempSync(join(tmpdir(), 'sl-binary-'));
let built: Built;

beforeAll(async () => {
  built = await buildBinary(join(place, 'bin'));
}, 120_000);
afterAll(() => rmSync(place, { recursive: true, force: true }));

function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sl-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function begin(words: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(built.file, words, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

async function run(words: readonly string[], cwd = emptyFolder(), env: NodeJS.ProcessEnv = {}) {
  const child = begin(words, cwd, env);
  const [out, err, [code]] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, 'close')]);
  return { code: code as number, out, err };
}

/** Starts it on a file and waits until it says that it is ready. */
async function startOn(yaml: string, env: NodeJS.ProcessEnv = {}) {
  const folder = emptyFolder();
  const file = join(folder, 'secretless.yml');
  writeFileSync(file, yaml);
  const child = begin(['start', '-f', file], folder, { SECRETLESS_HOME: join(folder, 'state'), ...env });
  let said = '';
  for (const from of [child.stdout!, child.stderr!]) {
    from.setEncoding('utf8').on('data', (words: string) => (said += words));
  }
  await eventually(() => said.includes('"ready"') || child.exitCode !== null);
  expect(child.exitCode, said).toBeNull();
  const end = async (): Promise<number | null> => {
    const closed = once(child, 'close');
    child.kill('SIGTERM');
    const [code] = (await closed) as [number | null];
    keepArtefact('binary', said);
    return code;
  };
  return { folder, child, end, said: () => said };
}

function get(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path: '/' }, (answer) => {
      answer.resume().once('end', () => resolve(answer.statusCode));
    });
    asked.once('error', reject).end();
  });
}

test('one file is made, with its checksum beside it', () => {
  expect(readdirSync(dirname(built.file)).sort()).toEqual(['secretless', 'secretless.sha256']);
  expect(readFileSync(`${built.file}.sha256`, 'utf8')).toBe(checksumLine(built.file));
});

test('the same checkout gives the same bytes', { timeout: 120_000 }, async () => {
  const again = await buildBinary(join(place, 'again'));
  expect(readFileSync(`${again.file}.sha256`, 'utf8')).toBe(readFileSync(`${built.file}.sha256`, 'utf8'));
  rmSync(again.file);
});

test('it says its version, and nothing of a code cache that does not fit', async () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  expect(await run(['version'])).toEqual({ code: 0, out: `secretless ${version}\n`, err: '' });
});

test('it checks a file', async () => {
  const folder = emptyFolder();
  writeFileSync(join(folder, 'good.yml'), readFileSync('config/examples/rules.yml'));
  writeFileSync(join(folder, 'bad.yml'), 'version: "2"\nservises: {}\n');
  expect((await run(['check', '-f', 'good.yml'], folder)).code).toBe(0);
  const bad = await run(['check', '-f', 'bad.yml'], folder);
  expect(bad.code).toBe(78);
  expect(bad.out + bad.err).toContain('services');
});

test('it has a validator of every connector and provider, and of a version 1 file', async () => {
  const folder = emptyFolder();
  const place = { listenOn: 'tcp://127.0.0.1:1', credentials: {}, config: { unheardOf: 1 } };
  const services = Object.fromEntries(CATALOG.connectors.map(({ name }) => [name, { connector: name, ...place }]));
  const kinds = CATALOG.providers.map(({ name }, at) => [`p${at}`, { type: name, unheardOf: 1 }]);
  writeFileSync(join(folder, 'all.yml'), JSON.stringify({ services, providers: Object.fromEntries(kinds) }));
  const { code, out, err } = await run(['check', '-f', 'all.yml'], folder);
  expect(code, out + err).toBe(78);
  const all = CATALOG.connectors.length + CATALOG.providers.length;
  expect((out + err).match(/unknown key "unheardOf"/g)).toHaveLength(all);
  writeFileSync(join(folder, 'old.yml'), readFileSync('config/examples/version-1.yml'));
  expect(await run(['check', '-f', 'old.yml'], folder)).toMatchObject({ code: 0 });
});

test('an agent that holds nothing is served, and SIGTERM ends it', async () => {
  const upstream = await startUpstream();
  const token = canary();
  const listener = await freePort();
  const sidecar = await startOn(
    `
version: '2'
services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:${listener}
    target: http://127.0.0.1:${upstream.port}
    credentials: { token: { from: env, get: API_TOKEN } }
    config: { headers: { Authorization: 'Bearer {{ .token }}' } }
`,
    { API_TOKEN: token },
  );
  expect(await get(listener)).toBe(200);
  expect(upstream.requests[0]!.headers.authorization === `Bearer ${token}`).toBe(true);
  expect(await sidecar.end()).toBe(0);
});

test('a key with a passphrase is opened, on a thread whose program is within the file', async ({ skip }) => {
  const [keygen, list] = [programPath('ssh-keygen'), programPath('ssh-add')];
  if (keygen === undefined || list === undefined) return skip('there is no ssh-keygen or no ssh-add');
  const folder = emptyFolder();
  const passphrase = canary();
  const made = spawn(keygen, ['-q', '-t', 'ed25519', '-C', 'kept', '-N', passphrase, '-f', join(folder, 'key')]);
  expect((await once(made, 'close'))[0]).toBe(0);
  const sidecar = await startOn(
    `
version: '2'
services:
  keys:
    connector: ssh-agent
    listenOn: unix://${folder}/agent.sock
    credentials:
      kept: { from: file, get: ${folder}/key }
      keptPassphrase: { from: env, get: KEY_PASSPHRASE }
`,
    { KEY_PASSPHRASE: passphrase },
  );
  const listing = spawn(list, ['-L'], { env: { SSH_AUTH_SOCK: join(folder, 'agent.sock') } });
  const [keys] = await Promise.all([text(listing.stdout), once(listing, 'close')]);
  expect(keys.split(' ')[1]).toBe(readFileSync(join(folder, 'key.pub'), 'utf8').split(' ')[1]);
  expect(await sidecar.end()).toBe(0);
});

test('variables give Node no options: nothing is loaded and no inspector opens', async () => {
  const folder = emptyFolder();
  const loaded = join(folder, 'loaded');
  writeFileSync(join(folder, 'evil.cjs'), `require('node:fs').writeFileSync(${JSON.stringify(loaded)}, '')`);
  const env = { NODE_OPTIONS: `--require=${join(folder, 'evil.cjs')}` };
  expect((await run(['version'], folder, env)).code).toBe(0);
  expect(existsSync(loaded)).toBe(false);
  // Heeded by Node itself: the trap works.
  const node = spawn(process.execPath, ['-e', ''], { env });
  await once(node, 'close');
  expect(existsSync(loaded)).toBe(true);
  const options = await run(['version', '--inspect-brk']);
  expect(options).toMatchObject({ code: 64, err: expect.stringContaining('unknown option --inspect-brk') });
});

test('the demo is green, and what lies beside the file is not loaded', { timeout: 90_000 }, async () => {
  const folder = emptyFolder();
  const loaded = join(folder, 'loaded');
  for (const beside of [dirname(built.file), folder]) {
    for (const name of ['pg', '@aws-sdk/client-s3', 'ssh2', 'undici', 'supports-color', 'secretless-sidecar']) {
      const planted = join(beside, 'node_modules', name);
      mkdirSync(planted, { recursive: true });
      writeFileSync(join(planted, 'index.js'), `require('node:fs').writeFileSync(${JSON.stringify(loaded)}, '')`);
    }
  }
  const { code, out, err } = await run(['demo'], folder, { PATH: process.env['PATH'] });
  keepArtefact('binary-demo', out);
  expect(out, err).toContain('every row is right');
  expect(out).toContain('without the rows of PostgreSQL: the npm package pg is not installed');
  expect(code).toBe(0);
  expect(existsSync(loaded)).toBe(false);
  const ssh = programPath('git') !== undefined && programPath('ssh') !== undefined;
  expect(out.includes('git clone')).toBe(ssh);
  expect(out.includes('curl https://')).toBe(programPath('curl') !== undefined);
});
