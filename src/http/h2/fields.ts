import type { ResponseHead } from '../../connector/head.ts';
import { SidecarError, type ErrorCode } from '../../error.ts';

/** Fields of one connection of HTTP/1.1, which no message of HTTP/2 has (RFC 9113 section 8.2.2). */
const CONNECTION_SPECIFIC: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/** Token characters in lower case (RFC 9110 section 5.6.2, RFC 9113 section 8.2). */
const NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;
const METHOD = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/**
 * No control but the tab, and nothing beyond one byte: node keeps the fields of a head apart by NUL, and of a wider character
 * it sends the low byte, which may be CR or LF (RFC 9113 section 8.2.1).
 */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

export function isMethod(text: string): boolean {
  return METHOD.test(text);
}

/** Whether a field may be on an HTTP/2 message; `te` may say `trailers` alone. */
export function isField(name: string, value: string): boolean {
  if (!NAME.test(name) || !VALUE.test(value) || CONNECTION_SPECIFIC.has(name)) return false;
  return name !== 'te' || value.trim().toLowerCase() === 'trailers';
}

/**
 * A flat list as HTTP/2 has it: names in lower case, in the order they came. Throws `code` where a name or a value cannot
 * be written, or belongs to a connection.
 */
export function http2Fields(headers: readonly string[], code: ErrorCode): string[] {
  const fields: string[] = [];
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!.toLowerCase();
    const value = headers[at + 1]!;
    if (!isField(name, value))
      throw new SidecarError(code, { detail: `a field that HTTP/2 cannot carry: ${quoted(name)}` });
    fields.push(name, value);
  }
  return fields;
}

/** Trailer fields for node, which takes no list. Errors: `upstream-protocol`. */
export function http2Trailers(trailers: readonly string[]): Record<string, string | string[]> {
  const fields = http2Fields(trailers, 'upstream-protocol');
  const trailer: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>;
  for (let at = 0; at < fields.length; at += 2) {
    const held = trailer[fields[at]!];
    const value = fields[at + 1]!;
    trailer[fields[at]!] = held === undefined ? value : [...(Array.isArray(held) ? held : [held]), value];
  }
  return trailer;
}

/** What HTTP/2 has for a status line (RFC 9113 section 8.3.2). Errors: `upstream-protocol`. */
export function http2Response({ status, headers }: ResponseHead): string[] {
  if (status < 200 || status > 599) throw new SidecarError('upstream-protocol', { detail: `status ${status}` });
  return [':status', String(status), ...http2Fields(headers, 'upstream-protocol')];
}

/** A head as it came, without its pseudo fields. */
export function withoutPseudo(raw: readonly string[]): string[] {
  const headers: string[] = [];
  for (let at = 0; at < raw.length; at += 2) {
    if (!raw[at]!.startsWith(':')) headers.push(raw[at]!, raw[at + 1]!);
  }
  return headers;
}

function quoted(name: string): string {
  return JSON.stringify(name.slice(0, 64));
}
