import { base64Decode } from './base64.ts';
import { STRING_BYTES_MAX, WireError, WireReader } from './wire.ts';

/** More than a certificate of RSA with many principals has in Base64. */
export const LINE_LETTERS_MAX = 64 * 1024;

/** `ssh-ed25519 AAAA… who`: a key or a certificate as text. */
export interface PublicLine {
  /** The first word, which is also the first string of the blob. */
  readonly type: string;
  readonly blob: Buffer;
  readonly comment: string;
}

/**
 * A line of a `.pub` file, or of `authorized_keys` with options in front, which are passed over. The blob is only as
 * good as its type: `readPublicKey` or `readCertificate` look into it. Errors: `WireError`.
 */
export function readPublicLine(line: string): PublicLine {
  if (line.length > LINE_LETTERS_MAX) throw new WireError(`a line of ${line.length} letters`);
  const text = line.trim();
  if (/[\r\n]/.test(text)) throw new WireError('more than one line');
  const plain = typedBlob(text) ?? typedBlob(text.slice(optionsLength(text)).trimStart());
  if (plain === undefined) throw new WireError('no type of key with its Base64');
  return plain;
}

/** Type, Base64 and comment; undefined where it does not begin with a type that its blob confirms. */
export function typedBlob(text: string): PublicLine | undefined {
  const [, type, base64, comment = ''] = /^([!-~]{1,64})[ \t]+([A-Za-z0-9+/]+={0,2})(?:[ \t]+(.*))?$/.exec(text) ?? [];
  if (type === undefined || base64 === undefined) return undefined;
  try {
    const blob = base64Decode(Buffer.from(base64));
    if (blob.length > STRING_BYTES_MAX || new WireReader(blob).name() !== type) return undefined;
    return { type, blob, comment };
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** Letters of the options: up to the first blank outside of quotes (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"). */
function optionsLength(text: string): number {
  let isQuoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const letter = text[at]!;
    if (letter === '\\' && text[at + 1] === '"') at += 1;
    else if (letter === '"') isQuoted = !isQuoted;
    else if (!isQuoted && (letter === ' ' || letter === '\t')) return at;
  }
  return text.length;
}
