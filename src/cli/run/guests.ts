import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const POLL_MS = 100;

/**
 * Programs of other `secretless run` that use a sidecar which one of them started: it has to outlive its own program
 * until theirs are over. One file each, named by the process that waits for the program.
 */
export class Guests {
  readonly #folder: string;

  constructor(stateFolder: string) {
    this.#folder = join(stateFolder, 'guests');
  }

  /** Returns what takes the guest off the list. */
  enter(): () => void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const path = join(this.#folder, String(process.pid));
    writeFileSync(path, '', { mode: 0o600 });
    return () => rmSync(path, { force: true });
  }

  /** Resolves when there are none any more. What a process left behind that ended without a word does not count. */
  async gone(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && this.count() > 0) await pause(POLL_MS);
    if (!signal.aborted) rmSync(this.#folder, { recursive: true, force: true });
  }

  count(): number {
    let names: string[];
    try {
      names = readdirSync(this.#folder);
    } catch {
      return 0;
    }
    return names.filter((name) => isAlive(Number(name))).length;
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
