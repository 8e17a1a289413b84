import type { LedgerRecoveredEvent, LedgerRotatedEvent } from './event.ts';
import type { FileEnd, FileSystem } from './files.ts';
import { readEnd, unavailable } from './files.ts';
import type { HeadRecord } from './head.ts';
import { GENESIS } from './line.ts';
import type { Tip } from './line.ts';
import { newestRotated, oldestSeq } from './rotation.ts';

/** Where the chain goes on in a file that was just opened. */
export interface Continuation {
  readonly first: number;
  /** The line that the next one names as `prev`. */
  readonly tip: Tip;
  /** What the file must say first. */
  readonly opening: LedgerRecoveredEvent | LedgerRotatedEvent | undefined;
}

/** Who vouches for `known`: the side file, which may lag behind the lines after a crash, or this process, which never does. */
export type Voucher = 'head' | 'process';

/**
 * Compares what the files hold with what is known of the chain. A seq that was given out is never given out again: lines
 * that are gone leave a gap, and the next line says so.
 */
export function continueChain(
  fs: FileSystem,
  file: string,
  found: FileEnd,
  known: HeadRecord | undefined,
  voucher: Voucher,
): Continuation {
  const removedBytes = found.tornBytes > 0 ? found.tornBytes : undefined;
  const before = found.tip === undefined ? endOfRotated(fs, file) : undefined;
  const tip = found.tip ?? before;
  if (known === undefined) return withoutHead(fs, file, found, tip, removedBytes);
  const { first } = known;
  const ours: Tip = { seq: known.seq, hash: known.hash };
  const recovered = (reason: string, lost?: LedgerRecoveredEvent['lost']): Continuation => ({
    first,
    tip: ours,
    opening: { type: 'ledger.recovered', reason, lost, removedBytes },
  });
  if (tip === 'unreadable') return recovered('the last line was changed');
  if (tip === undefined) {
    if (known.seq > 0) return recovered('the files are gone', { first, last: known.seq });
    return { first, tip: GENESIS, opening: removedBytes === undefined ? undefined : torn(removedBytes) };
  }
  if (tip.seq < known.seq) return recovered('the newest lines are gone', { first: tip.seq + 1, last: known.seq });
  if (tip.seq === known.seq && tip.hash !== known.hash) return recovered('the last line was changed');
  if (tip.seq > known.seq && voucher === 'process') return recovered('another program wrote to the file');
  return { first, tip, opening: opening(tip, before !== undefined, removedBytes) };
}

function withoutHead(
  fs: FileSystem,
  file: string,
  found: FileEnd,
  tip: FileEnd['tip'],
  removedBytes: number | undefined,
): Continuation {
  if (tip === 'unreadable' || (tip === undefined && found.tornBytes > 0)) {
    throw unavailable(`${file} is not a ledger; move it away or name another file`);
  }
  if (tip === undefined) return { first: 1, tip: GENESIS, opening: undefined };
  const reason = 'the side file of the newest line is missing or was changed';
  return {
    first: oldestSeq(fs, file) ?? tip.seq,
    tip,
    opening: { type: 'ledger.recovered', reason, removedBytes },
  };
}

function opening(tip: Tip, isNewFile: boolean, removedBytes: number | undefined): Continuation['opening'] {
  if (removedBytes !== undefined) return torn(removedBytes);
  return isNewFile ? { type: 'ledger.rotated', previous: { seq: tip.seq, hash: tip.hash } } : undefined;
}

function torn(removedBytes: number): LedgerRecoveredEvent {
  return { type: 'ledger.recovered', reason: 'the last line was never finished', removedBytes };
}

/** A rotation leaves no current file for a moment, so a new file goes on where the newest rotated one ends. */
function endOfRotated(fs: FileSystem, file: string): FileEnd['tip'] {
  const path = newestRotated(fs, file);
  if (path === undefined) return undefined;
  const fd = fs.openSync(path, 'r');
  try {
    return readEnd(fs, fd).tip;
  } finally {
    fs.closeSync(fd);
  }
}
