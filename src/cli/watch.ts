import { readFileSync, watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

/** Editors and ConfigMap updates touch a file several times in a row. */
const SETTLE_MS = 150;

/** What `watchFile` compares with; undefined where the file cannot be read. */
export function contentOf(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}

/**
 * Calls `changed` when the content of `file` is no longer `loaded` and has settled. `loaded` is read before the file is
 * loaded, so that no change in between is missed. Watches the folder: editors replace the file, and Kubernetes swaps a
 * symlink beside it. Returns what stops it.
 */
export function watchFile(
  file: string,
  loaded: Buffer | undefined,
  changed: () => void,
  failed: (error: unknown) => void,
): () => void {
  let content = loaded;
  let timer: NodeJS.Timeout | undefined;
  const read = async (): Promise<void> => {
    const found = await readFile(file).catch(() => undefined);
    // Gone for the moment of a replacement, or for good: the running configuration stays.
    if (found === undefined || (content !== undefined && found.equals(content))) return;
    content = found;
    changed();
  };
  try {
    const watcher = watch(dirname(file), (_event, name) => {
      if (name !== null && name !== basename(file) && !name.startsWith('..')) return;
      clearTimeout(timer);
      timer = setTimeout(() => void read(), SETTLE_MS);
    });
    watcher.on('error', failed);
    void read();
    return () => {
      clearTimeout(timer);
      watcher.close();
    };
  } catch (error) {
    failed(error);
    return () => undefined;
  }
}
