import type { Ssh2Ciphers, Ssh2Modules } from '../../connectors/ssh/transport/ssh2-load.ts';

// The bundler replaces each `require` of a file of ssh2 by the file, whose digest it has compared, changed by `fitSource`.
declare function require(name: string): unknown;

/** In place of `connectors/ssh/transport/ssh2-load.ts`. There is no native addon. */
export function loadSsh2(prepare: (ciphers: Ssh2Ciphers) => void): Ssh2Modules {
  // Before all others, which take its functions as they are loaded.
  const crypto = require('ssh2/lib/protocol/crypto.js');
  const poly1305 = require('ssh2/lib/protocol/crypto/poly1305.js');
  prepare({ crypto, poly1305, addon: undefined });
  return { protocol: require('ssh2/lib/protocol/Protocol.js'), wireTools: require('ssh2/lib/protocol/utils.js') };
}
