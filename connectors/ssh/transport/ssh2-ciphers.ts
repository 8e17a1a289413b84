import {
  addonChachaOpener,
  addonChachaSealer,
  addonGcmOpener,
  addonGcmSealer,
  nodeChachaOpener,
  nodeChachaSealer,
  nodeGcmOpener,
  nodeGcmSealer,
  type Opener,
  type Sealer,
} from './aead.ts';
import { AeadCipher, AeadDecipher } from './aead-packets.ts';
import { poly1305Of, type Poly1305, type Poly1305Module } from './poly1305.ts';
import type { Addon } from './ssh2-addon.ts';
import type { Ssh2Ciphers } from './ssh2-load.ts';
import { SshError } from './ssh-error.ts';

interface CipherKind {
  /** OpenSSL's name. */
  readonly sslName: string;
  readonly blockLen: number;
}

/** What ssh2 makes a cipher and a decipher from. */
interface Outbound {
  readonly onWrite: (bytes: Buffer) => void;
  readonly seqno: number;
  readonly cipherInfo: CipherKind;
  readonly cipherKey: Buffer;
  readonly cipherIV: Buffer;
}
interface Inbound {
  readonly onPayload: (message: Buffer) => number | false | undefined;
  readonly seqno: number;
  readonly decipherInfo: CipherKind;
  readonly decipherKey: Buffer;
  readonly decipherIV: Buffer;
}
interface CryptoModule {
  createCipher: (config: { readonly outbound: Outbound }) => unknown;
  createDecipher: (config: { readonly inbound: Inbound }) => unknown;
  readonly init: Promise<void>;
}

export interface ReplacedCiphers {
  /** Whether the native addon is there: it encrypts in place, what stands in for it does not. */
  readonly native: boolean;
  /** Loads the WebAssembly of Poly1305, which is needed where the addon is not. */
  readonly ready: Promise<void>;
}

/**
 * Puts our packets in place of ssh2's for AES-GCM and ChaCha20-Poly1305, with the addon and without. ssh2's own copy
 * each message into new memory, ask the system for each packet's padding, and without the addon make the keys anew for
 * each packet; the other ciphers stay ssh2's. Errors: `unfit`.
 */
export function replaceCiphers({ crypto, poly1305: load, addon: found }: Ssh2Ciphers): ReplacedCiphers {
  const stock = crypto as CryptoModule;
  if (typeof stock.createCipher !== 'function' || typeof stock.createDecipher !== 'function') {
    throw new SshError('unfit', 'ssh2 does not export its ciphers');
  }
  const addon = found as Addon | undefined;
  let poly1305: Poly1305 | undefined;
  const loading = async (): Promise<void> => {
    const loaded = (load as () => Promise<Poly1305Module>)();
    await stock.init;
    poly1305 = poly1305Of(await loaded);
  };
  const { createCipher, createDecipher } = stock;
  stock.createCipher = (config) => {
    const { onWrite, seqno, cipherInfo: kind, cipherKey: key, cipherIV: iv } = config.outbound;
    const sealer = sealerFor(kind.sslName, { key, iv }, addon, poly1305);
    return sealer === undefined ? createCipher(config) : new AeadCipher(sealer, kind.blockLen, seqno, onWrite);
  };
  stock.createDecipher = (config) => {
    const { onPayload, seqno, decipherInfo: kind, decipherKey: key, decipherIV: iv } = config.inbound;
    const opener = openerFor(kind.sslName, { key, iv }, addon, poly1305);
    return opener === undefined ? createDecipher(config) : new AeadDecipher(opener, kind.blockLen, seqno, onPayload);
  };
  return { native: addon !== undefined, ready: loading() };
}

type KeyAndIv = { readonly key: Buffer; readonly iv: Buffer };

/** Undefined where the cipher is one without a tag. */
export function sealerFor(cipher: string, keys: KeyAndIv, addon?: Addon, poly1305?: Poly1305): Sealer | undefined {
  switch (cipher) {
    case 'aes-128-gcm':
    case 'aes-256-gcm':
      return addon === undefined ? nodeGcmSealer({ cipher, ...keys }) : addonGcmSealer(addon, { cipher, ...keys });
    case 'chacha20':
      if (addon !== undefined) return addonChachaSealer(addon, { cipher, ...keys });
      return poly1305 === undefined ? undefined : nodeChachaSealer(poly1305, { cipher, ...keys });
    default:
      return undefined;
  }
}

/** Undefined where the cipher is one without a tag. */
export function openerFor(cipher: string, keys: KeyAndIv, addon?: Addon, poly1305?: Poly1305): Opener | undefined {
  switch (cipher) {
    case 'aes-128-gcm':
    case 'aes-256-gcm':
      return addon === undefined ? nodeGcmOpener({ cipher, ...keys }) : addonGcmOpener(addon, { cipher, ...keys });
    case 'chacha20':
      if (addon !== undefined) return addonChachaOpener(addon, { cipher, ...keys });
      return poly1305 === undefined ? undefined : nodeChachaOpener(poly1305, { cipher, ...keys });
    default:
      return undefined;
  }
}
