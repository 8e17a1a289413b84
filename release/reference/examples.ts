import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

/** Keys of a service whose names below are the writer's, and of the maps of the file. */
const MAPS = /^(?:services|providers|agents|egress\.resolve|services\.<name>\.credentials)$/;

export interface Example {
  /** Relative to the root. */
  readonly file: string;
  /** Keys that it uses, spelled as `Key.path`. */
  readonly paths: ReadonlySet<string>;
  /** By connector: keys of `config` that it uses. By provider: options. */
  readonly connectors: ReadonlyMap<string, ReadonlySet<string>>;
  readonly providers: ReadonlyMap<string, ReadonlySet<string>>;
}

/** Those that are told of first come first. */
export function examples(root: string, words: ReadonlyMap<string, string>): Example[] {
  const folder = readdirSync(join(root, 'config/examples'))
    .filter((name) => name.endsWith('.yml'))
    .map((name) => `config/examples/${name}`);
  const own = [...new Set(words.values())].map((name) => `connectors/${name}/example.yml`);
  return [...folder.sort(), ...own, 'docs/every-key.yml'].map((file) => readExample(root, file, words));
}

type Tree = Readonly<Record<string, unknown>>;

function readExample(root: string, file: string, words: ReadonlyMap<string, string>): Example {
  const tree = parse(readFileSync(join(root, file), 'utf8')) as Tree;
  const connectors = new Map<string, Set<string>>();
  const providers = new Map<string, Set<string>>();
  const add = (to: Map<string, Set<string>>, name: string, of: unknown): void => {
    to.set(name, new Set([...(to.get(name) ?? []), ...pathsOf(of, '', () => false)]));
  };
  for (const { connector, config } of Object.values((tree['services'] ?? {}) as Record<string, Tree>)) {
    add(connectors, words.get(connector as string) ?? String(connector), config ?? {});
  }
  for (const { type, ...options } of Object.values((tree['providers'] ?? {}) as Record<string, Tree>)) {
    add(providers, String(type), options);
  }
  const paths = new Set(pathsOf(tree, '', (path) => MAPS.test(path)));
  return { file, paths, connectors, providers };
}

function pathsOf(value: unknown, path: string, isMap: (path: string) => boolean): string[] {
  if (Array.isArray(value)) return value.flatMap((each) => pathsOf(each, `${path}[]`, isMap));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, each]) => {
    const key = isMap(path) ? '<name>' : name;
    const at = path === '' ? key : `${path}.${key}`;
    return [at, ...pathsOf(each, at, isMap)];
  });
}

/** Whether an example uses a key of `config`, where some names in the path are the writer's. */
export function uses(used: ReadonlySet<string> | undefined, path: string): boolean {
  const pattern = new RegExp(
    `^${path.replaceAll(/[[\]]/g, '\\$&').replaceAll('.', '\\.').replaceAll('<name>', '[^.]+')}$`,
  );
  return used !== undefined && [...used].some((each) => pattern.test(each));
}
