import type { Spread } from './statistics.ts';

/** Columns as wide as their widest cell; the first to the left, the others to the right. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...lines.map((cells) => cells[column]?.length ?? 0)));
  const written = lines.map((cells) =>
    cells.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!))).join('  '),
  );
  return `${written.join('\n')}\n`;
}

/** `median (min–max)`. */
export function spreadText(figure: Spread | undefined, digits = 0): string {
  if (figure === undefined) return '-';
  const text = (value: number): string => value.toFixed(digits);
  return `${text(figure.median)} (${text(figure.min)}–${text(figure.max)})`;
}

export function numberText(value: number | undefined, digits = 2): string {
  return value === undefined || !Number.isFinite(value) ? '-' : value.toFixed(digits);
}
