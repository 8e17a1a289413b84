const DURATION_PART = /(\d+(?:\.\d+)?)(ms|s|m|h)/g;
const SECONDS = { ms: 0.001, s: 1, m: 60, h: 3600 } as const;

export const DURATION_PATTERN = '^(\\d{1,9}(\\.\\d{1,9})?(ms|s|m|h)){1,4}$';
/** Node's timers hold 24 days; nothing here has a use for more than one. */
export const DURATION_SECONDS_MAX = 24 * 3600;

/** Seconds of `5s`, `500ms`, `1h30m`; undefined where it is no duration or longer than a day. */
export function parseDuration(text: string): number | undefined {
  if (!new RegExp(DURATION_PATTERN).test(text)) return undefined;
  let seconds = 0;
  for (const [, amount, unit] of text.matchAll(DURATION_PART)) {
    seconds += Number(amount) * SECONDS[unit as keyof typeof SECONDS];
  }
  return seconds <= DURATION_SECONDS_MAX ? seconds : undefined;
}

const BYTES = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 } as const;

export const SIZE_PATTERN = '^\\d{1,12}(B|KB|MB|GB|KiB|MiB|GiB)?$';
const SIZE_BYTES_MAX = 2 ** 50;

/** Bytes of `32KiB`, `50MB`, `4096`; undefined where it is no size. */
export function parseSize(size: string | number): number | undefined {
  if (typeof size === 'number') return Number.isSafeInteger(size) && size >= 0 ? size : undefined;
  if (!new RegExp(SIZE_PATTERN).test(size)) return undefined;
  const [, amount, unit] = /^(\d+)(.*)$/.exec(size) as unknown as [string, string, string];
  const bytes = Number(amount) * (unit === '' ? 1 : BYTES[unit as keyof typeof BYTES]);
  return bytes <= SIZE_BYTES_MAX ? bytes : undefined;
}
