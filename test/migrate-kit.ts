import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { COMMANDS } from '../src/cli/commands.ts';
import { runCli } from '../src/cli/dispatch.ts';
import { recordedIo } from '../src/cli/testdata/recorded-io.ts';
import { keepArtefact } from './canary.ts';
import { temporaryFolder } from './rig.ts';

const WITH_MIGRATE = new Map([...COMMANDS, ['migrate', () => import('../src/cli/migrate.ts')]]);

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A command of the product, in this process. */
export async function run(...words: string[]): Promise<Ran> {
  const folder = temporaryFolder();
  const io = recordedIo({ env: { HOME: folder, SECRETLESS_HOME: folder } });
  const code = await runCli(words, io, WITH_MIGRATE);
  // What the file holds is printed: only the rest must be without secrets.
  keepArtefact('command', io.err());
  return { code, out: io.out(), err: io.err() };
}

/** `secretless migrate` on a text. */
export async function migrate(text: string, ...words: string[]): Promise<Ran> {
  const file = join(temporaryFolder(), 'original.yml');
  writeFileSync(file, text);
  return run('migrate', ...words, file);
}

/** What the comments of a conversion say, each on one line. */
export function said(text: string): string[] {
  const comments = text.split('\n').flatMap((line) => /^\s*#( .*)$/.exec(line)?.[1] ?? []);
  const whole = comments.join('\n').replaceAll('\n   ', ' ').split('\n');
  return whole.flatMap((line) => /^ migrate(?:, (?:warning|to do))?: (.*)$/.exec(line)?.[1] ?? []);
}
