import { serialize } from 'pg-protocol';
import { type Secret, SidecarError } from 'secretless-sidecar/connector';
import { frameOf, TYPE } from './frame.ts';

/** PG_MAX_AUTH_TOKEN_LENGTH: a server takes no longer answer. Tokens of cloud providers have some thousand bytes. */
const PASSWORD_BYTES_MAX = 65_535;

/** SSLRequest. */
export function sslRequest(): Buffer {
  return serialize.requestSsl();
}

/** SASLInitialResponse of a mechanism whose first message is text. */
export function saslInitialResponse(mechanism: string, first: string): Buffer {
  return serialize.sendSASLInitialResponseMessage(mechanism, first);
}

/** SASLResponse with text. */
export function saslResponse(text: string): Buffer {
  return serialize.sendSCRAMClientFinalMessage(text);
}

/** PasswordMessage; holds the password, so send it with `writeSecret`. Errors: `credential-unfit`. */
export function passwordMessage(password: Secret): Buffer {
  if (password.length > PASSWORD_BYTES_MAX) {
    throw new SidecarError('credential-unfit', { detail: 'credential "password" is longer than a server takes' });
  }
  return password.expose((bytes) => {
    const message = frameOf(TYPE.password, Buffer.alloc(bytes.length + 1));
    message.set(bytes, message.length - 1 - bytes.length);
    return message;
  });
}

/** Of `b64token`, RFC 6750 section 2.1, without its padding. */
const TOKEN_CHARACTER = /^[\w.~+/-]$/;

/**
 * SASLInitialResponse of OAUTHBEARER (RFC 7628 section 3.1); holds the token, so send it with `writeSecret`.
 * Errors: `credential-unfit` where the password is no bearer token.
 */
export function bearerMessage(token: Secret): Buffer {
  return token.expose((bytes) => {
    if (bytes.length > PASSWORD_BYTES_MAX || !isBearerToken(bytes)) {
      throw new SidecarError('credential-unfit', { detail: 'credential "password" is not a bearer token' });
    }
    const response = Buffer.concat([Buffer.from('n,,\x01auth=Bearer '), bytes, Buffer.from('\x01\x01')]);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(response.length);
    const body = Buffer.concat([Buffer.from('OAUTHBEARER\0'), length, response]);
    const message = frameOf(TYPE.password, body);
    response.fill(0);
    body.fill(0);
    return message;
  });
}

/** On bytes: the token never becomes a text that cannot be wiped. */
function isBearerToken(bytes: Buffer): boolean {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0x3d) end -= 1;
  return end > 0 && bytes.subarray(0, end).every((byte) => TOKEN_CHARACTER.test(String.fromCharCode(byte)));
}
