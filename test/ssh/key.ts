import { createPrivateKey, createPublicKey } from 'node:crypto';
import { canary } from '../canary.ts';

/** RFC 8410 section 7: what comes before the 32 bytes of an Ed25519 key in PKCS#8. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
/** `PROTOCOL.key`: the characters of a line. */
const LINE_CHARACTERS = 70;
const TYPE = Buffer.from('ssh-ed25519');

/** A private key that the leak sweep looks for. */
export interface CanaryKey {
  /** What the sweep looks for: the 32 letters that the key is made of. */
  readonly seed: string;
  /** As OpenSSH writes it. */
  readonly openssh: string;
  /** PKCS#8 in PEM. */
  readonly pkcs8: string;
  /** As in `authorized_keys`. */
  readonly line: string;
  readonly blob: Buffer;
}

/**
 * The seed of an Ed25519 key is any 32 bytes, so it is a canary itself: the sweep knows it raw, in hex and in Base64,
 * and in both containers its Base64 stands within one line.
 */
export function canaryKey(): CanaryKey {
  const letters = canary('..');
  const seed = Buffer.from(letters);
  if (seed.length !== 32) throw new Error(`a seed has 32 bytes, not ${seed.length}`);
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' });
  const point = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);
  const blob = Buffer.concat([string(TYPE), string(point)]);
  const openssh = armour('OPENSSH PRIVATE KEY', container(blob, point, seed), LINE_CHARACTERS);
  const pkcs8 = key.export({ format: 'pem', type: 'pkcs8' }).toString();
  return { seed: letters, openssh, pkcs8, line: `${TYPE.toString()} ${blob.toString('base64')}`, blob };
}

/** `PROTOCOL.key`, unencrypted. */
function container(blob: Buffer, point: Buffer, seed: Buffer): Buffer {
  const check = Buffer.from('12345678', 'hex');
  const fields = [check, check, string(TYPE), string(point), string(Buffer.concat([seed, point])), string('')];
  const inner = Buffer.concat(fields);
  const padding = Buffer.from(Array.from({ length: (8 - (inner.length % 8)) % 8 }, (_, at) => at + 1));
  const outer = ['none', 'none', ''].map(string);
  const one = Buffer.from([0, 0, 0, 1]);
  return Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    ...outer,
    one,
    string(blob),
    string(Buffer.concat([inner, padding])),
  ]);
}

function string(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function armour(label: string, bytes: Buffer, characters: number): string {
  const lines = bytes.toString('base64').match(new RegExp(`.{1,${characters}}`, 'g'))!;
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
