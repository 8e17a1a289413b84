import { inspect } from 'node:util';

const MASK = '[secret]';

/**
 * Bytes that do not print: not in inspect, JSON, templates, errors or structuredClone.
 *
 * The only way to the bytes is `expose`, the word reviewers grep for. A `Secret` owns its bytes: it copies what it is
 * given, so that `wipe` overwrites the one copy it answers for.
 */
export class Secret {
  readonly #bytes: Buffer;
  #wiped = false;

  constructor(value: string | Uint8Array) {
    // allocUnsafeSlow: a buffer of its own, never a slice of the shared pool that others can read through `.buffer`.
    const size = typeof value === 'string' ? Buffer.byteLength(value) : value.byteLength;
    this.#bytes = Buffer.allocUnsafeSlow(size);
    if (typeof value === 'string') this.#bytes.write(value);
    else this.#bytes.set(value);
  }

  /** Length in bytes. */
  get length(): number {
    return this.#bytes.length;
  }

  get wiped(): boolean {
    return this.#wiped;
  }

  /** Lends the bytes to `use`, which must not keep them. Throws once wiped. */
  expose<Result>(use: (bytes: Buffer) => Result): Result {
    if (this.#wiped) throw new Error('secret used after it was wiped');
    return use(this.#bytes);
  }

  /** Overwrites the bytes; every later `expose` throws. */
  wipe(): void {
    this.#bytes.fill(0);
    this.#wiped = true;
  }

  toString(): string {
    return MASK;
  }

  toJSON(): string {
    return MASK;
  }

  [Symbol.toPrimitive](): string {
    return MASK;
  }

  [inspect.custom](): string {
    return MASK;
  }
}
