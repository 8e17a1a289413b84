/** What SSH calls a string never needs more here: OpenSSH bounds an agent's message, which holds all of them. */
export const STRING_BYTES_MAX = 256 * 1024;
/** Bytes of a number: RSA of 16384 bits (OpenSSH, `SSH_RSA_MAX_MODULUS_SIZE`) and its sign. */
const NUMBER_BYTES_MAX = 16_384 / 8 + 1;

/** Bytes that are not what their format says. Its message quotes none of them. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

/**
 * Reads the types of RFC 4251 section 5 one after the other. Nothing is copied: strings are views of what was given.
 * Errors: `WireError` where what is asked for is not there, or larger than its limit.
 */
export class WireReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Uint8Array, start = 0) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = start;
  }

  /** What a reader of something more particular throws in its place. */
  protected fail(problem: string): Error {
    return new WireError(problem);
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  /** Where the next byte is. */
  get position(): number {
    return this.#at;
  }

  /** Where `count` bytes are that are read with this. */
  #take(count: number): number {
    if (count > this.left) throw this.fail(`${count} bytes are announced and ${this.left} are there`);
    this.#at += count;
    return this.#at - count;
  }

  bytes(count: number): Buffer {
    const from = this.#take(count);
    return this.#bytes.subarray(from, from + count);
  }

  byte(): number {
    return this.#bytes[this.#take(1)]!;
  }

  boolean(): boolean {
    return this.byte() !== 0;
  }

  uint32(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }

  uint64(): bigint {
    return this.#bytes.readBigUInt64BE(this.#take(8));
  }

  /** Of `bytesMax` bytes at most. */
  string(bytesMax = STRING_BYTES_MAX): Buffer {
    const length = this.uint32();
    if (length > bytesMax) throw this.fail(`a string claims ${length} bytes`);
    return this.bytes(length);
  }

  /** A string that is UTF-8. */
  text(bytesMax: number): string {
    const bytes = this.string(bytesMax);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw this.fail('a text is not UTF-8');
    }
  }

  /** A name of an algorithm or a method: printable ASCII without blanks (RFC 4251 section 6). */
  name(): string {
    const name = this.string(64).toString('latin1');
    if (!/^[!-~]+$/.test(name)) throw this.fail('a name is not printable ASCII');
    return name;
  }

  /** Magnitude of a positive number, without a leading zero; written the only way that RFC 4251 allows. */
  number(): Buffer {
    const bytes = this.string(NUMBER_BYTES_MAX);
    const [first = 0, second = 0] = bytes;
    if (first >= 0x80) throw this.fail('a number is negative');
    if (first !== 0) return bytes;
    if (second < 0x80) throw this.fail('a number is zero, or has zeros in front');
    return bytes.subarray(1);
  }

  /** All bytes must have been read. */
  end(): void {
    if (this.left > 0) throw this.fail(`${this.left} bytes follow the end`);
  }
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Each part as a string, one after the other. Texts are written as UTF-8. The memory is its own, to be wiped. */
export function strings(...parts: readonly (string | Uint8Array)[]): Buffer {
  const sizes = parts.map((part) => (typeof part === 'string' ? Buffer.byteLength(part) : part.byteLength));
  const bytes = Buffer.alloc(sizes.reduce((sum, size) => sum + 4 + size, 0));
  let at = 0;
  for (const [index, part] of parts.entries()) {
    at = bytes.writeUInt32BE(sizes[index]!, at);
    if (typeof part === 'string') bytes.write(part, at);
    else bytes.set(part, at);
    at += sizes[index]!;
  }
  return bytes;
}

/** A positive number of that magnitude. The memory is its own, to be wiped. */
export function number(magnitude: Uint8Array): Buffer {
  let zeros = 0;
  while (zeros < magnitude.length && magnitude[zeros] === 0) zeros += 1;
  const digits = magnitude.subarray(zeros);
  const sign = digits.length > 0 && digits[0]! >= 0x80 ? 1 : 0;
  const bytes = Buffer.alloc(4 + sign + digits.length);
  bytes.writeUInt32BE(sign + digits.length);
  bytes.set(digits, 4 + sign);
  return bytes;
}
