import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, resolve } from 'node:path';
import { rolldown, type OutputChunk, type OutputOptions, type Plugin } from 'rolldown';
import { fitSource, SSH2_FILES } from '../connectors/ssh/transport/ssh2-source.ts';
import { askedSchemas, compiledModule } from './validators.ts';

/** Makes one CommonJS file of all that the command can reach: what a single executable of Node runs. */

const ROOT = resolve(import.meta.dirname, '..');

/** Modules that ask where they lie on the disk, by what stands in their place in one file. */
const IN_PLACE_OF: Readonly<Record<string, string>> = {
  'src/config/compile.ts': 'release/bundled/compile.ts',
  'src/sidecar/version.ts': 'release/bundled/version.ts',
  'src/connector/ssh/derive-thread.ts': 'release/bundled/derive-thread.ts',
  'src/cli/demo/installed.ts': 'release/bundled/installed.ts',
  'connectors/ssh/transport/ssh2-load.ts': 'release/bundled/ssh2-load.ts',
};

/** Packages that only development has, and native addons: whoever asks for one is told that it is not installed. */
const ABSENT = /^(?:pg|@aws-sdk\/client-s3|cpu-features|supports-color)$|\.node$/;
const ABSENT_ID = '\0absent';
const EMBEDDED = 'secretless:embedded';

/** The program. Errors: where something in it would look for a file at run time. */
export async function bundle(): Promise<string> {
  const worker = await build('src/connector/ssh/derive-worker.ts', []);
  const { version } = JSON.parse(read('package.json')) as { version: string };
  const embedded = { VERSION: version, DEMO_FILE: read('config/demo.yml'), DERIVE_WORKER: worker };
  return await build('src/cli/secretless.ts', [
    ...[replaced(), validators(), embeds(embedded), fittedSsh2(), entry(), placeless()],
  ]);
}

async function build(input: string, plugins: readonly Plugin[]): Promise<string> {
  const building = await rolldown({
    input: join(ROOT, input),
    cwd: ROOT,
    platform: 'node',
    resolve: { conditionNames: ['secretless-source', 'node'] },
    plugins: [...plugins, absent()],
    // Of packages, that some say `eval` and the like; what matters is looked at below.
    logLevel: 'silent',
  });
  const { output } = await building.generate(OUTPUT);
  await building.close();
  const chunks = output.filter((part): part is OutputChunk => part.type === 'chunk');
  const [chunk] = chunks;
  if (output.length !== 1 || chunk === undefined) throw new Error(`${input} became ${output.length} files`);
  const outside = [...chunk.imports, ...chunk.dynamicImports].filter(
    (name) => name !== chunk.fileName && !isBuiltin(name),
  );
  if (outside.length > 0) throw new Error(`${input} would look for ${outside.join(', ')} when it runs`);
  return chunk.code;
}

/** A single executable with a code cache has no `import()`. */
const OUTPUT: OutputOptions = {
  ...{ codeSplitting: false, dynamicImportInCjs: false, minify: false, comments: false, sourcemap: false },
  format: 'cjs',
};

function replaced(): Plugin {
  const places = new Map(Object.entries(IN_PLACE_OF).map(([from, to]) => [join(ROOT, from), join(ROOT, to)]));
  return {
    name: 'in-place-of',
    async resolveId(source, importer) {
      if (importer === undefined || !source.startsWith('.')) return null;
      return places.get(resolve(importer, '..', source)) ?? null;
    },
  };
}

/** A build has them in files of their own. */
function validators(): Plugin {
  return {
    name: 'validators',
    load(id) {
      if (id !== join(ROOT, 'src/config/compiled.ts')) return null;
      return { code: compiledModule(askedSchemas()), moduleType: 'js' };
    },
  };
}

function embeds(values: Readonly<Record<string, string>>): Plugin {
  const code = Object.entries(values).map(([name, value]) => `export const ${name} = ${JSON.stringify(value)};`);
  return {
    name: 'embedded',
    resolveId: (source) => (source === EMBEDDED ? `\0${EMBEDDED}` : null),
    load: (id) => (id === `\0${EMBEDDED}` ? code.join('\n') : null),
  };
}

/** Compares every file of ssh2's transport with its published digest, and changes it as a checkout does when it loads. */
function fittedSsh2(): Plugin {
  const folder = '/ssh2/lib/protocol/';
  const seen = new Set<string>();
  return {
    name: 'fitted-ssh2',
    load(id) {
      const at = id.lastIndexOf(folder);
      if (at === -1 || !id.endsWith('.js')) return null;
      const file = id.slice(at + folder.length);
      // The server that the demo logs in to has it; the transport does not.
      if (file === 'SFTP.js' || file === 'node-fs-compat.js') return null;
      seen.add(file);
      // The WebAssembly of Poly1305 stands in a file of its own, which the digest covers.
      return { code: fitSource(file, readFileSync(id, 'utf8')), moduleType: 'js' };
    },
    buildEnd() {
      const missed = SSH2_FILES.filter((file) => !seen.has(file));
      if (missed.length > 0) throw new Error(`of ssh2 nothing was seen of ${missed.join(', ')}`);
    },
  };
}

/** CommonJS knows no `await` outside of a function. The entry imports nothing statically, so its body can be one. */
function entry(): Plugin {
  return {
    name: 'entry',
    transform(code, id) {
      if (id !== join(ROOT, 'src/cli/secretless.ts')) return null;
      const body = code.replace(/^#!.*\n/, '').replace(/^export \{\};$/m, '');
      if (/^(?:import|export)\b/m.test(body)) throw new Error('the entry imports statically');
      return `void (async () => {\n${body}\n})();`;
    },
  };
}

/** Of ours, a module that asks where it lies needs another in its place. */
function placeless(): Plugin {
  return {
    name: 'placeless',
    transform(code, id) {
      if (!id.startsWith(ROOT) || id.includes('/node_modules/')) return null;
      if (/import\.meta|createRequire/.test(code)) throw new Error(`${id} asks where it lies: see IN_PLACE_OF`);
      return null;
    },
  };
}

function absent(): Plugin {
  return {
    name: 'absent',
    resolveId: (source) => (ABSENT.test(source) ? { id: ABSENT_ID, moduleSideEffects: true } : null),
    load: (id) =>
      id === ABSENT_ID
        ? `throw Object.assign(new Error('not part of a single executable'), { code: 'MODULE_NOT_FOUND' }); module.exports = {};`
        : null,
  };
}

function read(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}
