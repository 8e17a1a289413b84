import { once } from 'node:events';
import { Readable } from 'node:stream';
import { SidecarError } from '../error.ts';
import { youngGeneration } from '../young-generation.ts';
import type { ArrivingBody } from './engine.ts';
import { Slabs } from './slabs.ts';

/** What brings a request body: a message of HTTP/1.1, or a stream of HTTP/2. */
export interface BodySource {
  readonly stream: Pick<Readable, 'on' | 'once' | 'off' | 'pause' | 'resume' | 'readableEnded'>;
  /** Asked at the end of the stream: false where it came before the end of the body. */
  isWhole(): boolean;
}

/**
 * A request body with a stream of its own. Upstream engines destroy the body they were given when they fail; this one
 * takes that blow, so that the downstream connection lives on to hear why.
 */
export class RequestBody extends Readable implements ArrivingBody {
  readonly #source: BodySource;
  readonly #bytesMax: number | undefined;
  #bytes = 0;
  #ended = false;

  constructor(source: BodySource, bytesMax: number | undefined) {
    super({ highWaterMark: 64 * 1024 });
    const { stream } = source;
    this.#source = source;
    this.#bytesMax = bytesMax;
    // Whoever reads hears of errors; while nobody does yet, one must not end the process.
    this.on('error', () => undefined);
    stream.on('data', this.#onChunk);
    stream.once('end', this.#onEnd);
    stream.once('close', this.#onClose);
    stream.pause();
    // That of an empty body over HTTP/2 comes unasked, and may have come before anybody listened.
    if (stream.readableEnded) this.#onEnd();
  }

  /** Bytes read from the downstream so far. */
  get bytes(): number {
    return this.#bytes;
  }

  get waiting(): boolean {
    return !this.#ended && this.readableLength === 0;
  }

  override _read(): void {
    if (!this.#ended) this.#source.stream.resume();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#source.stream.off('data', this.#onChunk);
    this.#source.stream.off('end', this.#onEnd);
    this.#source.stream.off('close', this.#onClose);
    callback(error);
  }

  readonly #onChunk = (chunk: Buffer): void => {
    this.#bytes += chunk.length;
    youngGeneration.passed(chunk.length);
    if (this.#bytesMax !== undefined && this.#bytes > this.#bytesMax) {
      this.destroy(new SidecarError('body-too-large'));
      return;
    }
    if (!this.push(chunk)) this.#source.stream.pause();
  };

  readonly #onEnd = (): void => {
    if (!this.#source.isWhole()) {
      this.#onClose();
      return;
    }
    this.#ended = true;
    this.push(null);
  };

  /** Closed before the end: the upstream must see a cut body, never a complete shorter one. */
  readonly #onClose = (): void => {
    if (!this.#ended) this.destroy(new SidecarError('request-malformed', { detail: 'the body ended early' }));
  };
}

/** The whole body, for a signature over it. Errors: `body-too-large`, `request-malformed`. */
export async function whole(body: Readable, bytesMax: number): Promise<Buffer> {
  const slabs = new Slabs();
  body.on('data', (chunk: Buffer) => {
    if (slabs.bytes + chunk.length > bytesMax) body.destroy(new SidecarError('body-too-large'));
    else slabs.put(chunk);
  });
  await once(body, 'end');
  return Buffer.concat(slabs.parts(), slabs.bytes);
}
