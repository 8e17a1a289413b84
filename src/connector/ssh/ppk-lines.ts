import { WireError } from './wire.ts';

/** The longest value is a comment. */
const VALUE_BYTES_MAX = 1024;
/** Lines of 64 letters: more than an RSA key of 16384 bits has. */
const BLOCK_LINES_MAX = 256;

/** The lines of a PuTTY key file, in the order that they must have. Errors: `WireError`. */
export class PpkLines {
  readonly #text: Buffer;
  #at = 0;

  constructor(text: Buffer) {
    this.#text = text;
  }

  /** What the file says that it is; reads nothing. */
  version(): 2 | 3 {
    const beginning = this.#text.subarray(0, 22).toString('latin1');
    if (beginning === 'PuTTY-User-Key-File-3:') return 3;
    if (beginning === 'PuTTY-User-Key-File-2:') return 2;
    throw new WireError('a PuTTY file of another version than 2 or 3');
  }

  /** The value of the line that comes next, which must have that name. */
  bytes(name: string): Buffer {
    const line = this.#line();
    const prefix = Buffer.from(`${name}: `);
    if (!line.subarray(0, prefix.length).equals(prefix)) throw new WireError(`"${name}" is not where it belongs`);
    const value = line.subarray(prefix.length);
    if (value.length > VALUE_BYTES_MAX) throw new WireError(`"${name}" has ${value.length} bytes`);
    return value;
  }

  value(name: string): string {
    return this.bytes(name).toString('latin1');
  }

  number(name: string): number {
    const value = this.value(name);
    if (!/^[1-9][0-9]{0,8}$/.test(value)) throw new WireError(`"${name}" is no number`);
    return Number(value);
  }

  /** The lines that the line of that name counts. */
  block(name: string): Buffer {
    const count = this.number(name);
    if (count > BLOCK_LINES_MAX) throw new WireError(`"${name}" counts ${count} lines`);
    return Buffer.concat(Array.from({ length: count }, () => this.#line()));
  }

  /** Only blank lines may follow. */
  end(): void {
    while (this.#at < this.#text.length) if (this.#line().length > 0) throw new WireError('lines follow the end');
  }

  #line(): Buffer {
    if (this.#at >= this.#text.length) throw new WireError('the file is cut');
    const found = this.#text.indexOf(0x0a, this.#at);
    const end = found === -1 ? this.#text.length : found;
    const line = this.#text.subarray(this.#at, end);
    this.#at = end + 1;
    return line.at(-1) === 0x0d ? line.subarray(0, -1) : line;
  }
}
