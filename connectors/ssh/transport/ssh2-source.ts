import { createHash } from 'node:crypto';
import { SshError } from './ssh-error.ts';

/**
 * The transport layer of ssh2 (framing, ciphers, key exchange; neither its login nor its channels), loaded so that what
 * runs is known byte for byte.
 *
 * Every file of it is compared with the digest of the release that this code was written and tested against, and six
 * things that no option reaches are changed as it is loaded:
 *
 * - the packet limit of 35,000 bytes, which ends the connection of any `ssh host '<a long script>'` (OpenSSH takes 256 KiB);
 * - the server's EXT_INFO, which lacks a comma and offers SHA-1 signatures;
 * - the native addon, which may end the process unless it was built for us (`findAddon`);
 * - certificates of hosts, which it does not know: it finds the key within them and verifies the exchange with that. Who
 *   signed them and for whom is the business of whoever checks the host key;
 * - a first message of the key exchange that is sent on a guess (dropbear), which it throws away where the guess is right;
 * - messages within a later key exchange (asyncssh), which it refuses as if it were the first; OpenSSH takes them.
 *
 * Beside that, the packets of the ciphers with a tag are ours (`ssh2-ciphers.ts`).
 *
 * Another release, or a changed file, is an error at start: nothing runs unprotected.
 */
export const SSH2_VERSION = '1.17.0';

/** Largest packet that either side may send, as OpenSSH's PACKET_MAX_SIZE; 20 are length field and tag, which ssh2 counts. */
export const PACKET_BYTES_MAX = 256 * 1024;
const SSH2_LIMIT = PACKET_BYTES_MAX + 20;

/** SHA-256 of the files of `lib/protocol` as published on npm. */
const DIGESTS: Readonly<Record<string, string>> = {
  'Protocol.js': 'c1104b49087de7a91cd3ffaac8807c05eebf49f61effd084d0b0caf29fde6af4',
  'crypto.js': 'a729d2064e787e2a4589c25a284444fe54a58b7434a4e6e5e8e9c73c6d91e28e',
  'utils.js': '402b39e75ede9e3dc99af5e8af008602546f35aa1472bd4232c06f606987f053',
  'crypto/poly1305.js': '55a579ed6a30022054fd1dd822b1b49e2fc51bfbdfa933bfe441de8b7e4dce40',
  'constants.js': 'a3894fdd8e294109b55f06fbda69e467741f15a250801b744b6b0487bbf32529',
  'kex.js': '054ba4b81801596350f0e2e939746d2966297cffd4303b342c25b2fd5d295755',
  'keyParser.js': 'ba4f40a5a9edef15ff49a38226e2be2e66f75aa2673840dd18b807bb7943eca9',
  'zlib.js': '8cd9f4c1825cbc394ddf9cf076a5ba9195ec255db9e904182ae9c25a1036e2d6',
  'handlers.js': 'b15f990134a4f69b7492d0b875d80d8c28228907045619b01ec30871ac711df9',
  'handlers.misc.js': '8927c504c3c338187f36f0304a3452d6396ec9fc907af3db2be46a5f175c36a1',
};

/** Every file that is loaded, below `lib/protocol`. */
export const SSH2_FILES: readonly string[] = Object.keys(DIGESTS);

const CHANGES: Readonly<Record<string, readonly (readonly [from: string, to: string])[]>> = {
  'crypto.js': [
    ['const MAX_PACKET_SIZE = 35000;', `const MAX_PACKET_SIZE = ${SSH2_LIMIT};`],
    [
      "  binding = require('./crypto/build/Release/sshcrypto.node');",
      "  binding = require('./crypto/build/Release/secretless.json') && require('./crypto/build/Release/sshcrypto.node');",
    ],
  ],
  'kex.js': [
    [
      'if (firstFollows && (!remote.kex.length || clientList[i] !== remote.kex[0])) {',
      // RFC 4253 section 7: a guess is right where both sides like the same best. As it is, every guess counts as wrong.
      'if (firstFollows && (clientList[0] !== serverList[0]' +
        ' || local.lists.serverHostKey.array[0] !== remote.serverHostKey[0])) {',
    ],
    // PROTOCOL section 1.10: only the first exchange is strict about what comes in between; what does is under the old keys.
    ['onKEXPayload.bind(self, { firstPacket: false })', 'onKEXPayload.bind(self, { firstPacket: false, again: true })'],
    ['if (!this._strictMode) {', 'if (!this._strictMode || state.again) {'],
    [
      'if (type < 20 || type > 49) {',
      'if (type > 49 && state.again) return this._onPayload(payload); if (type < 20 || type > 49) {',
    ],
    [
      'if (hostPubKeyType !== this.negotiated.serverHostKey) {',
      "if (hostPubKeyType !== this.negotiated.serverHostKey.replace(/^rsa-sha2-(?:256|512)-cert/, 'ssh-rsa-cert')) {",
    ],
    [
      'if (sigType !== negotiated.serverHostKey) {',
      "if (sigType !== negotiated.serverHostKey.replace('-cert-v01@openssh.com', '')) {",
    ],
    [
      'const hostKey = this._hostKey.slice(bufferParser.pos());',
      // PROTOCOL.certkeys: a nonce stands between the type and the fields of the key.
      "if (name && name.endsWith('-cert-v01@openssh.com')) bufferParser.skipString();" +
        'const hostKey = this._hostKey.slice(bufferParser.pos());',
    ],
    ['parseDERKey(hostKey, name);', "parseDERKey(hostKey, name && name.replace('-cert-v01@openssh.com', ''));"],
    [
      'parsedHostKey.verify(exchangeHash, sigValue, hashAlgo);',
      "parsedHostKey.verify(exchangeHash, sigValue, { 'rsa-sha2-256': 'sha256', 'rsa-sha2-512': 'sha512' }[sigType]);",
    ],
  ],
  'Protocol.js': [
    [
      "ecdsa-sha2-nistp521'\n      + 'rsa-sha2-512,rsa-sha2-256,ssh-rsa,ssh-dss'",
      "ecdsa-sha2-nistp521,'\n      + 'rsa-sha2-512,rsa-sha2-256'",
    ],
  ],
};

/**
 * The text that is to run in place of `source`, a file of ssh2's `lib/protocol`. Errors: `unfit` where the file is
 * unknown or not the one that was published.
 */
export function fitSource(file: string, source: string): string {
  const digest = createHash('sha256').update(source).digest('hex');
  if (DIGESTS[file] !== digest) {
    throw new SshError('unfit', `ssh2/lib/protocol/${file} is not that of ssh2 ${SSH2_VERSION}`);
  }
  let fitted = source;
  for (const [from, to] of CHANGES[file] ?? []) {
    if (fitted.split(from).length !== 2) throw new SshError('unfit', `ssh2/lib/protocol/${file} cannot be changed`);
    fitted = fitted.replace(from, () => to);
  }
  return fitted;
}
