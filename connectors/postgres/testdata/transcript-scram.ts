/**
 * The server's side of SCRAM-SHA-256 and of its PLUS form (RFC 5802, RFC 7677), from the RFC's formulas: it checks the
 * client's proof, and signs. Each deviation is one that a hostile or odd server could choose.
 */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { int32, mechanisms, request } from './transcript-messages.ts';

export interface ScramChoices {
  readonly password: string;
  readonly salt?: Uint8Array;
  readonly iterations?: number;
  /** What the `i` attribute claims, where it is to lie. */
  readonly claimedIterations?: string;
  /** What is appended to the client's nonce. */
  readonly nonce?: string;
  /** Behind the attributes of the server's first message: an extension, part of what is signed. */
  readonly extension?: string;
  readonly offered?: readonly string[];
  /** Bytes of `tls-server-end-point` (RFC 5929). */
  readonly endPoint?: Uint8Array;
  /** What the gs2 header must be; default: by `endPoint` and what is offered. */
  readonly gs2?: string;
}

const salted = new Map<string, Buffer>();

function saltedPassword(password: string, salt: Uint8Array, iterations: number): Buffer {
  const name = `${password} ${Buffer.from(salt).toString('hex')} ${iterations}`;
  const made = salted.get(name) ?? pbkdf2Sync(password, salt, iterations, 32, 'sha256');
  salted.set(name, made);
  return made;
}

const hmac = (key: Uint8Array, content: string): Buffer => createHmac('sha256', key).update(content).digest();
const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();

export class ScramServer {
  /** The mechanism that the client chose. */
  mechanism = '';
  readonly #choices: ScramChoices;
  readonly #salt: Uint8Array;
  readonly #iterations: number;
  #clientFirstBare = '';
  #header = '';
  #nonce = '';
  #serverFirst = '';
  #signature: Buffer = Buffer.alloc(0);

  constructor(choices: ScramChoices) {
    this.#choices = choices;
    this.#salt = choices.salt ?? Buffer.from('0123456789abcdef');
    this.#iterations = choices.iterations ?? 4096;
  }

  offer(): Buffer {
    return mechanisms(...(this.#choices.offered ?? ['SCRAM-SHA-256']));
  }

  /** SASLInitialResponse. */
  readonly initial = (bytes: Buffer): void => {
    const body = bodyOf(bytes);
    const end = body.indexOf(0);
    this.mechanism = body.toString('latin1', 0, end);
    const first = body.subarray(end + 5).toString('latin1');
    if (body.readUInt32BE(end + 1) !== first.length) throw new Error('a first message of another length');
    const [, header = '', bare = '', nonce = ''] = /^((?:n|y|p=[\w-]+),,)(n=[^,]*,r=([\x21-\x2b\x2d-\x7e]+))$/.exec(first) ?? [];
    const offersPlus = this.#choices.offered?.includes('SCRAM-SHA-256-PLUS') === true;
    const usual = this.mechanism === 'SCRAM-SHA-256-PLUS' ? 'p=tls-server-end-point,,' : 'n,,';
    const wanted = this.#choices.gs2 ?? usual;
    // RFC 5802 section 6: `y` towards a server that did offer PLUS is a downgrade on the way.
    if (header !== wanted || (header === 'y,,' && offersPlus)) throw new Error(`gs2 header ${header} instead of ${wanted}`);
    [this.#header, this.#clientFirstBare] = [header, bare];
    this.#nonce = `${nonce}${this.#choices.nonce ?? 'server-nonce-of-18'}`;
  };

  readonly continue = (): Buffer => {
    const salt = Buffer.from(this.#salt).toString('base64');
    const claimed = this.#choices.claimedIterations ?? String(this.#iterations);
    this.#serverFirst = `r=${this.#nonce},s=${salt},i=${claimed}${this.#choices.extension ?? ''}`;
    return request(11, this.#serverFirst);
  };

  /** SASLResponse: throws where the client does not know the password or is bound to another channel. */
  readonly response = (bytes: Buffer): void => {
    const message = bodyOf(bytes).toString('latin1');
    const [, withoutProof = '', binding = '', nonce = '', proof = ''] =
      /^(c=([\w+/=]+),r=([^,]+)),p=([\w+/=]+)$/.exec(message) ?? [];
    if (nonce !== this.#nonce) throw new Error('another nonce');
    const bound = this.mechanism === 'SCRAM-SHA-256-PLUS' ? (this.#choices.endPoint ?? Buffer.alloc(0)) : Buffer.alloc(0);
    const channel = Buffer.concat([Buffer.from(this.#header), bound]);
    if (!Buffer.from(binding, 'base64').equals(channel)) throw new Error('bound to another channel');
    const key = saltedPassword(this.#choices.password, this.#salt, this.#iterations);
    const signed = `${this.#clientFirstBare},${this.#serverFirst},${withoutProof}`;
    const storedKey = sha256(hmac(key, 'Client Key'));
    const clientSignature = hmac(storedKey, signed);
    const clientKey = Buffer.from(proof, 'base64').map((byte, at) => byte ^ clientSignature[at]!);
    if (!sha256(clientKey).equals(storedKey)) throw new Error('a wrong proof');
    this.#signature = hmac(hmac(key, 'Server Key'), signed);
  };

  /** What only somebody who knows the password can say; empty before the client has proved the same. */
  get signature(): string {
    return this.#signature.toString('base64');
  }

  readonly final = (): Buffer => request(12, `v=${this.#signature.toString('base64')}`);

  /** The signature of somebody who does not know the password. */
  readonly forgedFinal = (): Buffer => request(12, `v=${sha256(this.#signature).toString('base64')}`);
}

/** The body of one `p` message. */
export function bodyOf(bytes: Buffer): Buffer {
  if (bytes[0] !== 0x70 || bytes.readUInt32BE(1) + 1 !== bytes.length) throw new Error('not one message of type p');
  return bytes.subarray(5);
}

/** SASLInitialResponse as another client would write it. */
export function initialResponse(mechanism: string, first: string): Buffer {
  const body = Buffer.concat([Buffer.from(`${mechanism}\0`), int32(first.length), Buffer.from(first)]);
  return Buffer.concat([Buffer.from('p'), int32(body.length + 4), body]);
}
