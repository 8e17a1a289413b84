import type { SignatureChain } from '../sign/chain.ts';
import { signTrailer, TRAILER_SIGNATURE } from '../sign/trailer-chain.ts';
import { TRAILER_BYTES_MAX, TRAILERS_MAX } from './aws-chunked.ts';
import { BodyProblem } from './body-problem.ts';
import { checkSignature } from './check-signature.ts';

const FIELD = /^([A-Za-z0-9-]{1,128}):[ \t]*([\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)[ \t]*$/;
const SIGNATURE = /^[0-9a-f]{64,144}\**$/;

/**
 * The lines after the last chunk. The example in the S3 API Reference ends a trailer with `\n\r\n`, and minio-go writes
 * it so: an empty line right after a line that ended with a bare newline belongs to that line.
 */
export class TrailerReader {
  /** Names announced and not yet seen. */
  readonly #missing: Set<string>;
  readonly #signed: boolean;
  readonly #chain: SignatureChain | undefined;
  readonly #fields: string[] = [];
  #bytes = 0;
  #bareNewline = false;
  #signature: string | undefined;

  /** `names` are those announced, absent where there is no trailer part and only the last CRLF is to come. */
  constructor(names: readonly string[] | undefined, signed: boolean, chain: SignatureChain | undefined) {
    if (names !== undefined && names.length > TRAILERS_MAX)
      throw new BodyProblem('too-long', 'too many trailers are announced');
    this.#missing = new Set(names);
    this.#signed = signed && names !== undefined;
    this.#chain = chain;
  }

  get fields(): readonly string[] {
    return this.#fields;
  }

  /** Takes one line without its newline; true where it was the last. Errors: `malformed-trailer`, `too-long`. */
  line(line: string): boolean {
    this.#bytes += line.length + 1;
    if (this.#bytes > TRAILER_BYTES_MAX) throw new BodyProblem('too-long', 'the trailer is too long');
    const whole = line.endsWith('\r');
    const text = whole ? line.slice(0, -1) : line;
    if (text === '' && whole) {
      if (!this.#bareNewline) return this.#finish();
      this.#bareNewline = false;
      return false;
    }
    this.#bareNewline = !whole;
    this.#field(text);
    return false;
  }

  #field(text: string): void {
    const [, name, value] = FIELD.exec(text) ?? [];
    if (name === undefined || this.#signature !== undefined) throw malformed('a trailer is not of the form name:value');
    const lower = name.toLowerCase();
    if (lower === TRAILER_SIGNATURE) {
      if (!this.#signed || !SIGNATURE.test(value!)) throw malformed('a trailer signature is not one');
      this.#signature = value!;
      return;
    }
    if (!this.#missing.delete(lower)) throw malformed('a trailer was not announced, or is there twice');
    this.#fields.push(lower, value!);
  }

  #finish(): true {
    if (this.#missing.size > 0) throw malformed('an announced trailer is missing');
    if (this.#signed && this.#signature === undefined) throw malformed('the trailer signature is missing');
    if (this.#signed && this.#chain !== undefined)
      checkSignature(signTrailer(this.#chain, this.#fields), this.#signature!);
    return true;
  }
}

function malformed(message: string): BodyProblem {
  return new BodyProblem('malformed-trailer', message);
}
