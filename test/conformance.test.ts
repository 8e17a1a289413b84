import { execFile } from 'node:child_process';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  existsSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  mkdirSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { Ajv } from 'ajv';
import type { Connector } from 'secretless-sidecar/connector';
import { conformanceChecks, type ConformanceFinding, type ConnectorSample } from 'secretless-sidecar/connector/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { connectors } from '../connectors/index.ts';

const root = resolve(import.meta.dirname, '..');
const folderOf = (name: string): string => join(root, 'connectors', name);
const read = (...path: string[]): string => readFileSync(join(...path), 'utf8');

function sourcesOf(folder: string): string[] {
  const entries = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return entries.filter((file) => file.endsWith('.ts')).map((file) => join(folder, file));
}

/** Everything a source file names as a module, dynamic imports included. */
function modulesOf(source: string): string[] {
  return [...source.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)(['"`])([^'"`]+)\1/g)].map(
    (found) => found[2]!,
  );
}

/** What keeps a connector from naming that module; undefined where nothing does. */
function importProblem(file: string, module: string, folder: string): string | undefined {
  const isTest = file.endsWith('.test.ts') || file.includes('/testdata/');
  if (module.startsWith('.')) {
    return resolve(dirname(file), module).startsWith(`${folder}/`) ? undefined : 'reaches out of its folder';
  }
  if (module.startsWith('secretless-sidecar')) {
    if (module === 'secretless-sidecar/connector' || module === 'secretless-sidecar/connector/ssh') return undefined;
    return isTest && module === 'secretless-sidecar/connector/testing' ? undefined : 'is not the public SDK';
  }
  // Protocol code yields or is pure: sockets, processes and files are the sidecar's.
  const outside =
    /^(?:node:)?(?:net|tls|dns|dgram|http|https|http2|child_process|cluster|worker_threads|fs|fs\/promises|vm)$/;
  if (!isTest && (outside.test(module) || module === 'undici')) return 'touches the world outside';
  return undefined;
}

describe('the catalog', () => {
  test('every word of it means one connector', () => {
    const words = connectors.flatMap(({ name, aliases = [] }) => [name, ...aliases]);
    expect(new Set(words).size).toBe(words.length);
  });

  test('every folder is in it and every entry has its folder', () => {
    const folders = readdirSync(join(root, 'connectors'), { withFileTypes: true }).filter((entry) =>
      entry.isDirectory(),
    );
    expect(folders.map(({ name }) => name).sort()).toEqual(connectors.map(({ name }) => name).sort());
  });

  test('it gives each connector one line and names nothing but their folders', () => {
    const modules = modulesOf(read(root, 'connectors', 'index.ts')).filter((module) => module.startsWith('.'));
    expect(modules.sort()).toEqual(connectors.map(({ name }) => `./${name}/index.ts`).sort());
  });
});

describe.each(connectors.map((connector) => [connector.name, connector] as const))(
  'connector %s',
  (name, connector) => {
    const folder = folderOf(name);
    const sample = JSON.parse(read(folder, 'testdata', 'sample.json')) as ConnectorSample;

    test.each(conformanceChecks(connector, sample).map((check) => [check.name, check] as const))(
      '%s',
      async (_, check) => {
        await check.run();
      },
    );

    test('its README names every key and credential, and its errors and limits', () => {
      const readme = read(folder, 'README.md');
      const keys = Object.keys((connector.config as { properties?: object }).properties ?? {});
      for (const word of [
        name,
        ...(connector.aliases ?? []),
        ...keys,
        ...connector.credentials.map((spec) => spec.name),
      ]) {
        expect(readme).toContain(`\`${word}\``);
      }
      for (const heading of ['## Example', '## Errors', '## Limits']) expect(readme).toContain(heading);
    });

    test('its example is valid for it', () => {
      const text = read(folder, 'example.yml');
      expect(text.split('\n', 1)[0]).toBe('# yaml-language-server: $schema=../../config/secretless.schema.json');
      const { services } = parse(text) as { services: Record<string, ExampleService> };
      const own = Object.values(services).filter((service) =>
        [name, ...(connector.aliases ?? [])].includes(service.connector),
      );
      expect(own.length).toBeGreaterThan(0);
      for (const service of own) expect(exampleProblems(connector, service)).toEqual([]);
    });

    test('it has tests of its own', () => {
      expect(existsSync(join(folder, 'index.test.ts'))).toBe(true);
    });

    test('it imports the public SDK and packages, and nothing else of ours', () => {
      const problems = sourcesOf(folder).flatMap((file) =>
        modulesOf(readFileSync(file, 'utf8')).map(
          (module) => [file, module, importProblem(file, module, folder)] as const,
        ),
      );
      expect(problems.filter(([, , problem]) => problem !== undefined)).toEqual([]);
    });
  },
);

interface ExampleService {
  readonly connector: string;
  readonly credentials?: Readonly<Record<string, unknown>>;
  readonly config?: Readonly<Record<string, unknown>>;
}

function exampleProblems(connector: Connector, service: ExampleService): unknown[] {
  const core = ['authenticateURLsMatching', 'forceSSL', 'authenticationStrategy'];
  const config = Object.fromEntries(Object.entries(service.config ?? {}).filter(([key]) => !core.includes(key)));
  const validate = new Ajv({ strict: false }).compile(connector.config);
  if (!validate(config)) return validate.errors ?? [];
  const names = Object.keys(service.credentials ?? {});
  const missing = connector.credentials.filter((spec) => spec.required && !names.includes(spec.name));
  return [...missing, ...(connector.check?.(config, names) ?? [])];
}

describe('the import scan', () => {
  const folder = '/connectors/mine';
  test.each([
    ['../http/index.ts', 'reaches out of its folder'],
    ['../../src/error.ts', 'reaches out of its folder'],
    ['secretless-sidecar/connector/testing', 'is not the public SDK'],
    ['node:net', 'touches the world outside'],
    ['fs', 'touches the world outside'],
  ])('refuses %s', (module, problem) => {
    expect(importProblem(`${folder}/index.ts`, module, folder)).toBe(problem);
  });

  test('sees static, type, side-effect and dynamic imports', () => {
    const source = `import a from 'a';\nimport type { B } from "b";\nimport 'c';\nexport * from 'd';\nawait import('e');`;
    expect(modulesOf(source)).toEqual(['a', 'b', 'c', 'd', 'e']);
  });
});

describe('a connector by somebody else', () => {
  const home = mkdtempSync(join(tmpdir(), 'third-party-'));
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  /** Runs a package that knows the sidecar by its public name only, in a process of its own. */
  async function findingsFor(connectorSource: string): Promise<ConformanceFinding[]> {
    mkdirSync(join(home, 'node_modules'), { recursive: true });
    if (!existsSync(join(home, 'node_modules', 'secretless-sidecar'))) {
      symlinkSync(root, join(home, 'node_modules', 'secretless-sidecar'));
    }
    writeFileSync(join(home, 'package.json'), '{ "type": "module" }');
    mkdirSync(join(home, 'vendor-key'), { recursive: true });
    writeFileSync(join(home, 'vendor-key', 'index.ts'), connectorSource);
    writeFileSync(join(home, 'catalog.ts'), `export { vendorKey } from './vendor-key/index.ts';\n`);
    const main = `
      import { inspectConnector } from 'secretless-sidecar/connector/testing';
      import { vendorKey } from './catalog.ts';
      const sample = { config: { realm: 'eu' }, credentials: { key: 'canary-vendor-key' } };
      console.log(JSON.stringify(await inspectConnector(vendorKey, sample)));`;
    writeFileSync(join(home, 'main.ts'), main);
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--conditions=secretless-source',
      join(home, 'main.ts'),
    ]);
    return JSON.parse(stdout) as ConformanceFinding[];
  }

  const source = `
    import { defineHttpConnector, lineOf, withHeader } from 'secretless-sidecar/connector';
    export const vendorKey = defineHttpConnector({
      kind: 'http',
      name: 'vendor-key',
      summary: 'the key of a vendor, with its realm',
      config: { type: 'object', properties: { realm: { type: 'string' } }, required: ['realm'], additionalProperties: false },
      credentials: [{ name: 'key', required: true, meaning: 'key of the vendor', example: 'k-1' }],
      open: (config) => ({
        authenticate: (head, credentials) => ({
          head: withHeader(head, 'X-Vendor-Key', config.realm + ':' + lineOf(credentials.get('key'), 'key')),
        }),
      }),
    });`;

  test('is one folder and one catalog line, and passes the kit through the public door', async () => {
    expect(await findingsFor(source)).toEqual([]);
  });

  test('is caught by the kit where it appends instead of replacing', async () => {
    const careless = source.replace(
      /withHeader\(head, 'X-Vendor-Key', (.*)\),/,
      `({ ...head, headers: [...head.headers, 'X-Vendor-Key', $1] }),`,
    );
    expect(careless).not.toBe(source);
    expect(await findingsFor(careless)).toEqual([
      {
        check: 'authenticate removes client copies in every spelling',
        problem: "a client's own X-Vendor-Key is still there",
      },
    ]);
  });
});
