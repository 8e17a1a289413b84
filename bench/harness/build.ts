import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const ENTRY = join(ROOT, 'dist/src/cli/secretless.js');
const INPUTS = ['src', 'connectors', 'package.json', 'tsconfig.build.json'];

/** Words that start the command line of the built product; builds it where the build is missing or older than the source. */
export function builtCommand(say: (words: string) => void): string[] {
  if (!existsSync(ENTRY) || newest(INPUTS.map((name) => join(ROOT, name))) > statSync(ENTRY).mtimeMs) {
    say('building dist …');
    const { status, stdout } = spawnSync(
      process.execPath,
      [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', join(ROOT, 'tsconfig.build.json')],
      { cwd: ROOT, encoding: 'utf8' },
    );
    if (status !== 0) say(stdout);
    if (!existsSync(ENTRY)) throw new Error('the build failed');
  }
  return [...flags(), ENTRY];
}

/** Words that start the command line from the checkout, without a build. */
export function sourceCommand(): string[] {
  return [...flags(), '--conditions=secretless-source', join(ROOT, 'src/cli/secretless.ts')];
}

/** Node's flags as the installed command has them: from its first line. */
function flags(): string[] {
  const [first = ''] = readFileSync(join(ROOT, 'src/cli/secretless.ts'), 'utf8').split('\n');
  return first.split(' ').filter((word) => word.startsWith('--'));
}

function newest(paths: readonly string[]): number {
  return Math.max(...paths.map(newestOf));
}

function newestOf(path: string): number {
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  // A folder's own time changes with every editor's swap file; only the sources in it count.
  return newest(
    readdirSync(path)
      .filter((name) => name !== 'testdata' && !name.endsWith('.test.ts') && !name.startsWith('.'))
      .map((name) => join(path, name)),
  );
}
