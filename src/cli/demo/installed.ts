import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type Ssh2 from 'ssh2';

/** Where this program finds itself and what is installed beside it. A single executable has a version of its own. */

/** The words that start this very program anew, with the same options of Node. */
export function selfWords(): [program: string, ...words: string[]] {
  // The file has the ending of this one: `.ts` in a checkout, `.js` in a build.
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return [process.execPath, ...process.execArgv, fileURLToPath(new URL(`../secretless.${ending}`, import.meta.url))];
}

/** Path of a package's main file, as resolved from the file `from`; default: from here. Undefined where it is not installed. */
export function findPackage(name: string, from: string = import.meta.url): string | undefined {
  try {
    return createRequire(from).resolve(name);
  } catch {
    return undefined;
  }
}

/** The whole of ssh2, of which the product itself has the transport alone. */
export function loadSsh2(): typeof Ssh2 {
  return createRequire(import.meta.url)('#ssh2/lib/index.js') as typeof Ssh2;
}

/** The configuration that is shown, as a file. One that has none makes it in `folder`. */
export async function demoFile(_folder: string): Promise<string> {
  const root = dirname(createRequire(import.meta.url).resolve('secretless-sidecar/package.json'));
  return join(root, 'config', 'demo.yml');
}

/** How a person starts this program. */
export function shownCommand(): string {
  return import.meta.url.endsWith('.ts') ? 'npm run -s secretless --' : 'secretless';
}
