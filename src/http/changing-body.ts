import type { Readable } from 'node:stream';
import type { ChangedBody } from '../connector/connector.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import { youngGeneration } from '../young-generation.ts';
import { ChunksOf } from './chunks-of.ts';

/**
 * A body on its way through a connector's `transform`. One chunk at a time is asked for, when the upstream takes it; an
 * error on the way ends the iteration before the last byte that was announced is out, so that the upstream can never take
 * a cut body for a whole one.
 */
export class ChangingBody implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array, undefined> {
  readonly #changed: ChangedBody;
  readonly #source: Readable | Uint8Array | undefined;
  #iterator: AsyncIterator<Uint8Array> | undefined;
  #bytes = 0;
  #over = false;

  constructor(changed: ChangedBody, source: Readable | Uint8Array | undefined) {
    this.#changed = changed;
    this.#source = source;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Errors: those of the transform; `body-malformed` where it has another length than announced. */
  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.#over) return DONE;
    try {
      const chunk = await this.#read();
      if (chunk === undefined) {
        this.#checkLength();
        this.#over = true;
        return DONE;
      }
      this.#bytes += chunk.length;
      youngGeneration.passed(chunk.length);
      if (this.#bytes >= (this.#changed.bytes ?? Infinity)) await this.#expectEnd();
      return { done: false, value: chunk };
    } catch (thrown) {
      this.cancel();
      throw asSidecarError(thrown);
    }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.cancel();
    return DONE;
  }

  /** Stops the source and lets the transform clean up; nothing more is asked of it. */
  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    if (isReadable(this.#source)) this.#source.destroy();
    const stopped = this.#iterator?.return?.();
    if (stopped !== undefined) Promise.resolve(stopped).catch(() => undefined);
  }

  /** The next chunk that is not empty; undefined at the end. */
  async #read(): Promise<Uint8Array | undefined> {
    this.#iterator ??= this.#changed.transform(chunksOf(this.#source))[Symbol.asyncIterator]();
    for (;;) {
      const step = await this.#iterator.next();
      if (step.done === true) return undefined;
      if (step.value.length > 0) return step.value;
    }
  }

  /** The last chunk goes out only once the transform has nothing to say against the body any more. */
  async #expectEnd(): Promise<void> {
    if ((await this.#read()) !== undefined) throw wrongLength();
    this.#checkLength();
    this.#over = true;
  }

  #checkLength(): void {
    const { bytes } = this.#changed;
    if (bytes !== undefined && bytes !== this.#bytes) throw wrongLength();
  }
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

function wrongLength(): SidecarError {
  return new SidecarError('body-malformed', { detail: 'the changed body has another length than announced' });
}

function isReadable(source: Readable | Uint8Array | undefined): source is Readable {
  return source !== undefined && !(source instanceof Uint8Array);
}

function chunksOf(source: Readable | Uint8Array | undefined): AsyncIterable<Uint8Array> {
  return isReadable(source) ? new ChunksOf(source) : once(source);
}

async function* once(chunk: Uint8Array | undefined): AsyncGenerator<Uint8Array> {
  if (chunk !== undefined) yield chunk;
}
