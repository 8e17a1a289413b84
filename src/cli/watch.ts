import { watch, type FSWatcher } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';

/** Editors and ConfigMap updates touch a file several times in a row. */
const SETTLE_MS = 150;

/**
 * Calls `changed` when the content of `file` has changed and settled. Watches the folder: editors replace the file,
 * and Kubernetes swaps a symlink beside it. Returns what stops it.
 */
export function watchFile(file: string, changed: () => void, failed: (error: Error) => void): () => void {
  let content: Buffer | undefined;
  let timer: NodeJS.Timeout | undefined;
  const read = async (): Promise<void> => {
    const found = await readFile(file).catch(() => undefined);
    // Gone for the moment of a replacement, or for good: the running configuration stays.
    if (found === undefined || (content !== undefined && found.equals(content))) return;
    const first = content === undefined;
    content = found;
    if (!first) changed();
  };
  void read();
  const watcher: FSWatcher = watch(dirname(file), (_event, name) => {
    if (name !== null && name !== basename(file) && !name.startsWith('..')) return;
    clearTimeout(timer);
    timer = setTimeout(() => void read(), SETTLE_MS);
  });
  watcher.on('error', failed);
  return () => {
    clearTimeout(timer);
    watcher.close();
  };
}
