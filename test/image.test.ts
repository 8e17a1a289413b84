import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { assemble, isRun } from '../release/image/assemble.ts';
import { faultsOf, listRoot, summary, type Entry } from '../release/image/contents.ts';
import { BuildContext } from '../release/image/context.ts';
import { expand, parseDockerfile, type Step } from '../release/image/dockerfile.ts';
import { stripped } from '../release/image/strip.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const { args, stages } = parseDockerfile(readFileSync(join(ROOT, 'Dockerfile'), 'utf8'));
const final = stages.at(-1)!;

function argvOf(name: 'entrypoint' | 'cmd' | 'healthcheck'): readonly string[] {
  const step = final.steps.find((each) => each.do === name) as { argv: readonly string[] } | undefined;
  return step!.argv;
}

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'secretless-image-'));
  onTestFinished(() => {
    // Its files are read-only, as in the image.
    spawnSync('chmod', ['-R', 'u+w', folder]);
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

const FLAGS = [
  '--disable-sigusr1',
  '--no-addons',
  '--disable-proto=delete',
  '--max-semi-space-size=4',
  '--max-old-space-size-percentage=75',
];
const PROGRAM = ['/opt/secretless/bin/node', ...FLAGS, '/opt/secretless/app/dist/src/cli/secretless.js'];

test('the image starts the program with flags that nobody can leave out', () => {
  expect(argvOf('entrypoint')).toEqual(PROGRAM);
  expect(argvOf('cmd')).toEqual(['start', '-f', '/etc/secretless/secretless.yml']);
});

test('its health check is the program itself, with the same flags', () => {
  expect(argvOf('healthcheck').slice(0, PROGRAM.length)).toEqual(PROGRAM);
  expect(argvOf('healthcheck').slice(PROGRAM.length)).toEqual(['wait-ready', '--timeout', '2']);
});

test('code is compiled ahead with the flags that it will run with, as the user that it will run as', () => {
  const compiled = stages.find(({ name }) => name === 'compiled')!;
  const run = compiled.steps.find((step) => step.do === 'run') as Extract<Step, { do: 'run' }>;
  // Node refuses what was compiled with other flags, and looks in a folder that is named after the user.
  expect(run.argv.slice(1, 1 + FLAGS.length)).toEqual(FLAGS);
  for (const { steps } of [compiled, final]) expect(steps).toContainEqual({ do: 'user', value: '65532:65532' });
  expect(compiled.from).toBe(final.from);
});

test('no install script runs and nothing of development is left', () => {
  const installs = stages
    .flatMap(({ steps }) => steps)
    .flatMap((step) => (step.do === 'run' && step.argv.at(-1)!.startsWith('npm ') ? [step.argv.at(-1)!] : []))
    .filter((line) => line !== 'npm run build');
  expect(installs).toHaveLength(2);
  for (const line of installs) expect(line).toMatch(/^npm ci .*--ignore-scripts/);
  expect(installs.at(-1)).toContain('--omit=dev');
  expect(final.steps.some(({ do: what }) => what === 'run')).toBe(false);
});

test('bases are arguments, so that a release can pin them by digest', () => {
  expect(args.map(({ name }) => name)).toEqual(['NODE_IMAGE', 'BASE_IMAGE']);
  for (const { from } of stages) expect(['${NODE_IMAGE}', '${BASE_IMAGE}']).toContain(from);
  expect(stages.find(({ name }) => name === 'build')!.platform).toBe('$BUILDPLATFORM');
});

test('what is copied into the image is owned by root, save its two folders that are written', () => {
  const copies = final.steps.filter((step) => step.do === 'copy');
  const owned = copies.filter(({ chown }) => chown === '65532:65532').map(({ to }) => to);
  expect(owned).toEqual(['/var/lib/secretless', '/run/secretless']);
  expect(copies.every(({ from }) => from !== undefined)).toBe(true);
});

test('a line of a Dockerfile that is not understood is refused', () => {
  const lines = [
    'FROM a\nADD x /',
    'FROM a\nRUN --network=none x',
    'FROM a\nRUN --mount=type=ssh,target=/x y',
    'FROM a\nCOPY --chmod=0111 a /b',
    'FROM a\nENTRYPOINT node x',
    'FROM a\nCOPY <<EOF /x',
    'USER 1\nFROM a',
  ];
  for (const line of lines) {
    expect(() => parseDockerfile(line), line).toThrow('not understood');
  }
  expect(() => expand('$NOBODY', new Map())).toThrow('$NOBODY');
});

test('the builder is sent nothing but what the Dockerfile copies', () => {
  const folder = temporary();
  writeFileSync(join(folder, '.dockerignore'), readFileSync(join(ROOT, '.dockerignore')));
  const left = [
    ...['.git/config', '.env', 'src/.env', 'src/.env.local', '.npmrc', 'secretless.yml', 'node_modules/x/index.js'],
    ...['src/a.test.ts', 'src/testdata/key.pem', 'connectors/a/testdata/x.json', 'src/key.pem', 'src/tls.key'],
    ...['ledger.jsonl', 'src/ledger.jsonl', 'dist/x.js', 'test/a.ts', 'charts/x.yaml', 'config/mine.yml', 'docs/a.md'],
  ];
  const sent = [
    'src/a.ts',
    'connectors/a/b/c.ts',
    'release/image/strip.ts',
    'config/demo.yml',
    'package.json',
    'LICENSE',
  ];
  for (const path of [...left, ...sent]) {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), '');
  }
  expect(new BuildContext(folder).files()).toEqual(sent.toSorted());
});

test('each source of a COPY is sent', () => {
  const context = new BuildContext(ROOT);
  const files = context.files();
  const sources = stages
    .flatMap(({ steps }) => steps)
    .flatMap((step) => (step.do === 'copy' && step.from === undefined ? step.sources : []));
  expect(sources.length).toBeGreaterThan(5);
  for (const source of sources) {
    expect(
      files.some((path) => path === source || path.startsWith(`${source}/`)),
      source,
    ).toBe(true);
  }
});

test('node without its symbols is smaller and still runs', (context) => {
  context.skip(process.platform !== 'linux', 'programs here are not ELF');
  const whole = readFileSync(process.execPath);
  const program = join(temporary(), 'node');
  writeFileSync(program, stripped(whole), { mode: 0o700 });
  expect(statSync(program).size).toBeLessThan(whole.length);
  const script = 'console.log(new Intl.DateTimeFormat("de").format(0), crypto.getHashes().length > 10)';
  const { status, stdout } = spawnSync(program, ['-e', script], { encoding: 'utf8' });
  expect({ status, stdout }).toEqual({ status: 0, stdout: '1.1.1970 true\n' });
});

test('what is not a program is not stripped', () => {
  expect(() => stripped(Buffer.from('#!/bin/sh\n'))).toThrow('no header');
  const cut = readFileSync(process.execPath).subarray(0, 100_000);
  if (process.platform === 'linux') expect(() => stripped(cut)).toThrow('beyond the file');
});

test('of packages that is copied which Node loads, and the licences', () => {
  const run = [
    'a/index.js',
    'a/lib/b.mjs',
    '@a/b/c.cjs',
    'a/package.json',
    'a/LICENSE',
    'a/license.txt',
    'a/dist-cjs/x.js',
  ];
  const left = [
    ...['a/index.d.ts', 'a/index.js.map', 'a/README.md', 'a/test/x.js', 'a/dist-es/x.js', 'a/dist-types/x.js'],
    ...[
      'a/x.min.js',
      'a/x.browser.js',
      'a/x.test.js',
      'a/tsconfig.json',
      'a/docs/x.js',
      '.bin/x',
      'a/build/Release/a.node',
      'a/binding.gyp',
      '.package-lock.json',
    ],
  ];
  expect([...run, ...left].filter(isRun)).toEqual(run);
});

test('the tree for the image is read-only and its node can only be executed', (context) => {
  context.skip(process.platform !== 'linux', 'programs here are not ELF');
  const folder = temporary();
  const checkout = join(folder, 'checkout');
  for (const path of [
    'dist/src/a.js',
    'dist/src/a.d.ts',
    'node_modules/x/index.js',
    'config/demo.yml',
    'package.json',
    'LICENSE',
  ]) {
    mkdirSync(join(checkout, path, '..'), { recursive: true });
    writeFileSync(join(checkout, path), '{}');
  }
  assemble(checkout, process.execPath, join(folder, 'to'));
  const entries = listRoot(join(folder, 'to'));
  const own = `${process.getuid!()}:${process.getgid!()}`;
  expect(entries.filter(({ kind }) => kind === 'file').map(({ path, mode }) => `${mode.toString(8)} ${path}`)).toEqual([
    '444 opt/secretless/app/LICENSE',
    '444 opt/secretless/app/config/demo.yml',
    '444 opt/secretless/app/dist/src/a.js',
    '444 opt/secretless/app/node_modules/x/index.js',
    '444 opt/secretless/app/package.json',
    '111 opt/secretless/bin/node',
  ]);
  const seen = entries.map((entry) => ({ ...entry, owner: entry.owner === own ? '0:0' : entry.owner }));
  expect(faultsOf(seen, seen, ['/var/lib/secretless', '/run/secretless', '/etc/secretless'])).toEqual([]);
  expect(summary(seen)).toContain('0111 0:0 /opt/secretless/bin/node\n');
});

test('whatever has no place in the image is found there', () => {
  const entry = (path: string, mode = 0o444, owner = '0:0'): Entry => ({ path, kind: 'file', mode, owner, bytes: 1 });
  const found = (entries: readonly Entry[]): number => faultsOf(entries, entries, ['/run/secretless']).length;
  const wrong = [
    ...[
      'bin/sh',
      'usr/bin/bash',
      'bin/busybox',
      'usr/local/bin/npm',
      'opt/a.ts',
      'opt/a.js.map',
      'opt/.git',
      'opt/.env',
    ].map((path) => entry(path)),
    ...['opt/.npmrc', 'opt/a.pem', 'opt/a.test.js', 'opt/x/testdata/a.json', 'opt/addon.node'].map((path) =>
      entry(path),
    ),
    ...[entry('usr/bin/su', 0o4755), entry('opt/a.js', 0o664), entry('opt/a.js', 0o444, '65532:65532')],
    entry('opt/secretless/bin/node', 0o755),
  ];
  for (const each of wrong) expect(found([each]), each.path).toBeGreaterThan(0);
  expect(found([entry('opt/a.js'), entry('opt/LICENSE.md'), entry('run/secretless', 0o755, '65532:65532')])).toBe(0);
});
