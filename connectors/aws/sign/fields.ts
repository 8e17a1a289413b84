import { SigningProblem } from './problem.ts';

/** The header part of a canonical request. */
export interface SignedFields {
  /** `name:value\n` for each, sorted by name; latin1. */
  readonly canonical: string;
  /** Lower-case names, sorted, joined by `;`. */
  readonly names: string;
}

const CARE = /^[ \t]|[ \t]$|[ \t]{2}|[\t\r\n\0]/;

/**
 * Whether a field goes under the signature: `host`, the content fields that no hop may change, and every `x-amz-*`,
 * since S3 refuses a request with an unsigned one (HeadersNotSigned). All others may change on the way
 * (`accept-encoding`, `user-agent`, `x-amzn-trace-id` …). `name` is lower-case.
 */
export function isSigned(name: string): boolean {
  switch (name) {
    case 'host':
    case 'content-type':
    case 'content-md5':
    case 'content-encoding':
      return true;
    default:
      return name.startsWith('x-amz-');
  }
}

/**
 * Canonical form of the fields that `chosen` picks from a flat list (name, value, name, value …): lower-case names,
 * values trimmed, inner runs of blanks as one space, values of one name joined by `,` in order.
 * Errors: `malformed-field` for a value with a line break or NUL.
 */
export function signedFields(headers: readonly string[], chosen: (name: string) => boolean): SignedFields {
  const values = new Map<string, string>();
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!.toLowerCase();
    if (!chosen(name)) continue;
    const value = canonicalValue(headers[at + 1]!);
    const before = values.get(name);
    values.set(name, before === undefined ? value : `${before},${value}`);
  }
  const names = [...values.keys()].sort();
  let canonical = '';
  for (const name of names) canonical += `${name}:${values.get(name)!}\n`;
  return { canonical, names: names.join(';') };
}

/**
 * The list with all lines of a signed field joined into one: two lines of one name fail on servers that read only one
 * of them. A name stays where it first stands.
 */
export function joinRepeated(headers: readonly string[], chosen: (name: string) => boolean): readonly string[] {
  const first = new Map<string, number>();
  const joined: string[] = [];
  for (let at = 0; at < headers.length; at += 2) {
    const [name, value] = [headers[at]!, headers[at + 1]!];
    const lower = name.toLowerCase();
    const earlier = first.get(lower);
    if (earlier !== undefined) {
      joined[earlier] += `,${value}`;
      continue;
    }
    if (chosen(lower)) first.set(lower, joined.length + 1);
    joined.push(name, value);
  }
  return joined;
}

/** Space and tab only: `\s` would also take the latin1 bytes 0x85 and 0xA0, which are halves of UTF-8 letters. */
function canonicalValue(value: string): string {
  if (!CARE.test(value)) return value;
  if (/[\r\n\0]/.test(value)) throw new SigningProblem('malformed-field', 'a field value holds a line break or NUL');
  return value.replace(/^[ \t]+|[ \t]+$/g, '').replace(/[ \t]+/g, ' ');
}
