const ROW_BYTES = 8;
const ROWS_SHOWN_MAX = 40;

/** Two byte strings side by side, in hex and text; rows that differ are marked. For the messages of failed tests. */
export function hexColumns(expected: Uint8Array, received: Uint8Array): string {
  const rows: string[] = [`  offset  ${'expected'.padEnd(ROW_BYTES * 4 + 2)}  received`];
  const length = Math.max(expected.length, received.length);
  // Rows before the first difference say nothing; one of them is kept to find the place by.
  const first = Math.max(0, Math.floor(firstDifference(expected, received) / ROW_BYTES) - 1) * ROW_BYTES;
  for (let at = first; at < length; at += ROW_BYTES) {
    if (rows.length > ROWS_SHOWN_MAX) {
      rows.push(`  … ${length - at} more bytes`);
      break;
    }
    const [left, right] = [column(expected, at), column(received, at)];
    rows.push(`${left === right ? ' ' : '>'} ${at.toString(16).padStart(6, '0')}  ${left}  ${right}`.trimEnd());
  }
  rows.push(`  ${expected.length} bytes expected, ${received.length} received`);
  return rows.join('\n');
}

function column(bytes: Uint8Array, at: number): string {
  const row = Buffer.from(bytes.subarray(at, at + ROW_BYTES));
  const hex = [...row].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  const text = row.toString('latin1').replace(/[^\x20-\x7e]/g, '·');
  return `${hex.padEnd(ROW_BYTES * 3 - 1)}  ${text.padEnd(ROW_BYTES)}`.padEnd(ROW_BYTES * 4 + 2);
}

function firstDifference(one: Uint8Array, other: Uint8Array): number {
  const shorter = Math.min(one.length, other.length);
  for (let at = 0; at < shorter; at += 1) if (one[at] !== other[at]) return at;
  return shorter;
}
