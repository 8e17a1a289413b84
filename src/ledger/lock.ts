import { randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { codeOf, unavailable } from './files.ts';

/**
 * One writer per ledger: a lock file made with O_EXCL, naming its owner.
 *
 * Whether the owner still lives is asked of the system where it can tell: same boot and same process namespace, then
 * pid and start time (a pid alone is used again, and every container has its own pid 1). An owner elsewhere is watched
 * instead: it touches the file every second, so a file that rests for `WATCH_MS` has no owner.
 */
const WATCH_MS = 3000;
const WATCH_STEP_MS = 250;

interface Owner {
  readonly pid: number;
  /** Start time of the process in clock ticks since boot; empty where the system does not tell. */
  readonly started: string;
  /** Boot and process namespace that `pid` is a number of. */
  readonly space: string;
  /** Tells one lock from the next: an inode number is used again at once. */
  readonly token: string;
}

export interface LockOptions {
  /** How long a lock from elsewhere must rest before it counts as left behind. */
  readonly watchMs?: number;
}

export class Lock {
  readonly #path: string;
  readonly #token: string;

  private constructor(path: string, token: string) {
    this.#path = path;
    this.#token = token;
  }

  /** Errors: `ledger-unavailable` where another process owns it. */
  static async acquire(path: string, options: LockOptions = {}): Promise<Lock> {
    const watchMs = options.watchMs ?? WATCH_MS;
    for (let attempt = 0; attempt < 5; attempt += 1) {
      const token = randomUUID();
      if (create(path, token)) return new Lock(path, token);
      const seen = look(path);
      if (seen === undefined) continue;
      const alive = isAlive(seen.owner) ?? (await moves(path, seen.touchedMs, watchMs));
      if (alive) throw held(path, seen.owner);
      breakStale(path, seen);
    }
    throw held(path, look(path)?.owner);
  }

  /** Shows that the owner lives; false where another process has taken over. A lock that was deleted is made again. */
  renew(): boolean {
    try {
      const seen = look(this.#path);
      if (seen === undefined) return create(this.#path, this.#token);
      if (seen.owner?.token !== this.#token) return false;
      const now = Date.now() / 1000;
      fs.utimesSync(this.#path, now, now);
      return true;
    } catch {
      // The disk does not answer or takes nothing: no sign that somebody else has taken over.
      return true;
    }
  }

  release(): void {
    try {
      if (look(this.#path)?.owner?.token === this.#token) fs.unlinkSync(this.#path);
    } catch {
      // Gone or unreachable: the next owner sees by pid and start time that this one has ended.
    }
  }
}

/** False where there is one already. */
function create(path: string, token: string): boolean {
  let fd: number;
  try {
    fd = fs.openSync(path, 'wx', 0o600);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
  try {
    const owner: Owner = { pid: process.pid, started: startOf(process.pid), space: ownSpace(), token };
    fs.writeSync(fd, `${JSON.stringify(owner)}\n`);
    return true;
  } finally {
    fs.closeSync(fd);
  }
}

interface Seen {
  readonly owner: Owner | undefined;
  readonly text: string;
  readonly touchedMs: number;
}

function look(path: string): Seen | undefined {
  try {
    const touchedMs = fs.statSync(path).mtimeMs;
    const text = fs.readFileSync(path, 'utf8');
    return { owner: parseOwner(text), text, touchedMs };
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function parseOwner(text: string): Owner | undefined {
  try {
    const { pid, started, space, token } = JSON.parse(text) as Record<string, unknown>;
    if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid < 1) return undefined;
    if (typeof started !== 'string' || typeof space !== 'string' || typeof token !== 'string') return undefined;
    return { pid, started, space, token };
  } catch {
    return undefined;
  }
}

/** Undefined where this process cannot tell: the owner is elsewhere, or died before it wrote its name. */
function isAlive(owner: Owner | undefined): boolean | undefined {
  if (owner === undefined || owner.space !== ownSpace()) return undefined;
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false;
  }
  return owner.started === startOf(owner.pid);
}

/** True as soon as the file is touched, replaced or removed. */
async function moves(path: string, touchedMs: number, watchMs: number): Promise<boolean> {
  for (let rested = 0; rested < watchMs; rested += WATCH_STEP_MS) {
    await sleep(Math.min(WATCH_STEP_MS, watchMs));
    if (look(path)?.touchedMs !== touchedMs) return true;
  }
  return false;
}

/**
 * Takes a lock left behind out of the way. It is renamed before it is removed, and looked at again under its new name:
 * of two processes that judge the same lock, the slower one could otherwise remove the lock that the faster one just made.
 */
function breakStale(path: string, seen: Seen): void {
  const aside = `${path}.${randomUUID()}`;
  try {
    fs.renameSync(path, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  const wrong = fs.readFileSync(aside, 'utf8') !== seen.text;
  try {
    if (wrong) fs.linkSync(aside, path);
  } catch {
    // A third process made its own meanwhile; the owner whose lock was moved finds out when it renews.
  }
  fs.unlinkSync(aside);
  if (wrong) throw held(path, undefined);
}

function held(path: string, owner: Owner | undefined): Error {
  const who = owner === undefined ? 'another process' : `process ${owner.pid}`;
  return unavailable(`${who} writes this ledger (${path}); give each sidecar a ledger file of its own`);
}

/** Field 22 of proc_pid_stat(5); the name in field 2 may hold blanks and brackets. */
function startOf(pid: number): string {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return '';
  }
}

function ownSpace(): string {
  try {
    return `${fs.readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()} ${fs.readlinkSync('/proc/self/ns/pid')}`;
  } catch {
    return hostname();
  }
}
