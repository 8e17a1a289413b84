import { readdirSync, readlinkSync } from 'node:fs';
import { heldBudget, heldDiskBudget, HELD_BYTES_MAX, HELD_DISK_BYTES_MAX } from '../src/http/held-body.ts';
import { eventually } from './rig.ts';

/** Open files of this process that have no name any more. Linux alone tells. */
export function unnamed(): number {
  if (process.platform !== 'linux') return 0;
  return readdirSync('/proc/self/fd').filter((each) => {
    try {
      return readlinkSync(`/proc/self/fd/${each}`).endsWith(' (deleted)');
    } catch {
      return false;
    }
  }).length;
}

/** No body is held any more, in memory or on disk. */
export async function nothingHeld(): Promise<void> {
  await eventually(() => heldBudget.freeBytes === HELD_BYTES_MAX, 'memory given back');
  await eventually(() => heldDiskBudget.freeBytes === HELD_DISK_BYTES_MAX, 'disk given back');
  await eventually(() => unnamed() === 0, 'files closed');
}
