/**
 * Messages of both sides, written down from the protocol's own page ("Message Formats") and from nothing else, so that
 * a transcript does not repeat the connector's code.
 */

export const V3_0 = 0x0003_0000;
export const V3_2 = 0x0003_0002;
/** What a client sends to see whether negotiation works: no server has this version. */
export const GREASE = 0x0003_270f;

const text = (value: string): Buffer => Buffer.from(`${value}\0`, 'latin1');

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** Length, code and rest of a message without a type. */
export function untyped(code: number, rest: Uint8Array = Buffer.alloc(0)): Buffer {
  return Buffer.concat([int32(8 + rest.length), int32(code), rest]);
}

export function startup(parameters: readonly (readonly [string, string])[], version = V3_0): Buffer {
  return untyped(version, Buffer.concat([...parameters.flatMap(([name, value]) => [text(name), text(value)]), text('')]));
}

export const sslRequest = untyped(80_877_103);
export const gssRequest = untyped(80_877_104);

export function cancelRequest(pid: number, key: Uint8Array): Buffer {
  return untyped(80_877_102, Buffer.concat([int32(pid), key]));
}

/** `length` where it is to lie. */
export function frame(type: string, body: Uint8Array | string = '', length?: number): Buffer {
  const bytes = Buffer.from(body as string);
  return Buffer.concat([Buffer.from(type), int32(length ?? bytes.length + 4), bytes]);
}

export function request(code: number, rest: Uint8Array | string = ''): Buffer {
  return frame('R', Buffer.concat([int32(code), Buffer.from(rest as string)]));
}

export const authenticationOk = request(0);

export function mechanisms(...names: readonly string[]): Buffer {
  return request(10, Buffer.concat([...names.map(text), text('')]));
}

export function parameterStatus(name: string, value: string): Buffer {
  return frame('S', Buffer.concat([text(name), text(value)]));
}

export function backendKey(pid: number, key: Uint8Array): Buffer {
  return frame('K', Buffer.concat([int32(pid), key]));
}

export function ready(status = 'I'): Buffer {
  return frame('Z', status);
}

export function errorResponse(fields: Readonly<Record<string, string>>): Buffer {
  const all = Object.entries(fields).map(([type, value]) => text(type + value));
  return frame('E', Buffer.concat([...all, Buffer.alloc(1)]));
}

export function serverError(sqlstate: string, message = 'as the server says it'): Buffer {
  return errorResponse({ S: 'FATAL', V: 'FATAL', C: sqlstate, M: message });
}

/** NegotiateProtocolVersion: the newest minor that the server has, and the options that it does not know. */
export function negotiate(minor: number, ...options: readonly string[]): Buffer {
  return frame('v', Buffer.concat([int32(minor), int32(options.length), ...options.map(text)]));
}

export function passwordMessage(password: string): Buffer {
  return frame('p', text(password));
}

/** Fields of the one ErrorResponse that `bytes` are; throws where they are anything else. */
export function fieldsOf(bytes: Buffer): Readonly<Record<string, string>> {
  if (bytes[0] !== 0x45 || bytes.readUInt32BE(1) + 1 !== bytes.length) throw new Error('not one ErrorResponse');
  const parts = bytes.subarray(5).toString('utf8').split('\0');
  if (parts.at(-1) !== '' || parts.at(-2) !== '') throw new Error('an ErrorResponse without an end');
  return Object.fromEntries(parts.slice(0, -2).map((part) => [part.slice(0, 1), part.slice(1)]));
}

/** The nonce in a SASLInitialResponse of SCRAM. */
export function clientNonceOf(bytes: Buffer): string {
  return /,r=([^,]+)$/.exec(bytes.toString('latin1'))?.[1] ?? '';
}
