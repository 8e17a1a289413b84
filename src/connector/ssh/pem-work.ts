import { base64Decode } from './base64.ts';
import { TAG } from './der.ts';
import { WireError } from './wire.ts';

const BEGIN = Buffer.from('-----BEGIN ENCRYPTED PRIVATE KEY-----');
const END = Buffer.from('-----END ENCRYPTED PRIVATE KEY-----');
/** Iterations of PBKDF2: more than a hundred times what is written today, and still less than a minute. */
const WORK_MAX = 50_000_000;
/** What is nested in the algorithm of a key has five levels. */
const DEPTH_MAX = 8;

/**
 * Refuses a PEM whose key would take too long to derive: once begun, nothing but the end of the process ends it. An
 * encrypted PKCS#8 tells in clear how often and how wide (RFC 8018 appendix A, RFC 7914 section 7). Errors: `WireError`.
 */
export function checkPemWork(text: Buffer): void {
  for (let begin = text.indexOf(BEGIN); begin !== -1; begin = text.indexOf(BEGIN, begin + 1)) {
    const end = text.indexOf(END, begin);
    if (end === -1) throw new WireError('the file is cut');
    const whole = elementAt(base64Decode(text.subarray(begin + BEGIN.length, end)), 0);
    const algorithm = whole.tag === TAG.sequence ? elementAt(whole.content, 0) : whole;
    if (algorithm.tag !== TAG.sequence || workOf(algorithm.content, 0) > WORK_MAX) {
      throw new WireError('a derivation that takes too much');
    }
  }
}

/** All numbers in there multiplied: iterations, and of scrypt its cost, its block and its lanes. */
function workOf(bytes: Buffer, depth: number): number {
  if (depth === DEPTH_MAX) throw new WireError('an algorithm that is nested too deep');
  let work = 1;
  for (let at = 0; at < bytes.length;) {
    const { tag, content, end } = elementAt(bytes, at);
    if (tag === TAG.sequence) work *= workOf(content, depth + 1);
    // A number below one is refused where it is used.
    if (tag === TAG.integer) work *= Math.max(1, Number(`0x${content.toString('hex') || '0'}`));
    at = end;
  }
  return work;
}

interface Element {
  readonly tag: number;
  readonly content: Buffer;
  /** Where the next begins. */
  readonly end: number;
}

/** X.690 section 8.1, of definite length. */
function elementAt(bytes: Buffer, at: number): Element {
  const [tag, first] = [bytes[at], bytes[at + 1]];
  if (tag === undefined || first === undefined) throw new WireError('the file is cut');
  const extra = first < 0x80 ? 0 : first - 0x80;
  if (first === 0x80 || extra > 3 || at + 2 + extra > bytes.length) throw new WireError('an element without an end');
  const length = extra === 0 ? first : bytes.readUIntBE(at + 2, extra);
  const begin = at + 2 + extra;
  if (begin + length > bytes.length) throw new WireError('the file is cut');
  return { tag, content: bytes.subarray(begin, begin + length), end: begin + length };
}
