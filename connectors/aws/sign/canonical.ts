import { hash } from 'node:crypto';
import type { SignedFields } from './fields.ts';

/** SHA-256 of no bytes. */
export const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';

export interface CanonicalParts {
  readonly method: string;
  /** From `canonicalPath`. */
  readonly path: string;
  /** From `canonicalQuery`. */
  readonly query: string;
  readonly fields: SignedFields;
  /** Lower-case hex, or one of the words that `x-amz-content-sha256` may have. */
  readonly payloadHash: string;
}

// eslint-disable-next-line no-control-regex -- the range of ASCII is what is looked for
const ASCII = /^[\u0000-\u007f]*$/;

/** The canonical request, latin1 (IAM User Guide, "Create a signed AWS API request", step 1). */
export function canonicalRequest({ method, path, query, fields, payloadHash }: CanonicalParts): string {
  return `${method}\n${path}\n${query}\n${fields.canonical}\n${fields.names}\n${payloadHash}`;
}

/** Lower-case hex SHA-256 over the latin1 bytes: a field value in UTF-8 is then hashed as it travels. */
export function sha256Latin1(text: string): string {
  return hash('sha256', ASCII.test(text) ? text : Buffer.from(text, 'latin1'), 'hex');
}
