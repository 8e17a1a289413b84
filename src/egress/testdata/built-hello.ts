/** Hellos by hand, right and wrong (RFC 8446 section 4.1.2). */
export interface HelloParts {
  readonly version?: number;
  /** Bytes of the session id. */
  readonly session?: number;
  readonly suites?: Buffer;
  readonly compression?: Buffer;
  readonly names?: readonly string[];
  readonly alpn?: readonly string[];
  readonly more?: readonly Buffer[];
  /** Behind the extensions. */
  readonly behind?: Buffer;
  /** Without extensions. */
  readonly bare?: boolean;
}

export function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}

export function vector(width: 1 | 2, bytes: Buffer): Buffer {
  return Buffer.concat([width === 1 ? Buffer.of(bytes.length) : u16(bytes.length), bytes]);
}

export function extension(type: number, body: Buffer): Buffer {
  return Buffer.concat([u16(type), vector(2, body)]);
}

export function serverNames(names: readonly string[]): Buffer {
  const list = names.map((name) => Buffer.concat([Buffer.of(0), vector(2, Buffer.from(name))]));
  return extension(0, vector(2, Buffer.concat(list)));
}

/** In one record, or more where it does not fit. */
export function builtHello(parts: HelloParts): Buffer {
  const extensions = [
    ...(parts.names === undefined ? [] : [serverNames(parts.names)]),
    ...(parts.alpn === undefined
      ? []
      : [extension(16, vector(2, Buffer.concat(parts.alpn.map((name) => vector(1, Buffer.from(name, 'latin1'))))))]),
    ...(parts.more ?? []),
  ];
  const body = Buffer.concat([
    u16(parts.version ?? 0x0303),
    Buffer.alloc(32, 7),
    vector(1, Buffer.alloc(parts.session ?? 32)),
    vector(2, parts.suites ?? Buffer.from('13011302', 'hex')),
    vector(1, parts.compression ?? Buffer.of(0)),
    ...(parts.bare === true ? [] : [vector(2, Buffer.concat(extensions))]),
    parts.behind ?? Buffer.alloc(0),
  ]);
  const length = Buffer.from([1, body.length >> 16, (body.length >> 8) & 0xff, body.length & 0xff]);
  return recordsOf(Buffer.concat([length, body]), 16_384);
}

/** A handshake message in records of at most `size` bytes. */
export function recordsOf(message: Buffer, size: number): Buffer {
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const piece = message.subarray(at, at + size);
    records.push(Buffer.concat([Buffer.from([22, 3, 1]), u16(piece.length), piece]));
  }
  return Buffer.concat(records);
}
