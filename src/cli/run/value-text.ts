import { TextDecoder } from 'node:util';
import type { Secret } from '../../credential/secret.ts';
import { SidecarError } from '../../error.ts';

const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * A credential as the value of a variable: without the newline that files end with, as `$(cat file)` would have it.
 * Errors: `credential-unfit` where it is no text, or holds a NUL, which no variable can.
 */
export function valueText(secret: Secret, name: string): string {
  return secret.expose((bytes) => {
    let text: string;
    try {
      text = STRICT_UTF8.decode(bytes);
    } catch {
      throw new SidecarError('credential-unfit', { detail: `credential "${name}" is not UTF-8 text` });
    }
    if (text.includes('\0')) throw new SidecarError('credential-unfit', { detail: `credential "${name}" holds a NUL` });
    return text.replace(/\r?\n$/, '');
  });
}
