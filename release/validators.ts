import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Ajv } from 'ajv';
import standalone from 'ajv/dist/standalone/index.js';
import { AJV_OPTIONS } from '../src/config/compile.ts';
import { asked } from '../src/config/compiled.ts';
import { loadConfig } from '../src/config/load.ts';
// What it checks is asked for as it is loaded.
import '../src/injector/injector.ts';
import { CATALOG } from '../src/main.ts';
import type { TSchema } from '../src/schema.ts';

/**
 * `npm run build`: compiles a validator of each schema that the program checks something against, and puts them in place
 * of `compiled.js`. At run time a quarter of a cold start would go into that.
 */

/** The schemas that are asked for while files of every form are read, with each connector and provider; by digest. */
export function askedSchemas(): ReadonlyMap<string, TSchema> {
  const place = { listenOn: 'tcp://127.0.0.1:1', credentials: {} };
  const services = Object.fromEntries(
    CATALOG.connectors.map(({ name }, at) => [`s${at}`, { connector: name, ...place }]),
  );
  const providers = Object.fromEntries(CATALOG.providers.map(({ name }, at) => [`p${at}`, { type: name }]));
  const files = [
    { version: '2', services, providers },
    { version: '1', listeners: [], handlers: [] },
  ];
  const options = { file: 'every.yml', environment: {}, home: '/state', catalog: CATALOG };
  for (const file of files) loadConfig(JSON.stringify(file), options);
  return asked;
}

/** The text of a module that gives these validators in place of `src/config/compiled.ts`. */
export function compiledModule(schemas: ReadonlyMap<string, TSchema>): string {
  const digests = [...schemas.keys()].sort();
  const made = digests.map((digest) => [digest, compiledCode(schemas.get(digest)!)] as const);
  const needed = [...new Set(made.flatMap(([, { needs }]) => needs))].sort();
  return [
    ...needed.map((name, at) => `import * as needed${at} from '${name}.js';`),
    `const NEEDED = { ${needed.map((name, at) => `'${name}': needed${at}`).join(', ')} };`,
    `const VALIDATORS = {`,
    // Functions: of those that nobody asks for, no object is made and no code.
    ...made.map(([digest, { code }]) => `'${digest}'(module, require) {${code}},`),
    `};`,
    `export function compiledFor(digest) {`,
    `  if (!Object.hasOwn(VALIDATORS, digest)) return undefined;`,
    `  const module = { exports: undefined };`,
    `  VALIDATORS[digest](module, (name) => NEEDED[name].default);`,
    `  return module.exports;`,
    `}`,
    ``,
  ].join('\n');
}

interface Compiled {
  /** Body of a CommonJS module. */
  readonly code: string;
  /** Modules of Ajv that it requires. */
  readonly needs: readonly string[];
}

/** Errors: where the schema says something that JSON, and so the digest, does not. */
function compiledCode(schema: TSchema): Compiled {
  const written = JSON.parse(JSON.stringify(schema)) as TSchema;
  if (!isDeepStrictEqual(written, { ...schema })) throw new Error(`a schema is not JSON: ${JSON.stringify(schema)}`);
  // One each: the names in the code count up.
  const ajv = new Ajv({ ...AJV_OPTIONS, code: { source: true } });
  const code = standalone.default(ajv, ajv.compile(written));
  return { code, needs: [...code.matchAll(/\brequire\("([^"]+)"\)/g)].map(([, name]) => name!) };
}

/** A file for each: a start reads the few that it needs. */
function writeModules(schemas: ReadonlyMap<string, TSchema>, to: string): void {
  rmSync(join(to, 'compiled'), { recursive: true, force: true });
  mkdirSync(join(to, 'compiled'));
  for (const [digest, schema] of schemas) {
    writeFileSync(join(to, `compiled/${digest}.js`), compiledModule(new Map([[digest, schema]])));
  }
  writeFileSync(join(to, 'compiled.js'), indexModule([...schemas.keys()].sort()));
}

function indexModule(digests: readonly string[]): string {
  return [
    `import { createRequire } from 'node:module';`,
    `const require = createRequire(import.meta.url);`,
    `const COMPILED = new Set([`,
    ...digests.map((digest) => `  '${digest}',`),
    `]);`,
    `export function compiledFor(digest) {`,
    `  return COMPILED.has(digest) ? require(\`./compiled/${'${digest}'}.js\`).compiledFor(digest) : undefined;`,
    `}`,
    ``,
  ].join('\n');
}

if (import.meta.main) {
  writeModules(askedSchemas(), resolve(import.meta.dirname, '../dist/src/config'));
}
