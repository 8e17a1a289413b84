import { chmodSync, copyFileSync, cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, sep } from 'node:path';
import { parseArgs } from 'node:util';
import { stripped } from './strip.ts';

/**
 * Lays out what the image holds beyond its base, below `--to`: the program `--node` without symbols, and of the checkout
 * in the working folder what runs: `dist`, the packages of production, the file of the demo. A step of the Dockerfile.
 */
const PREFIX = 'opt/secretless';
/** Runs, and cannot be read: see the Dockerfile. */
const EXECUTE_ONLY = 0o111;
const [FILE, FOLDER] = [0o444, 0o555];

/** What Node loads, and what its authors want to go along with it. */
const LOADED = /\.(?:js|mjs|cjs|json)$/;
const LICENCE = /^(?:licen[cs]e|notice|copying|authors)/i;
/** Parts of packages that Node does not load: for browsers and bundlers, of the tests and documents of their authors. */
const NOT_RUN_FOLDERS = new Set([
  ...['test', 'tests', 'benchmark', 'benchmarks', 'examples', 'docs', '.github', '.bin'],
  ...['browser', 'dist-es', 'dist-types'],
]);
const NOT_RUN_FILE = /^bundled\.js$|[.-](?:browser|native|min|test)\.[cm]?js$|^(?:\.package-lock|tsconfig)\.json$/;

/** Whether a file of `dist` or `node_modules` is copied; `path` is relative to it, with `/`. */
export function isRun(path: string): boolean {
  const folders = path.split('/');
  const file = folders.pop()!;
  if (folders.some((folder) => NOT_RUN_FOLDERS.has(folder))) return false;
  return LICENCE.test(file) || (LOADED.test(file) && !NOT_RUN_FILE.test(file));
}

/** Makes the tree anew. `checkout` is built and has the packages of production. */
export function assemble(checkout: string, node: string, to: string): void {
  rmSync(to, { recursive: true, force: true });
  const app = join(to, PREFIX, 'app');
  mkdirSync(join(to, PREFIX, 'bin'), { recursive: true });
  const program = join(to, PREFIX, 'bin/node');
  writeFileSync(program, stripped(readFileSync(node)));

  copySome(join(checkout, 'dist'), join(app, 'dist'), isRun);
  copySome(join(checkout, 'node_modules'), join(app, 'node_modules'), isRun);
  mkdirSync(join(app, 'config'));
  for (const file of ['package.json', 'LICENSE', 'config/demo.yml'])
    copyFileSync(join(checkout, file), join(app, file));
  seal(join(to, PREFIX));
  chmodSync(program, EXECUTE_ONLY);

  for (const folder of ['etc/secretless', 'var/lib/secretless', 'run/secretless']) {
    mkdirSync(join(to, folder), { recursive: true });
  }
}

function copySome(from: string, to: string, isWanted: (path: string) => boolean): void {
  for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name).slice(from.length + 1);
    if (!entry.isFile() || !isWanted(path.replaceAll(sep, '/'))) continue;
    cpSync(join(from, path), join(to, path));
  }
}

/** Nobody may write what everybody may read. */
function seal(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) seal(path);
    else chmodSync(path, FILE);
  }
  chmodSync(folder, FOLDER);
}

if (basename(process.argv[1] ?? '') === basename(import.meta.filename)) {
  const { values } = parseArgs({ options: { node: { type: 'string' }, to: { type: 'string' } } });
  if (values.node === undefined || values.to === undefined) throw new Error('which node, and to where? --node, --to');
  assemble(process.cwd(), values.node, values.to);
}
