import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PACKAGE_BYTES_MAX } from '../release/pack.ts';
import { programPath } from './ssh/programs.ts';

/** The package as it is published: what is in it, what it brings along, and that it runs where nothing else is. */

const ROOT = resolve(import.meta.dirname, '..');
const place = mkdtempSync(join(tmpdir(), 'sl-pack-'));
const TARBALL = 'secretless-sidecar-0.0.0.tgz';
const noGit =
  existsSync(join(ROOT, '.git')) && programPath('git') !== undefined ? undefined : 'this is no git checkout';
const [first, second] = [join(place, 'one'), join(place, 'another', 'one')];
const tarball = join(place, 'packed', TARBALL);
/** Packages beside those of the AWS SDK. */
const PACKAGES_MAX = 60;
const AWS = /node_modules\/(?:@aws(?:-sdk)?\/|@smithy\/|bowser$|tslib$)/;

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function run(program: string, words: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const child = spawn(program, words, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code as number | null, out, err };
}

/** The files that git knows or would, as a checkout with this umask has them. */
async function copyTree(to: string, umask: number): Promise<void> {
  const { out } = await run('git', ['ls-files', '-co', '--exclude-standard', '-z'], ROOT);
  for (const file of out.split('\0').filter((name) => name !== '' && existsSync(join(ROOT, name)))) {
    mkdirSync(dirname(join(to, file)), { recursive: true });
    cpSync(join(ROOT, file), join(to, file), { verbatimSymlinks: true });
    if (statSync(join(to, file)).isFile()) chmodSync(join(to, file), statSync(join(to, file)).mode & ~umask);
  }
  symlinkSync(join(ROOT, 'node_modules'), join(to, 'node_modules'));
}

/** Packs it under a fixed version. */
async function packFrom(tree: string, umask: number, to: string): Promise<void> {
  await copyTree(tree, umask);
  const manifest = readFileSync(join(tree, 'package.json'), 'utf8');
  writeFileSync(join(tree, 'package.json'), manifest.replace(/"version": "[^"]+"/, '"version": "0.0.0"'));
  const words = ['-c', `umask ${umask.toString(8)}; exec "$0" release/pack.ts "$1"`, process.execPath, to];
  const { code, err } = await run('sh', words, tree);
  expect(code, err).toBe(0);
}

/** With a Node that fits first, and with nothing of this user's. */
function surroundings(home: string): NodeJS.ProcessEnv {
  mkdirSync(home, { recursive: true });
  const cache = join(place, 'cache');
  const path = [dirname(process.execPath), process.env['PATH'] ?? ''].join(delimiter);
  const settings = process.env['npm_config_userconfig'] ?? join(process.env['HOME'] ?? '/', '.npmrc');
  return { HOME: home, PATH: path, npm_config_cache: cache, npm_config_userconfig: settings };
}

const UNREACHABLE = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET/;
let installed: Ran | undefined;

beforeAll(async () => {
  if (noGit !== undefined) return;
  await Promise.all([packFrom(first, 0o022, join(place, 'packed')), packFrom(second, 0o077, join(place, 'again'))]);
  const folder = join(place, 'installed');
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  const words = ['install', '--no-audit', '--no-fund', '--omit=dev', tarball];
  installed = await run('npm', words, folder, surroundings(join(place, 'home')));
}, 900_000);
afterAll(() => rmSync(place, { recursive: true, force: true }));

function whyNotInstalled(): string | undefined {
  if (noGit !== undefined) return noGit;
  if (installed!.code === 0) return undefined;
  if (UNREACHABLE.test(installed!.err)) return 'the registry cannot be reached';
  throw new Error(installed!.err);
}

async function packedFiles(): Promise<string[]> {
  const { out } = await run('tar', ['-tzf', tarball], place);
  return out
    .trim()
    .split('\n')
    .map((name) => name.replace(/^package\//, ''));
}

test('two checkouts, packed at different times and under different umasks, give the same bytes', ({ skip }) => {
  if (noGit !== undefined) return skip(noGit);
  expect(readFileSync(join(place, 'again', TARBALL)).equals(readFileSync(tarball))).toBe(true);
});

test('the package is small, and holds what runs, what a connector of others is compiled against, and papers', async ({
  skip,
}) => {
  if (noGit !== undefined) return skip(noGit);
  expect(statSync(tarball).size).toBeLessThan(PACKAGE_BYTES_MAX);
  const files = await packedFiles();
  const wanted =
    /^(?:dist\/(?:src|connectors)\/.+\.js|dist\/vendor\/ssh2\/(?:lib\/.+\.js|package\.json|LICENSE)|dist\/src\/(?:connector|credential|policy)\/.+\.d\.ts|dist\/src\/(?:error|schema|units)\.d\.ts|config\/(?:examples\/)?[\w-]+\.yml|config\/secretless\.schema\.json|README\.md|CHANGELOG\.md|SECURITY\.md|LICENSE|package\.json)$/;
  expect(files.filter((file) => !wanted.test(file))).toEqual([]);
  expect(files.filter((file) => /\.test\.|testdata|\.map$|\.node$/.test(file))).toEqual([]);
  for (const file of ['config/demo.yml', 'dist/vendor/ssh2/LICENSE', 'dist/src/cli/secretless.js']) {
    expect(files).toContain(file);
  }
  // Each type that a published one refers to is published.
  const types = files.filter((file) => file.endsWith('.d.ts'));
  const doors = ['index', 'ssh/index', 'testing'].map((name) => `dist/src/connector/${name}.d.ts`);
  const reached = new Set(doors);
  for (const file of reached) {
    for (const [, module] of readFileSync(join(first, file), 'utf8').matchAll(/'(\.[^']+)'/g)) {
      reached.add(join(dirname(file), module!).replace(/\.[jt]s$/, '.d.ts'));
    }
  }
  expect(reached.size).toBeGreaterThan(20);
  expect([...reached].filter((file) => !types.includes(file))).toEqual([]);
  const told = files.filter((file) => readFileSync(join(first, file), 'utf8').includes(first));
  expect(told, 'a path of this machine').toEqual([]);
});

test('an install runs no script, and brings few packages', ({ skip }) => {
  const reason = whyNotInstalled();
  if (reason !== undefined) return skip(reason);
  const lock = readFileSync(join(place, 'installed/node_modules/.package-lock.json'), 'utf8');
  const { packages } = JSON.parse(lock) as { packages: Readonly<Record<string, { hasInstallScript?: boolean }>> };
  const names = Object.keys(packages);
  expect(names.filter((name) => packages[name]!.hasInstallScript === true)).toEqual([]);
  expect(names.filter((name) => !AWS.test(name)).length).toBeLessThanOrEqual(PACKAGES_MAX);
  expect(names).not.toContain('node_modules/ssh2');
});

/** What somebody's connector begins with: every door, and a type that must be there. */
function writeStranger(folder: string): void {
  const { exports } = JSON.parse(readFileSync('package.json', 'utf8')) as { exports: object };
  const doors = Object.keys(exports).filter((name) => name !== './package.json');
  const imports = doors.map((name, at) => `import * as door${at} from '${name.replace('.', 'secretless-sidecar')}';`);
  const uses = doors.map((_, at) => `if (Object.keys(door${at}).length === 0) throw new Error('empty');`);
  // `any` where a type is missing would let this line pass.
  const strict = `import { Secret } from 'secretless-sidecar/connector';\n// @ts-expect-error -- bytes are wanted\nvoid (() => Secret.from(7));`;
  writeFileSync(join(folder, 'own.ts'), [...imports, ...uses, strict].join('\n'));
}

// Bundlers and other people's suites set conditions; a door that leads to a file of the checkout alone breaks them.
test.for(['source', 'development', 'browser', 'import', 'require'])(
  'what the package exports is there for Node, under the condition %s too',
  async (condition, { skip }) => {
    const reason = whyNotInstalled();
    if (reason !== undefined) return skip(reason);
    const folder = join(place, 'installed');
    writeStranger(folder);
    const words = [`--conditions=${condition}`, 'own.ts'];
    expect(await run(process.execPath, words, folder)).toMatchObject({ code: 0, err: '' });
  },
);

const RESOLUTIONS = [
  ['nodenext', 'nodenext'],
  ['esnext', 'bundler'],
] as const;

test.for(RESOLUTIONS)(
  'the strictest compiler takes the published types, by module %s and resolution %s',
  { timeout: 180_000 },
  async ([module, resolution], { skip }) => {
    const reason = whyNotInstalled();
    if (reason !== undefined) return skip(reason);
    const folder = join(place, 'installed');
    writeStranger(folder);
    const flags = ['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false'];
    const target = ['--module', module, '--moduleResolution', resolution, '--target', 'es2024', '--types', 'node'];
    const roots = ['--typeRoots', join(ROOT, 'node_modules/@types'), 'own.ts'];
    const words = [join(ROOT, 'node_modules/typescript/bin/tsc'), ...flags, ...target, ...roots];
    expect(await run(process.execPath, words, folder)).toMatchObject({ code: 0, out: '' });
  },
);

const THEIR_TEST = `
import { defineHttpConnector, headerValues, lineOf, Type, withHeader } from 'secretless-sidecar/connector';
import { credentialsOf, inspectConnector, requestHead } from 'secretless-sidecar/connector/testing';
const connector = defineHttpConnector({
  kind: 'http', name: 'theirs', summary: 'a key in a field of theirs',
  config: Type.Object({}, { additionalProperties: false }),
  credentials: [{ name: 'key', required: true, meaning: 'the key', example: '{ from: env, get: KEY }' }],
  open: () => ({
    authenticate: (head, credentials) => ({ head: withHeader(head, 'X-Key', lineOf(credentials.get('key'), 'key')) }),
  }),
});
test('sends the key', async () => {
  const key = 'made-up-key';
  const given = requestHead('GET', '/', {});
  const at = { origin: { scheme: 'https', host: 'api.example.com', port: 443 }, now: new Date(0), version: 'v1' };
  const { head } = await connector.open({}).authenticate(given, credentialsOf({ key }), at);
  expect(headerValues(head.headers, 'x-key')).toEqual([key]);
  expect(await inspectConnector(connector, { config: {}, credentials: { key } })).toEqual([]);
});
`;

test('a connector of somebody else is tried with the published kit, under vitest', async ({ skip }) => {
  const reason = whyNotInstalled();
  if (reason !== undefined) return skip(reason);
  const folder = join(place, 'installed');
  writeFileSync(join(folder, 'their.test.ts'), THEIR_TEST);
  const words = [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--root', folder, '--globals', 'their.test.ts'];
  const { code, out, err } = await run(process.execPath, words, folder, { NO_COLOR: '1' });
  expect(code, `${out}${err}`).toBe(0);
  expect(out).toMatch(/Tests +1 passed/);
});

test('a build checks every file that is shipped, and all of the injector, without compiling a validator', async ({
  skip,
}) => {
  if (noGit !== undefined) return skip(noGit);
  const script = `
    import { registerHooks } from 'node:module';
    const loaded = new Set();
    registerHooks({ load: (url, context, next) => {
      const found = /\\/node_modules\\/((?:ajv|fast-uri|json-schema-traverse)\\/.*)/.exec(url);
      if (found !== null) loaded.add(found[1]);
      return next(url, context);
    } });
    const { readConfig } = await import('./dist/src/main.js');
    await import('./dist/src/injector/injector.js');
    for (const file of process.argv.slice(1)) readConfig(file, { HOME: '/' });
    console.log(JSON.stringify([...loaded].sort()));`;
  const folders = ['config', 'config/examples', 'docs', 'src/config/testdata/forms', 'src/config/testdata/corpus'];
  const names = folders.flatMap((folder) => readdirSync(join(first, folder)).map((name) => `${folder}/${name}`));
  const words = ['--input-type=module', '--eval', script, ...names.filter((name) => name.endsWith('.yml'))];
  const { out, err } = await run(process.execPath, words, first);
  // Two small parts of it, which compiled validators use, and the look sees.
  expect(JSON.parse(out), err).toEqual(['ajv/dist/runtime/equal.js', 'ajv/dist/runtime/ucs2length.js']);
});

test('npx shows the demo from the tarball, in an empty folder', { timeout: 240_000 }, async ({ skip }) => {
  const reason = whyNotInstalled();
  if (reason !== undefined) return skip(reason);
  const folder = join(place, 'empty');
  mkdirSync(folder);
  const words = ['--yes', '--prefer-offline', `--package=${tarball}`, 'secretless-sidecar', 'demo'];
  const { code, out, err } = await run('npx', words, folder, surroundings(join(place, 'nobody')));
  expect(out, err).toContain('every row is right');
  expect(out).toContain('without the rows of PostgreSQL: the npm package pg is not installed');
  expect(code).toBe(0);
  expect(readdirSync(folder)).toEqual([]);
});
