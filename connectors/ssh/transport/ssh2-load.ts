import { createRequire, registerHooks } from 'node:module';
import { SshError } from './ssh-error.ts';
import { fitSource, SSH2_FILES, SSH2_VERSION } from './ssh2-source.ts';

/** `#ssh2` is the package in a checkout and a copy of it in a build, which so needs none of its install scripts. */
const FOLDER = '/ssh2/lib/protocol/';

export interface Ssh2Modules {
  readonly protocol: unknown;
  readonly wireTools: unknown;
}

/** What `prepare` may work on before anything uses it. */
export interface Ssh2Ciphers {
  /** The exports of `crypto.js`. */
  readonly crypto: unknown;
  /** Makes the WebAssembly of Poly1305. */
  readonly poly1305: unknown;
  /** The native addon; undefined where it is missing, was built for another Node, or `--no-addons` forbids it. */
  readonly addon: unknown;
}

/**
 * Loads the transport layer anew, whoever may have loaded it before; those keep theirs, and who loads ssh2 later gets
 * this one. Errors: `unfit`.
 */
export function loadSsh2(prepare: (ciphers: Ssh2Ciphers) => void): Ssh2Modules {
  const require = createRequire(import.meta.url);
  const version = (require('#ssh2/package.json') as { version?: unknown }).version;
  if (version !== SSH2_VERSION) {
    throw new SshError('unfit', `ssh2 ${SSH2_VERSION} is needed and ${String(version)} is installed`);
  }
  forget(require.cache);
  const seen = new Set<string>();
  const hooks = registerHooks({
    load(url, context, next) {
      const loaded = next(url, context);
      const at = url.lastIndexOf(FOLDER);
      if (at === -1 || !url.endsWith('.js')) return loaded;
      const file = url.slice(at + FOLDER.length);
      seen.add(file);
      return {
        ...loaded,
        source: fitSource(file, Buffer.from((loaded.source ?? '') as string | Uint8Array).toString()),
      };
    },
  });
  try {
    // Before all others, which take its functions as they are loaded.
    const crypto = require('#ssh2/lib/protocol/crypto.js') as unknown;
    const poly1305 = require('#ssh2/lib/protocol/crypto/poly1305.js') as unknown;
    prepare({ crypto, poly1305, addon: findAddon(require) });
    const modules = {
      protocol: require('#ssh2/lib/protocol/Protocol.js') as unknown,
      wireTools: require('#ssh2/lib/protocol/utils.js') as unknown,
    };
    for (const file of SSH2_FILES) {
      if (!seen.has(file)) throw new SshError('unfit', `ssh2/lib/protocol/${file} was loaded without being looked at`);
    }
    return modules;
  } finally {
    hooks.deregister();
  }
}

/**
 * The addon that `npm run addon` has built and marked, where it is one for this Node. One that npm has built may end the
 * process whenever memory is collected (nodejs/node#65446).
 */
function findAddon(require: NodeJS.Require): unknown {
  try {
    require('#ssh2/lib/protocol/crypto/build/Release/secretless.json');
    return require('#ssh2/lib/protocol/crypto/build/Release/sshcrypto.node') as unknown;
  } catch {
    return undefined;
  }
}

/** Takes ssh2's transport out of the module cache; native bindings stay, which are loaded once. */
function forget(cache: NodeJS.Dict<NodeJS.Module>): void {
  for (const name of Object.keys(cache)) {
    if (name.replaceAll('\\', '/').includes(FOLDER) && name.endsWith('.js')) delete cache[name];
  }
}
