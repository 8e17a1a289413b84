import { randomFillSync } from 'node:crypto';

const POOL_BYTES = 16 * 1024;

const pool = Buffer.allocUnsafeSlow(POOL_BYTES);
let used = POOL_BYTES;

/**
 * Fills `packet` from `start` to `end` with random bytes (RFC 4253 §6), none of which goes out twice. A packet takes a
 * dozen of them, and to ask the generator for so few costs as much as to encrypt the packet: hence the pool.
 */
export function fillPadding(packet: Buffer, start: number, end: number): void {
  const bytes = end - start;
  if (used + bytes > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  pool.copy(packet, start, used, used + bytes);
  used += bytes;
}
