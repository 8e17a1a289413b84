import { type Credentials, SidecarError } from 'secretless-sidecar/connector';

/** `accessToken` is the word of CyberArk's broker for the session token. */
export type CredentialName = 'accessKeyId' | 'secretAccessKey' | 'sessionToken' | 'accessToken';

const KEY_ID = /^[\x21-\x2b\x2d-\x2e\x30-\x3a\x3c\x3e-\x7e]{1,128}$/;
const TOKEN = /^[\x21-\x7e]{1,16384}$/;

/** Both travel as text in every request: AWS names them so. Errors: `credential-unfit`. */
export function publicParts(credentials: Credentials<CredentialName>): {
  readonly accessKeyId: string;
  readonly sessionToken: string | undefined;
} {
  return { accessKeyId: textOf(credentials, 'accessKeyId', KEY_ID), sessionToken: sessionTokenOf(credentials) };
}

function sessionTokenOf(credentials: Credentials<CredentialName>): string | undefined {
  for (const name of ['sessionToken', 'accessToken'] as const) {
    if (credentials.has(name)) return textOf(credentials, name, TOKEN);
  }
  return undefined;
}

function textOf(credentials: Credentials<CredentialName>, name: CredentialName, form: RegExp): string {
  const text = credentials.get(name).expose((bytes) => bytes.toString('latin1', 0, lengthOf(bytes)));
  if (!form.test(text)) throw unfit(name);
  return text;
}

/** Lends the secret without the line break that ends a file. Errors: `credential-unfit`. */
export function lendSecretKey(credentials: Credentials<CredentialName>) {
  return <Result>(use: (secretAccessKey: Uint8Array) => Result): Result =>
    credentials.get('secretAccessKey').expose((bytes) => {
      const secret = bytes.subarray(0, lengthOf(bytes));
      if (secret.length === 0 || !secret.every((byte) => byte > 0x20 && byte < 0x7f)) throw unfit('secretAccessKey');
      return use(secret);
    });
}

/** Bytes without one line break at the end. */
function lengthOf(bytes: Uint8Array): number {
  const { length } = bytes;
  if (length === 0 || bytes[length - 1] !== 0x0a) return length;
  return length > 1 && bytes[length - 2] === 0x0d ? length - 2 : length - 1;
}

function unfit(name: CredentialName): SidecarError {
  return new SidecarError('credential-unfit', { detail: `${name} is empty or has characters that none has` });
}
