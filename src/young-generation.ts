import { setFlagsFromString } from 'node:v8';
// eslint-disable-next-line no-restricted-imports -- evaluates one constant word; V8 shows `gc` nowhere else after the start
import { runInNewContext } from 'node:vm';

/** Bytes that may pass between two collections. */
export const BYTES_BETWEEN_COLLECTIONS = 8 * 1024 * 1024;

type Collect = (options: { readonly type: 'minor' }) => void;

/**
 * Frees the buffers that bodies and streams passed through. Node reads them into buffers outside the heap (64 KiB each); on the heap
 * stand only their small owners, so V8 sees no reason to collect before some 70 MB of dead buffers wait. A collection
 * of the young generation costs about a millisecond.
 */
export class YoungGeneration {
  readonly #collect: Collect;
  #bytes = 0;

  constructor(collect: Collect = collectMinor) {
    this.#collect = collect;
  }

  /** Counts bytes of any body or stream, either way. */
  passed(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < BYTES_BETWEEN_COLLECTIONS) return;
    this.#bytes = 0;
    this.#collect({ type: 'minor' });
  }
}

/** The one heap of this process. */
export const youngGeneration = new YoungGeneration();

let exposed: Collect | undefined;

/** V8's own collector, made visible in a context nobody else sees (v8.setFlagsFromString, `--expose-gc`). */
function collectMinor(options: { readonly type: 'minor' }): void {
  if (exposed === undefined) {
    setFlagsFromString('--expose-gc');
    exposed = runInNewContext('gc') as Collect;
    setFlagsFromString('--no-expose-gc');
  }
  exposed(options);
}
