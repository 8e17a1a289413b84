import { createHash, randomUUID } from 'node:crypto';
import { AwsRefusal } from './refusal.ts';

/** Bytes of one object or part. */
export interface Content {
  readonly bytes: number;
  /** Absent where the server keeps no bodies. */
  readonly body: Buffer | undefined;
  readonly etag: string;
}

export interface StoredObject extends Content {
  /** Headers that come back with the object. */
  readonly headers: Readonly<Record<string, string>>;
  readonly modified: Date;
}

interface Upload {
  readonly bucket: string;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly parts: Map<number, Content>;
}

/** Takes the bytes of one body. */
export interface ContentWriter {
  write(bytes: Buffer): void;
  finish(): Content;
}

const OBJECT_BYTES_MAX = 512 * 1024 * 1024;

/** Buckets and objects in memory. */
export class ObjectStore {
  /** True: bodies are counted and dropped. */
  readonly #sink: boolean;
  readonly buckets = new Map<string, Map<string, StoredObject>>();
  readonly uploads = new Map<string, Upload>();

  constructor(sink: boolean) {
    this.#sink = sink;
  }

  bucket(name: string): Map<string, StoredObject> {
    const bucket = this.buckets.get(name);
    if (bucket === undefined) throw new AwsRefusal(404, 'NoSuchBucket', 'The specified bucket does not exist');
    return bucket;
  }

  object(bucket: string, key: string): StoredObject {
    const object = this.bucket(bucket).get(key);
    if (object === undefined) throw new AwsRefusal(404, 'NoSuchKey', 'The specified key does not exist.');
    return object;
  }

  put(bucket: string, key: string, content: Content, headers: Readonly<Record<string, string>>): StoredObject {
    const object = { ...content, headers, modified: new Date() };
    this.bucket(bucket).set(key, object);
    return object;
  }

  openUpload(bucket: string, key: string, headers: Readonly<Record<string, string>>): string {
    this.bucket(bucket);
    const id = randomUUID();
    this.uploads.set(id, { bucket, key, headers, parts: new Map() });
    return id;
  }

  upload(id: string): Upload {
    const upload = this.uploads.get(id);
    if (upload === undefined) throw new AwsRefusal(404, 'NoSuchUpload', 'The specified upload does not exist.');
    return upload;
  }

  /** Puts the parts of these numbers together. */
  complete(id: string, numbers: readonly number[]): StoredObject {
    const upload = this.upload(id);
    const parts = numbers.map((number) => {
      const part = upload.parts.get(number);
      if (part === undefined) throw new AwsRefusal(400, 'InvalidPart', `Part ${number} could not be found.`);
      return part;
    });
    const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
    const digests = Buffer.concat(parts.map(({ etag }) => Buffer.from(etag, 'hex')));
    const etag = `${createHash('md5').update(digests).digest('hex')}-${parts.length}`;
    const body = this.#sink ? undefined : Buffer.concat(parts.map((part) => part.body!));
    this.uploads.delete(id);
    return this.put(upload.bucket, upload.key, { bytes, body, etag }, upload.headers);
  }

  writer(): ContentWriter {
    const kept: Buffer[] = [];
    const md5 = this.#sink ? undefined : createHash('md5');
    let bytes = 0;
    return {
      write: (piece) => {
        bytes += piece.length;
        if (md5 === undefined) return;
        if (bytes > OBJECT_BYTES_MAX) throw new AwsRefusal(400, 'EntityTooLarge', 'Start the server as a sink.');
        md5.update(piece);
        kept.push(piece);
      },
      finish: () => {
        const etag = md5?.digest('hex') ?? bytes.toString(16).padStart(32, '0');
        return { bytes, body: this.#sink ? undefined : Buffer.concat(kept), etag };
      },
    };
  }
}
