import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { root } from './documents.ts';

export const COMPOSE_FOLDER = join(root, 'config/examples/compose');
export const COMPOSE_FILES = ['compose.yml', 'compose.shared-network.yml'] as const;

export interface ComposeService {
  readonly image: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly secrets?: readonly string[];
  readonly networks?: readonly string[] | Readonly<Record<string, { readonly ipv4_address?: string }>>;
  readonly network_mode?: string;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly read_only: boolean;
  readonly cap_drop: readonly string[];
  readonly security_opt: readonly string[];
}

export interface ComposeFile {
  readonly services: Readonly<Record<'agent' | 'sidecar' | 'db' | 'api', ComposeService>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

export function composeText(name: string): string {
  return readFileSync(join(COMPOSE_FOLDER, name), 'utf8');
}

/** With what `<<` brings. */
export function composeFile(name: string): ComposeFile {
  return parse(composeText(name), { merge: true }) as ComposeFile;
}

export function networksOf({ networks = [] }: ComposeService): readonly string[] {
  return Array.isArray(networks) ? (networks as string[]) : Object.keys(networks);
}

let found: readonly string[] | null | undefined;

/** Looked for once: the older one takes seconds to say that it is there. */
function composeTool(): readonly string[] | undefined {
  found ??=
    [['docker', 'compose'], ['docker-compose']].find(
      ([program, ...words]) => spawnSync(program!, [...words, 'version'], { stdio: 'ignore' }).status === 0,
    ) ?? null;
  return found ?? undefined;
}

/**
 * Has the compose that is installed read a file of `folder`, without an engine; throws where it complains. A text: there is
 * no compose here. The secrets that the file names are made, since some versions look for them.
 */
export function readByCompose(folder: string, name: string): string | undefined {
  const tool = composeTool();
  if (tool === undefined) return 'neither `docker compose` nor `docker-compose` is installed';
  const { secrets } = parse(readFileSync(join(folder, name), 'utf8'), { merge: true }) as ComposeFile;
  mkdirSync(join(folder, 'secrets'), { recursive: true });
  for (const { file } of Object.values(secrets)) writeFileSync(join(folder, file), 'none\n');
  const [program, ...words] = tool;
  execFileSync(program!, [...words, '-f', name, 'config', '--quiet'], { cwd: folder, stdio: 'pipe' });
  return undefined;
}
