/** Messages for tests, written from the protocol's page "Message Formats" and not from the connector. */

type Text = string | Uint8Array;

export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
}

/** A message without a type: its length, then the parts. */
export function untyped(...parts: Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([int32(body.length + 4), body]);
}

export function typed(type: string, ...parts: Text[]): Buffer {
  return Buffer.concat([Buffer.from(type), untyped(...parts.map((part) => Buffer.from(part as string)))]);
}

export function startupPacket(parameters: readonly (readonly [string, Text])[], version = 0x00030000): Buffer {
  const nul = Buffer.alloc(1);
  const pairs = parameters.flatMap(([name, value]) => [
    Buffer.from(name, 'latin1'),
    nul,
    Buffer.from(value as string),
    nul,
  ]);
  return untyped(int32(version), ...pairs, nul);
}

export const SSL_REQUEST = untyped(int32(80_877_103));
export const GSSENC_REQUEST = untyped(int32(80_877_104));

export function cancelRequest(key: Uint8Array): Buffer {
  return untyped(int32(80_877_102), key);
}

export function authentication(code: number, ...parts: Text[]): Buffer {
  return typed('R', int32(code), ...parts);
}

export const AUTHENTICATION_OK = authentication(0);

export function sasl(...mechanisms: string[]): Buffer {
  return authentication(10, `${mechanisms.map((name) => `${name}\0`).join('')}\0`);
}

export function errorFrame(fields: Readonly<Record<string, string>>): Buffer {
  return typed('E', `${Object.entries(fields).map(([type, text]) => `${type}${text}\0`).join('')}\0`);
}

export function parameterStatus(name: string, value: string): Buffer {
  return typed('S', `${name}\0${value}\0`);
}

export const READY = typed('Z', 'I');
