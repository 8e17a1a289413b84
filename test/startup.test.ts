import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { canary } from './canary.ts';
import { complete, runCommand, startProcess, stateFolder } from './process-rig.ts';

/** What is loaded before the sidecar is ready: half the time of a cold start, and much of the memory in rest. */

/** Prints each module that is loaded on a line of its own, `loaded <url>`. */
const HOOK = `
import { registerHooks } from 'node:module';
import { writeSync } from 'node:fs';
registerHooks({ load: (url, context, next) => { writeSync(2, 'loaded ' + url + '\\n'); return next(url, context); } });
`;

const HTTP = `
services:
  api:
    connector: http
    listenOn: tcp://127.0.0.1:0
    target: http://127.0.0.1:1
    credentials: { token: { from: env, get: API_TOKEN } }
    config: { headers: { X-Api-Key: "{{ .token }}" } }
`;

/** What compiles validators; a build has them compiled (`pack.test.ts` looks at one). */
const COMPILER = ['ajv', 'fast-deep-equal', 'fast-uri', 'json-schema-traverse'];

interface Loaded {
  /** Names of npm packages. */
  readonly packages: readonly string[];
  /** Paths within the repository. */
  readonly own: readonly string[];
  /** Of modules, without those of the compiler. */
  readonly count: number;
}

function hookIn(folder: string): string {
  const file = join(folder, 'hook.mjs');
  writeFileSync(file, HOOK);
  return pathToFileURL(file).href;
}

function loadedIn(printed: string): Loaded {
  const urls = [...printed.matchAll(/^loaded (\S+)$/gm)].map(([, url]) => url!);
  const packages = urls.flatMap((url) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url)?.[1] ?? []);
  const root = pathToFileURL(join(import.meta.dirname, '..')).href;
  const own = urls.filter((url) => url.startsWith(`${root}/`) && !url.includes('/node_modules/'));
  return {
    packages: [...new Set(packages)].sort(),
    own: own.map((url) => url.slice(root.length + 1)),
    count: urls.filter((url) => url.startsWith('file:') && !isCompiler(url)).length,
  };
}

function isCompiler(url: string): boolean {
  return COMPILER.some((name) => url.includes(`/node_modules/${name}/`));
}

async function loadedUntilReady(yaml: string): Promise<Loaded> {
  const folder = stateFolder();
  const rig = startProcess(yaml, {
    folder,
    env: { API_TOKEN: canary() },
    nodeOptions: ['--conditions=secretless-source', '--import', hookIn(folder)],
  });
  await rig.ready();
  return loadedIn(rig.stderr());
}

test('a file of http alone loads YAML, the engine of HTTP and what checks the file, and nothing that other services need', async () => {
  const { packages, own, count } = await loadedUntilReady(HTTP);
  expect(packages).toEqual([...COMPILER, 'undici', 'yaml']);
  const lazy = own.filter((path) =>
    /^src\/(?:certificate|http\/h2|injector|migrate|stream\/(?!splice|recollections)|relay|egress)\/|^connectors\/[\w-]+\/(?:service|transport|session)/.test(
      path,
    ),
  );
  expect(lazy).toEqual([]);
  // A regression of a tenth is seen before it is felt.
  expect(count).toBeLessThan(450);
});

test('a file with egress loads what issues certificates, which shows that the look sees it', async () => {
  const { packages, own } = await loadedUntilReady(`${HTTP}egress: { listenOn: tcp://127.0.0.1:0 }\n`);
  expect(packages).toEqual([...COMPILER, 'node-forge', 'undici', 'yaml']);
  expect(own.filter((path) => path.startsWith('src/certificate/')).length).toBeGreaterThan(5);
});

test('`wait-ready`, which runs every few seconds as a health check, loads nothing of the sidecar', async () => {
  const folder = stateFolder();
  writeFileSync(join(folder, 'secretless.yml'), complete(HTTP));
  const env = { NODE_OPTIONS: `--import=${hookIn(folder)}` };
  const { code, err } = await runCommand(folder, ['wait-ready', '--timeout', '0'], { env });
  expect(code).toBe(70);
  const { packages, own } = loadedIn(err);
  expect(packages).toEqual([]);
  expect(own.length).toBeGreaterThan(5);
  expect(own.length).toBeLessThan(25);
});
