/** What an unquoted YAML 1.1 scalar means, and the text that version 2 files have always made of it. */
export interface Resolved {
  readonly value: string | number | boolean | null;
  readonly text: string;
}

const TRUE = new Set(['y', 'Y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON']);
const FALSE = new Set(['n', 'N', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF']);
const NULL = new Set(['', '~', 'null', 'Null', 'NULL']);
const NOT_FINITE = new Map([
  ['.nan', NaN],
  ['.NaN', NaN],
  ['.NAN', NaN],
  ['.inf', Infinity],
  ['.Inf', Infinity],
  ['.INF', Infinity],
  ['+.inf', Infinity],
  ['+.Inf', Infinity],
  ['+.INF', Infinity],
  ['-.inf', -Infinity],
  ['-.Inf', -Infinity],
  ['-.INF', -Infinity],
]);
const INTEGER = /^([-+]?)(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+|0[0-7]*|[1-9][0-9]*)$/;
const FLOAT = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;
const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

/**
 * Resolves the text of a plain scalar the way version 2 files are read: booleans in all the spellings of YAML 1.1
 * (https://yaml.org/type/bool.html), a leading zero means octal, underscores are dropped, sexagesimal numbers and dates
 * stay text.
 */
export function resolveScalar(source: string): Resolved {
  if (NULL.has(source)) return { value: null, text: '' };
  if (TRUE.has(source)) return { value: true, text: 'true' };
  if (FALSE.has(source)) return { value: false, text: 'false' };
  const special = NOT_FINITE.get(source);
  if (special !== undefined) return { value: special, text: formatFloat(special) };
  if (!/^[-+.0-9]/.test(source)) return { value: source, text: source };
  return resolveNumber(source) ?? { value: source, text: source };
}

function resolveNumber(source: string): Resolved | undefined {
  const digits = source.startsWith('.') ? source : source.replaceAll('_', '');
  const integer = INTEGER.exec(digits);
  if (integer !== null) {
    const exact = parseInteger(integer[1] === '-', integer[2]!);
    if (exact >= INT64_MIN && exact <= UINT64_MAX) return { value: Number(exact), text: exact.toString() };
  }
  if (!FLOAT.test(digits)) return undefined;
  const value = Number(digits);
  return Number.isFinite(value) ? { value, text: formatFloat(value) } : undefined;
}

function parseInteger(negative: boolean, digits: string): bigint {
  const octal = /^0[0-7]+$/.test(digits);
  const size = BigInt(octal ? `0o${digits.slice(1)}` : digits);
  return negative ? -size : size;
}

/** The shortest text that reads back equal; an exponent below 1e-4 and from 1e6 on, of two digits at least. */
function formatFloat(value: number): string {
  if (Number.isNaN(value)) return '.nan';
  if (!Number.isFinite(value)) return value > 0 ? '.inf' : '-.inf';
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  const [mantissa, power] = value.toExponential().split('e') as [string, string];
  const exponent = Number(power);
  if (exponent >= -4 && exponent < 6) return String(value);
  return `${mantissa}e${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`;
}
