import { Type } from '../schema.ts';

/** A span of time in an option: seconds as a number, or "500ms", "10s", "2m". */
export const Seconds = Type.Union(
  [Type.Number({ exclusiveMinimum: 0, maximum: 3600 }), Type.String({ pattern: '^[1-9][0-9]{0,6}(ms|s|m)$' })],
  { description: 'Seconds, or a number with ms, s or m' },
);

/** A size in an option: bytes as a number, or "64KiB", "1MiB". */
export const Size = Type.Union(
  [
    Type.Integer({ minimum: 1, maximum: 16_777_216 }),
    Type.String({ pattern: '^([1-9][0-9]{0,3}KiB|[1-9]MiB|1[0-6]MiB)$' }),
  ],
  { description: 'Bytes, or a number with KiB or MiB; 16 MiB at most' },
);

const SECONDS_OF_UNIT = { ms: 0.001, s: 1, m: 60, h: 3600 };
const BYTES_OF_UNIT = { KiB: 1024, MiB: 1024 * 1024 };

/** Seconds of a valid `Seconds`, or of one in hours. */
export function readSeconds(span: number | string): number {
  return read(span, SECONDS_OF_UNIT);
}

/** Bytes of a valid `Size`. */
export function readBytes(size: number | string): number {
  return read(size, BYTES_OF_UNIT);
}

function read(quantity: number | string, units: Readonly<Record<string, number>>): number {
  if (typeof quantity === 'number') return quantity;
  return parseInt(quantity, 10) * units[quantity.replace(/^[0-9]+/, '')]!;
}
