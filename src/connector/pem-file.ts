import { open, stat } from 'node:fs/promises';
import { Secret } from '../credential/secret.ts';
import { SidecarError, type ErrorCode } from '../error.ts';

/** A bundle of all public authorities has some 230 KiB. */
const PEM_BYTES_MAX = 1024 * 1024;

/** A PEM file whole, for a `compute` step: `name` is what the configuration calls it. Errors: `code` where it cannot be read, is no file, or is too large. */
export async function readPem(path: string, name: string, code: ErrorCode): Promise<Secret> {
  try {
    // Before it is opened: opening a pipe would wait for its writer.
    const found = await stat(path);
    if (!found.isFile() || found.size > PEM_BYTES_MAX) throw new Error('it is no file, or larger than 1 MiB');
    const { size } = found;
    const file = await open(path);
    const buffer = Buffer.alloc(size);
    try {
      let length = 0;
      for (;;) {
        const { bytesRead } = await file.read(buffer, length, size - length);
        length += bytesRead;
        if (bytesRead === 0) return new Secret(buffer.subarray(0, length));
      }
    } finally {
      buffer.fill(0);
      await file.close();
    }
  } catch (cause) {
    throw new SidecarError(code, { detail: `the file of "${name}" cannot be used`, cause });
  }
}
