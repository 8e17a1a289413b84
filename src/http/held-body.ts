import { createHash, randomUUID } from 'node:crypto';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { SidecarError } from '../error.ts';
import { youngGeneration } from '../young-generation.ts';
import { Slabs } from './slabs.ts';

/** What all held bodies together may have in memory; beyond it they go to disk at once. */
export const HELD_BYTES_MAX = 128 * 1024 * 1024;
/** What all held bodies together may have on disk: they must not fill it for others. */
export const HELD_DISK_BYTES_MAX = 4 * 1024 * 1024 * 1024;
/** Read and written at once. */
const FILE_CHUNK_BYTES = 128 * 1024;

/** SHA-256 of no bytes at all. */
export const NOTHING_SHA256 = createHash('sha256').digest('hex');

/** Bytes that many bodies share. */
export class HeldBudget {
  #freeBytes: number;

  constructor(bytes: number) {
    this.#freeBytes = bytes;
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }

  take(bytes: number): boolean {
    if (bytes > this.#freeBytes) return false;
    this.#freeBytes -= bytes;
    return true;
  }

  give(bytes: number): void {
    this.#freeBytes += bytes;
  }
}

/** Those of this process. */
export const heldBudget = new HeldBudget(HELD_BYTES_MAX);
export const heldDiskBudget = new HeldBudget(HELD_DISK_BYTES_MAX);

export interface HoldOptions {
  /** Bytes that may stay in memory. */
  readonly memory: number;
  /** Bytes that a file may have; 0: no file. */
  readonly disk: number;
  /** Content-Length, where there is one. */
  readonly expectedBytes?: number | undefined;
  readonly budget?: HeldBudget;
  readonly diskBudget?: HeldBudget;
}

/** Throws `body-too-large` for a body that announces more than may be held. */
export function refuseToHold({ memory, disk, expectedBytes = 0 }: HoldOptions): void {
  if (expectedBytes > Math.max(memory, disk)) throw new SidecarError('body-too-large');
}

/**
 * Reads a whole body and hashes it, in memory or in a file that no name leads to. The caller releases what it gets.
 * Errors: `body-too-large`, `internal` (the file cannot be written), those of the body.
 */
export async function hold(body: Readable, options: HoldOptions): Promise<HeldBody> {
  const holder = new Holder(options);
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      const written = holder.put(chunk);
      if (written !== undefined) await written;
    }
    return await holder.done();
  } catch (thrown) {
    holder.release();
    throw thrown;
  }
}

class Holder {
  readonly #hash = createHash('sha256');
  readonly #budget: HeldBudget;
  readonly #diskBudget: HeldBudget;
  readonly #memoryMax: number;
  readonly #diskMax: number;
  #slabs: Slabs;
  #takenBytes = 0;
  #takenDiskBytes = 0;
  #file: HeldFile | undefined;
  #bytes = 0;

  constructor({ memory, disk, expectedBytes, budget = heldBudget, diskBudget = heldDiskBudget }: HoldOptions) {
    this.#memoryMax = memory;
    this.#diskMax = disk;
    this.#budget = budget;
    this.#diskBudget = diskBudget;
    this.#slabs = new Slabs(expectedBytes);
  }

  /** A promise where the caller must wait before it reads on. */
  put(chunk: Buffer): Promise<void> | undefined {
    this.#bytes += chunk.length;
    if (this.#bytes > Math.max(this.#memoryMax, this.#diskMax)) throw new SidecarError('body-too-large');
    this.#hash.update(chunk);
    if (this.#file !== undefined) {
      this.#takeDisk(chunk.length);
      return this.#file.put(chunk);
    }
    const taken = this.#bytes > this.#memoryMax ? 0 : this.#slabs.put(chunk, (bytes) => this.#take(bytes));
    if (taken === chunk.length) return undefined;
    if (this.#bytes > this.#diskMax) throw new SidecarError('body-too-large', { detail: 'no memory to hold it in' });
    this.#takeDisk(this.#bytes);
    return this.#spill(chunk.subarray(taken));
  }

  async done(): Promise<HeldBody> {
    await this.#file?.flush();
    const sha256 = this.#hash.digest('hex');
    if (this.#file !== undefined) return new HeldBody(this.#bytes, sha256, this.#file, () => this.release());
    return new HeldBody(this.#bytes, sha256, this.#slabs.parts(), () => this.release());
  }

  release(): void {
    this.#freeMemory();
    const file = this.#file;
    this.#file = undefined;
    void file?.close();
    this.#diskBudget.give(this.#takenDiskBytes);
    this.#takenDiskBytes = 0;
  }

  #take(bytes: number): boolean {
    if (!this.#budget.take(bytes)) return false;
    this.#takenBytes += bytes;
    return true;
  }

  #takeDisk(bytes: number): void {
    if (!this.#diskBudget.take(bytes)) throw new SidecarError('body-too-large', { detail: 'no disk to hold it on' });
    this.#takenDiskBytes += bytes;
  }

  #freeMemory(): void {
    this.#slabs = new Slabs();
    this.#budget.give(this.#takenBytes);
    this.#takenBytes = 0;
  }

  /** All that is held goes to the file: what one request may keep in memory is for others from then on. */
  async #spill(rest: Buffer): Promise<void> {
    const file = (this.#file = await HeldFile.create());
    for (const part of this.#slabs.parts()) await file.put(part);
    this.#freeMemory();
    await file.put(rest);
  }
}

/** A file without a name, mode 0600: whatever ends this process ends it too. */
class HeldFile {
  readonly #handle: FileHandle;
  #gathered = Buffer.allocUnsafeSlow(FILE_CHUNK_BYTES);
  #gatheredBytes = 0;
  #position = 0;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  static async create(): Promise<HeldFile> {
    const path = join(tmpdir(), `secretless-${randomUUID()}`);
    try {
      const handle = await open(path, 'wx+', 0o600);
      await unlink(path).catch(async (thrown: unknown) => {
        await handle.close();
        throw thrown;
      });
      return new HeldFile(handle);
    } catch (cause) {
      throw new SidecarError('internal', { detail: 'a body could not be put on disk', cause });
    }
  }

  async put(chunk: Buffer): Promise<void> {
    for (let at = 0; at < chunk.length;) {
      const copied = chunk.copy(this.#gathered, this.#gatheredBytes, at);
      at += copied;
      this.#gatheredBytes += copied;
      if (this.#gatheredBytes === this.#gathered.length) await this.#write();
    }
  }

  async flush(): Promise<void> {
    await this.#write();
    this.#gathered = Buffer.alloc(0);
  }

  async *read(): AsyncGenerator<Buffer> {
    for (let position = 0; ;) {
      const buffer = Buffer.allocUnsafeSlow(FILE_CHUNK_BYTES);
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, position);
      if (bytesRead === 0) return;
      youngGeneration.passed(bytesRead);
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  /** Waits for what is being read. */
  close(): Promise<void> {
    return this.#handle.close().catch(() => undefined);
  }

  async #write(): Promise<void> {
    try {
      for (let at = 0; at < this.#gatheredBytes;) {
        const { bytesWritten } = await this.#handle.write(this.#gathered, at, this.#gatheredBytes - at, this.#position);
        at += bytesWritten;
        this.#position += bytesWritten;
      }
    } catch (cause) {
      throw new SidecarError('internal', { detail: 'a body could not be put on disk', cause });
    }
    this.#gatheredBytes = 0;
  }
}

/** A whole request body that can be sent more than once. */
export class HeldBody {
  readonly bytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly #content: readonly Buffer[] | HeldFile;
  readonly #release: () => void;
  readonly #open = new Set<Readable>();
  #released = false;

  constructor(bytes: number, sha256: string, content: readonly Buffer[] | HeldFile, release: () => void) {
    this.bytes = bytes;
    this.sha256 = sha256;
    this.#content = content;
    this.#release = release;
  }

  /** All of it, where it is in memory. */
  whole(): Uint8Array | undefined {
    return this.#content instanceof HeldFile ? undefined : Buffer.concat(this.#content, this.bytes);
  }

  /** The body from its first byte; undefined where it is empty. */
  open(): Readable | Uint8Array | undefined {
    const content = this.#content;
    if (this.bytes === 0) return undefined;
    if (!(content instanceof HeldFile) && content.length === 1) return content[0]!;
    const stream = Readable.from(content instanceof HeldFile ? content.read() : content, { objectMode: false });
    // Whoever reads hears of errors; one that nobody waits for must not end the process.
    stream.on('error', () => undefined);
    stream.once('close', () => this.#open.delete(stream));
    this.#open.add(stream);
    return stream;
  }

  /** Gives memory and file back; what is still being sent is cut. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    for (const stream of this.#open) stream.destroy();
    this.#release();
  }
}
