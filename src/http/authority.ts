import { defaultPort, formatAuthority, type Origin } from '../connector/origin.ts';
import { SidecarError } from '../error.ts';

/** Characters of a whole name (RFC 1035 section 2.3.4, without the root label's dot). */
const NAME_CHARACTERS_MAX = 253;
const LABEL_CHARACTERS_MAX = 63;
const PORT_MAX = 65_535;

/** `_` is no LDH character, but container names have it. A hyphen stands at neither end (RFC 1123 section 2.1). */
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?$/;
/** What some resolver would read as the end of an IPv4 number: `0x7f.1`, `127.1`, `2130706433`. */
const NUMERIC_LABEL = /^(?:[0-9]+|0x[0-9a-f]*)$/;
const QUAD = /^(?:0|[1-9][0-9]{0,2})(?:\.(?:0|[1-9][0-9]{0,2})){3}$/;
const WORD = /^[0-9a-f]{1,4}$/;
/** No leading zero: `080` is 80 to one reader and octal to another. */
const PORT = /^[1-9][0-9]{0,4}$/;

// The reason never quotes the text: a refused authority may hold a password in its userinfo.
function malformed(reason: string): SidecarError {
  return new SidecarError('request-malformed', { detail: `host: ${reason}` });
}

/**
 * A host as it may be compared and dialled: a lower-case name, an IPv4 dotted quad, or an IPv6 literal in RFC 5952
 * form without its brackets (an embedded IPv4 address as two hex words, as URL parsers write it).
 *
 * Only what every resolver and URL parser reads the same way passes. Refused with `request-malformed`: NUL, `%`, blanks,
 * userinfo, non-ASCII, a dot at the end, empty labels, over-long names, short, hex and octal IPv4, IPv6 zones.
 */
export function parseHost(text: string): string {
  // A bracketed literal is never longer than a name, so one check up front bounds all work below.
  if (text.length > NAME_CHARACTERS_MAX) throw malformed('longer than 253 characters');
  const host = lowerAscii(text);
  if (host.startsWith('[')) {
    if (!host.endsWith(']')) throw malformed('IPv6 literal without closing bracket');
    const words = ipv6Words(host.slice(1, -1));
    if (words === undefined) throw malformed('not an IPv6 literal');
    return formatIpv6(words);
  }
  if (host === '') throw malformed('empty');
  if (isQuad(host)) return host;
  const labels = host.split('.');
  for (const label of labels) {
    if (label.length > LABEL_CHARACTERS_MAX) throw malformed('a label longer than 63 characters');
    if (!LABEL.test(label)) throw malformed('an empty label, a hyphen at its edge, or a character that no name has');
  }
  if (NUMERIC_LABEL.test(labels.at(-1)!)) throw malformed('a number that is no dotted quad');
  return host;
}

/** `host` or `host:port` (RFC 3986 section 3.2, without userinfo). An empty port and a port with leading zeros are refused. */
export function parseAuthority(text: string, scheme: Origin['scheme']): { host: string; port: number } {
  const colon = text.startsWith('[') ? text.indexOf(':', text.indexOf(']') + 1) : text.indexOf(':');
  if (colon < 0) return { host: parseHost(text), port: defaultPort(scheme) };
  if (text.startsWith('[') && !text.includes(']')) throw malformed('IPv6 literal without closing bracket');
  const digits = text.slice(colon + 1);
  const port = Number(digits);
  if (!PORT.test(digits) || port > PORT_MAX) throw malformed('port is not 1 to 65535');
  return { host: parseHost(text.slice(0, colon)), port };
}

/** Whether a Host field names this origin; a malformed one never does. */
export function hostAgrees(hostHeader: string, origin: Origin): boolean {
  if (hostHeader === formatAuthority(origin)) return true;
  try {
    const { host, port } = parseAuthority(hostHeader, origin.scheme);
    return host === origin.host && port === origin.port;
  } catch {
    return false;
  }
}

/**
 * Whether a host stays on this machine: 127.0.0.0/8, `::1`, those two mapped (`::ffff:127.0.0.1`), `localhost` and names
 * under it (RFC 6761 section 6.3). Expects what `parseHost` returns; anything else is not loopback.
 */
export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true;
  if (host.includes(':')) {
    const words = ipv6Words(lowerAscii(host));
    if (words === undefined) return false;
    const high = words.slice(0, 5).every((word) => word === 0);
    if (high && words[5] === 0xffff) return words[6]! >> 8 === 127;
    return high && words[5] === 0 && words[6] === 0 && words[7] === 1;
  }
  if (isQuad(host)) return host.startsWith('127.');
  if (!host.endsWith('.localhost')) return false;
  try {
    return parseHost(host) === host;
  } catch {
    return false;
  }
}

/** Unlike `toLowerCase`, never turns a non-ASCII letter (U+212A, the Kelvin sign) into an ASCII one. */
function lowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

function isQuad(text: string): boolean {
  return QUAD.test(text) && text.split('.').every((part) => Number(part) <= 255);
}

/** The eight 16-bit words of an IPv6 address without brackets and zone (RFC 4291 section 2.2); undefined where it is none. */
function ipv6Words(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = wordsOf(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? wordsOf(halves[1]!, true) : [];
  if (head === undefined || tail === undefined) return undefined;
  if (halves.length === 1) return head.length === 8 ? head : undefined;
  const gap = 8 - head.length - tail.length;
  return gap < 1 ? undefined : [...head, ...new Array<number>(gap).fill(0), ...tail];
}

function wordsOf(text: string, mayEndInQuad: boolean): number[] | undefined {
  if (text === '') return [];
  const words: number[] = [];
  const parts = text.split(':');
  for (const [at, part] of parts.entries()) {
    if (mayEndInQuad && at === parts.length - 1 && isQuad(part)) {
      const [a, b, c, d] = part.split('.').map(Number) as [number, number, number, number];
      words.push(a * 256 + b, c * 256 + d);
    } else if (WORD.test(part)) words.push(parseInt(part, 16));
    else return undefined;
  }
  return words;
}

/** RFC 5952 section 4: no leading zeros, the first longest run of two or more zero words as `::`. */
function formatIpv6(words: readonly number[]): string {
  let best = { from: 0, length: 1 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (at + length < 8 && words[at + length] === 0) length++;
    if (length > best.length) best = { from: at, length };
    at += length;
  }
  const hex = (part: readonly number[]) => part.map((word) => word.toString(16)).join(':');
  if (best.length < 2) return hex(words);
  return `${hex(words.slice(0, best.from))}::${hex(words.slice(best.from + best.length))}`;
}
