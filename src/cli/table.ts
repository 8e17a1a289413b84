import { visible } from '../telemetry/log-text.ts';

const GAP = '  ';

/** Rows as aligned columns, each line ended by a newline. Control characters are shown as escapes. */
export function columns(rows: readonly (readonly string[])[]): string {
  const shown = rows.map((row) => row.map(visible));
  const widths: number[] = [];
  for (const row of shown) row.forEach((cell, at) => (widths[at] = Math.max(widths[at] ?? 0, cell.length)));
  const lines = shown.map((row) =>
    row
      .map((cell, at) => cell.padEnd(widths[at]!))
      .join(GAP)
      .trimEnd(),
  );
  return lines.map((line) => `${line}\n`).join('');
}

/** Aligned columns under a heading in capitals. */
export function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  return columns([heading.map((word) => word.toUpperCase()), ...rows]);
}
