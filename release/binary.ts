import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { inject } from 'postject';
import { bundle } from './bundle.ts';
import { checksumLine } from './checksums.ts';

/**
 * `npm run build:binary [folder]`: the command as a single executable: Node with one script in it, for the system that
 * this runs on. Writes `secretless` and `secretless.sha256`; default folder: `dist-binary`.
 */

/**
 * The options of Node that it runs with: a small young generation, no inspector at SIGUSR1, no native addons, no
 * packages of the machine. `NODE_OPTIONS` and options on the command line are not heeded (`execArgvExtension`).
 */
export const NODE_FLAGS = ['--max-semi-space-size=4', '--disable-sigusr1', '--no-addons', '--disable-proto=delete'];

/** Doc of Node, "Single executable applications". */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

export interface Built {
  readonly file: string;
  readonly bytes: number;
  /** Of the script and its code cache. */
  readonly scriptBytes: number;
  readonly stripped: boolean;
}

/** Errors: where a tool fails; it says which. */
export async function buildBinary(folder: string): Promise<Built> {
  const node = ownNode();
  const file = join(folder, process.platform === 'win32' ? 'secretless.exe' : 'secretless');
  const scratch = mkdtempSync(join(tmpdir(), 'secretless-binary-'));
  try {
    const blob = await makeBlob(node, scratch);
    const made = join(scratch, 'secretless');
    copyFileSync(node, made);
    chmodSync(made, 0o755);
    const stripped = strip(made);
    if (process.platform === 'darwin') execFileSync('codesign', ['--remove-signature', made]);
    await quietly(() => inject(made, 'NODE_SEA_BLOB', blob, { sentinelFuse: FUSE, machoSegmentName: 'NODE_SEA' }));
    // Ad hoc: macOS runs nothing unsigned on arm64. Who distributes it signs it again with an identity of theirs.
    if (process.platform === 'darwin') execFileSync('codesign', ['--sign', '-', made]);
    mkdirSync(folder, { recursive: true });
    rmSync(file, { force: true });
    copyFileSync(made, file);
    writeFileSync(`${file}.sha256`, checksumLine(file));
    return { file, bytes: statSync(file).size, scriptBytes: blob.length, stripped };
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** The Node that package-lock.json names: a blob fits the very Node that made it. */
function ownNode(): string {
  const packaged = dirname(createRequire(import.meta.url).resolve('node/package.json'));
  return join(packaged, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
}

async function makeBlob(node: string, scratch: string): Promise<Buffer> {
  // Relative: the path of the script stands in what is made, which is to be the same wherever it is made.
  const [main, output, config] = ['secretless.cjs', 'secretless.blob', 'sea.json'] as const;
  writeFileSync(join(scratch, main), await bundle());
  const settings = {
    ...{ main, output, disableExperimentalSEAWarning: true, useCodeCache: true },
    ...{ execArgv: NODE_FLAGS, execArgvExtension: 'none' },
  };
  writeFileSync(join(scratch, config), JSON.stringify(settings));
  // The seed: without one, no two code caches are alike.
  execFileSync(node, ['--random-seed=1', '--experimental-sea-config', config], { cwd: scratch, stdio: 'pipe' });
  return readFileSync(join(scratch, output));
}

/** Drops the symbols: 18 MB. False where there is no `strip`. */
function strip(file: string): boolean {
  if (process.platform !== 'linux') return false;
  try {
    execFileSync('strip', [file], { stdio: 'ignore' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** The library for binaries within postject warns on standard output of notes that it does not know. */
async function quietly(work: () => Promise<void>): Promise<void> {
  const { log, warn } = console;
  [console.log, console.warn] = [(): void => undefined, (): void => undefined];
  try {
    await work();
  } finally {
    [console.log, console.warn] = [log, warn];
  }
}

if (import.meta.main) {
  const folder = resolve(process.argv[2] ?? join(import.meta.dirname, '../dist-binary'));
  const begun = performance.now();
  const { file, bytes, scriptBytes, stripped } = await buildBinary(folder);
  const mb = (count: number): string => (count / 1e6).toFixed(1);
  const seconds = ((performance.now() - begun) / 1000).toFixed(1);
  const symbols = stripped ? '' : ', with the symbols of Node: there is no `strip`';
  process.stdout.write(`${file}: ${mb(bytes)} MB, ${mb(scriptBytes)} of them ours${symbols}; ${seconds} s\n`);
}
