import { createHash, timingSafeEqual } from 'node:crypto';
import { SidecarError } from 'secretless-sidecar/connector';

/** Bytes of the whole nonce at most. PostgreSQL's own is 48. */
const NONCE_BYTES_MAX = 1024;
const KEY_BYTES = 32;
const DIGITS = /^[1-9]\d{0,9}$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;
/** RFC 5802 section 7: `printable` is ASCII without blanks, control characters and the comma. */
const PRINTABLE = /^[\x21-\x2b\x2d-\x7e]+$/;

/** What a password was made into (RFC 5802 section 3): enough to log in, and to know the server. */
export interface ScramKeys {
  readonly clientKey: Buffer;
  readonly serverKey: Buffer;
}

/**
 * How the exchange is bound to the TLS channel (RFC 5802 section 6). `none`: the client cannot; `unused`: it could, and
 * believes that the server cannot; `bound`: by the bytes of `tls-server-end-point` (RFC 5929 section 4.1).
 */
export type Binding =
  { readonly kind: 'none' } | { readonly kind: 'unused' } | { readonly kind: 'bound'; readonly bytes: Buffer };

export interface ServerFirst {
  readonly salt: Buffer;
  readonly iterations: number;
}

/** Keys of the salted password: `SaltedPassword` is overwritten. */
export function scramKeys(saltedPassword: Buffer): ScramKeys {
  const clientKey = hmac(saltedPassword, 'Client Key');
  const serverKey = hmac(saltedPassword, 'Server Key');
  saltedPassword.fill(0);
  return { clientKey, serverKey };
}

/**
 * The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677) without any I/O: first message, the server's first, final
 * message, the server's final.
 */
export class ScramExchange {
  readonly #nonce: string;
  readonly #bare: string;
  readonly #header: string;
  readonly #binding: Binding;
  #serverFirst: Buffer | undefined;
  #serverNonce: string | undefined;
  #serverSignature: Buffer | undefined;

  /** `username`: PostgreSQL takes the one of the StartupMessage and expects an empty one here. */
  constructor(binding: Binding, nonce: string, username = '') {
    this.#binding = binding;
    this.#nonce = nonce;
    this.#header = { none: 'n,,', unused: 'y,,', bound: 'p=tls-server-end-point,,' }[binding.kind];
    this.#bare = `n=${username},r=${nonce}`;
  }

  get clientFirst(): string {
    return this.#header + this.#bare;
  }

  /** Errors: `upstream-protocol`. */
  readServerFirst(message: Buffer): ServerFirst {
    const [nonce = '', salt = '', iterations = ''] = message.toString('latin1').split(',');
    // RFC 5802 section 5.1: `m=` in front announces an extension that a client has to understand.
    const whole = attribute(nonce, 'r');
    if (whole.length <= this.#nonce.length || !whole.startsWith(this.#nonce)) throw broken('a nonce that is not ours');
    if (whole.length > NONCE_BYTES_MAX || !PRINTABLE.test(whole)) throw broken('a nonce out of bounds');
    const salted = attribute(salt, 's');
    if (salted === '' || !BASE64.test(salted)) throw broken('a salt that is not base64');
    const count = attribute(iterations, 'i');
    if (!DIGITS.test(count)) throw broken('an iteration count that is no number');
    this.#serverFirst = Buffer.from(message);
    this.#serverNonce = whole;
    return { salt: Buffer.from(salted, 'base64'), iterations: Number(count) };
  }

  /** The client's final message. The keys are not kept. */
  clientFinal({ clientKey, serverKey }: ScramKeys): string {
    const channel = this.#binding.kind === 'bound' ? this.#binding.bytes : Buffer.alloc(0);
    const input = Buffer.concat([Buffer.from(this.#header), channel]);
    const withoutProof = `c=${input.toString('base64')},r=${this.#serverNonce!}`;
    // The bytes as received: an extension behind the known attributes is part of what both sides sign.
    const authMessage = Buffer.concat([
      Buffer.from(`${this.#bare},`),
      this.#serverFirst!,
      Buffer.from(`,${withoutProof}`),
    ]);
    const storedKey = createHash('sha256').update(clientKey).digest();
    const proof = hmac(storedKey, authMessage);
    for (let at = 0; at < proof.length; at += 1) proof[at]! ^= clientKey[at]!;
    this.#serverSignature = hmac(serverKey, authMessage);
    return `${withoutProof},p=${proof.toString('base64')}`;
  }

  /** Errors: `upstream-protocol` where the server does not know the password either; `credential-refused`. */
  readServerFinal(message: Buffer): void {
    const [verifier = ''] = message.toString('latin1').split(',', 1);
    if (verifier.startsWith('e=')) throw new SidecarError('credential-refused', { detail: 'SCRAM server error' });
    const signature = attribute(verifier, 'v');
    if (!BASE64.test(signature)) throw broken('a signature that is not base64');
    const bytes = Buffer.from(signature, 'base64');
    if (this.#serverSignature === undefined || bytes.length !== KEY_BYTES)
      throw broken('a signature of another length');
    if (!timingSafeEqual(bytes, this.#serverSignature)) throw broken('a wrong server signature');
  }
}

function attribute(text: string, name: string): string {
  if (!text.startsWith(`${name}=`)) throw broken(`no attribute ${name} in its place`);
  return text.slice(2);
}

function broken(what: string): SidecarError {
  return new SidecarError('upstream-protocol', { detail: `SCRAM message with ${what}` });
}

const BLOCK_BYTES = 64;

/**
 * HMAC-SHA-256 (RFC 2104) by its definition, for keys of a block at most. Node's `createHmac` makes a key object each
 * time, which takes several times as long as the two hashes and leaves a copy of the key that nobody overwrites.
 */
function hmac(key: Buffer, content: Buffer | string): Buffer {
  const pad = Buffer.alloc(BLOCK_BYTES, 0x36);
  for (let at = 0; at < key.length; at += 1) pad[at]! ^= key[at]!;
  const inner = createHash('sha256').update(pad).update(content).digest();
  // 0x36 becomes 0x5c.
  for (let at = 0; at < BLOCK_BYTES; at += 1) pad[at]! ^= 0x36 ^ 0x5c;
  const outer = createHash('sha256').update(pad).update(inner).digest();
  pad.fill(0);
  return outer;
}
