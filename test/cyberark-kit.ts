import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { recordedIo } from '../src/cli/testdata/recorded-io.ts';
import { runCli } from '../src/cli/dispatch.ts';
import type { Config, ServiceConfig } from '../src/config/config.ts';
import { readConfig } from '../src/main.ts';
import { keepArtefact } from './canary.ts';
import { temporaryFolder } from './rig.ts';

/** The ten forms that files of CyberArk Secretless Broker come in. */
export const FORMS = ['e1', 'e2', 'e3', 'e4', 'e5', 'e6', 'e7', 'e8', 'e9', 'e10'] as const;

export function form(name: (typeof FORMS)[number]): string {
  return readFileSync(join(import.meta.dirname, `../src/config/testdata/forms/${name}.yml`), 'utf8');
}

/** A form with its places and names put on this machine; each must be there. */
export function placed(text: string, changes: Readonly<Record<string, string>>): string {
  let changed = text;
  for (const [from, to] of Object.entries(changes)) {
    if (!changed.includes(from)) throw new Error(`the form has no ${from}`);
    changed = changed.replaceAll(from, () => to);
  }
  return changed;
}

export interface Checked {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** `secretless check <words>` on a text. */
export async function check(text: string, ...words: string[]): Promise<Checked> {
  const folder = temporaryFolder();
  const file = join(folder, 'secretless.yml');
  writeFileSync(file, text);
  const io = recordedIo({ env: { HOME: folder, SECRETLESS_HOME: folder } });
  const code = await runCli(['check', '-f', file, ...words], io);
  keepArtefact('command', `${io.out()}\n${io.err()}`);
  return { code, out: io.out(), err: io.err().replaceAll(file, 'secretless.yml') };
}

export interface Loaded {
  readonly config: Config | undefined;
  /** The first service by name. */
  readonly service: ServiceConfig | undefined;
  /** `line: message (suggestion)` of each. */
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

/** A text as the product reads it, with everything that this build ships. */
export function loaded(text: string, env: Readonly<Record<string, string>> = {}): Loaded {
  const folder = temporaryFolder();
  const file = join(folder, 'secretless.yml');
  writeFileSync(file, text);
  const { config, problems } = readConfig(file, { HOME: folder, SECRETLESS_HOME: folder, ...env });
  const shown = (wanted: 'error' | 'warning') =>
    problems
      .filter(({ severity }) => severity === wanted)
      .map(
        ({ line, message, suggestion }) => `${line}: ${message}${suggestion === undefined ? '' : ` (${suggestion})`}`,
      );
  return { config, service: config?.services[0], errors: shown('error'), warnings: shown('warning') };
}

interface Parts {
  readonly connector?: string;
  readonly listenOn?: string;
  readonly credentials?: string;
  readonly config?: string;
}

export const MATCH = `forceSSL: true, authenticateURLsMatching: '^http://api\\.example\\.com/'`;

/** A whole version 2 file of one generic service, as CyberArk's tutorials write it: `connector` is line 4. */
export function file({
  connector = 'connector: generic_http',
  listenOn = 'tcp://127.0.0.1:8081',
  credentials = '{ token: { from: env, get: T } }',
  config = `{ headers: { Authorization: 'Bearer {{ .token }}' }, ${MATCH} }`,
}: Parts = {}): string {
  return `version: 2
services:
  api:
    ${connector}
    listenOn: ${listenOn}
    credentials: ${credentials}
    config: ${config}
`;
}

/** Sets variables of this process, where the provider `env` reads them, until the end of the test. */
export function setEnvironment(variables: Readonly<Record<string, string>>): void {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, variables);
  onTestFinished(() => {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  });
}
