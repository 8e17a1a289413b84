import type { Origin } from '../connector/origin.ts';
import { SidecarError } from '../error.ts';
import { parseAuthority } from './authority.ts';

/** The four forms of a request target (RFC 9112 section 3.2). */
export type RequestTarget =
  | { readonly form: 'origin'; readonly target: string }
  | { readonly form: 'absolute'; readonly origin: Origin; readonly target: string }
  | { readonly form: 'authority' }
  | { readonly form: 'asterisk' };

/** Visible ASCII without `#`: a fragment is never sent (RFC 9112 section 3.2), blanks and controls end or split the line. */
const VISIBLE = /^[!"$-~]+$/;
const ABSOLUTE = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?]*)(.*)$/;
const WITH_PORT = /:[0-9]+$/;

function malformed(reason: string): SidecarError {
  return new SidecarError('request-malformed', { detail: `request target: ${reason}` });
}

/**
 * Reads a request target without repairing it: no blank is trimmed, no backslash turned, no host decoded. `target` of
 * the result is the path and query byte for byte; only an absolute form without a path gets the `/` that RFC 9110
 * section 4.2.3 says it means.
 *
 * Which characters a path may have is for `canonicalPath` to say. A query may have any visible ASCII but `#`: it is
 * passed on unread, and common clients leave brackets, braces and bars in it as they are.
 *
 * Throws `request-malformed`.
 */
export function parseRequestTarget(target: string): RequestTarget {
  if (!VISIBLE.test(target)) throw malformed('empty, or a character that no target has');
  if (target.startsWith('/')) return { form: 'origin', target };
  if (target === '*') return { form: 'asterisk' };
  const absolute = ABSOLUTE.exec(target);
  if (absolute === null) {
    // Authority form always has a port (RFC 9112 section 3.2.3); parsing it here is for the refusal alone.
    if (!WITH_PORT.test(target)) throw malformed('none of the four forms');
    parseAuthority(target, 'http');
    return { form: 'authority' };
  }
  const scheme = absolute[1]!.toLowerCase();
  if (scheme !== 'http' && scheme !== 'https') throw malformed('neither http nor https');
  const { host, port } = parseAuthority(absolute[2]!, scheme);
  const rest = absolute[3]!;
  return { form: 'absolute', origin: { scheme, host, port }, target: rest.startsWith('/') ? rest : `/${rest}` };
}
