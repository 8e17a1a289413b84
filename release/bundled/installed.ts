import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type Ssh2 from 'ssh2';
import { DEMO_FILE } from 'secretless:embedded';

// The bundler puts the package in its place.
declare function require(name: string): unknown;

/** In place of `src/cli/demo/installed.ts`: a single executable is all that there is, and loads nothing from beside it. */

export function selfWords(): [program: string, ...words: string[]] {
  return [process.execPath];
}

export function findPackage(): undefined {
  return undefined;
}

export function loadSsh2(): typeof Ssh2 {
  return require('ssh2') as typeof Ssh2;
}

export async function demoFile(folder: string): Promise<string> {
  const file = join(folder, 'demo.yml');
  await writeFile(file, DEMO_FILE);
  return file;
}

export function shownCommand(): string {
  return process.execPath;
}
