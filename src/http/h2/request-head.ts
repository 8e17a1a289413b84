import type { RequestHead } from '../../connector/head.ts';
import type { Origin } from '../../connector/origin.ts';
import { SidecarError } from '../../error.ts';
import { parseAuthority } from '../authority.ts';
import { isField, isMethod } from './fields.ts';

export interface Http2RequestHead {
  /** With `Host` first, whether it came as that or as `:authority`. Of an extended CONNECT the method is GET. */
  readonly head: RequestHead;
  /** `:protocol` of an extended CONNECT (RFC 8441 section 4). */
  readonly protocol: string | undefined;
  readonly contentLength: number | undefined;
  readonly expectsContinue: boolean;
}

type Pseudo = ':method' | ':scheme' | ':authority' | ':path' | ':protocol';

const PSEUDO: ReadonlySet<string> = new Set([':method', ':scheme', ':authority', ':path', ':protocol']);
const DIGITS = /^[0-9]+$/;

function malformed(reason: string): SidecarError {
  return new SidecarError('request-malformed', { detail: `HTTP/2 head: ${reason}` });
}

/**
 * Reads a request head as HTTP/1.1 would have said it (RFC 9113 section 8.3.1). node's engine refuses most of what is
 * malformed; nothing here relies on it. Errors: `headers-too-large`, `request-malformed`, `host-mismatch`, `connect-refused`,
 * `expectation-refused`.
 */
export function readRequestHead(raw: readonly string[], scheme: Origin['scheme'], bytesMax: number): Http2RequestHead {
  // node holds to the limit only once the other side has acknowledged it, which it may never do.
  if (bytesOf(raw) > bytesMax) throw new SidecarError('headers-too-large');
  const pseudo = readPseudo(raw);
  const method = pseudo[':method'];
  const path = pseudo[':path'];
  const protocol = pseudo[':protocol'];
  if (method === undefined || !isMethod(method)) throw malformed('no method');
  if (method === 'CONNECT' && protocol !== 'websocket') throw new SidecarError('connect-refused');
  if (method !== 'CONNECT' && protocol !== undefined) throw malformed(':protocol on another method than CONNECT');
  if (pseudo[':scheme'] !== scheme) throw malformed(`:scheme is not that of the connection, ${scheme}`);
  if (path === undefined || !(path.startsWith('/') || path === '*')) throw malformed('no path');
  const fields = readFields(raw);
  const host = oneHost(pseudo[':authority'], fields.hosts);
  // Its reading is for the refusal: what no resolver reads in one way is not given on.
  parseAuthority(host, scheme);
  return {
    head: {
      method: method === 'CONNECT' ? 'GET' : method,
      target: path,
      headers: ['host', host, ...fields.headers],
    },
    protocol,
    contentLength: fields.contentLength,
    expectsContinue: fields.expectsContinue,
  };
}

/** As SETTINGS_MAX_HEADER_LIST_SIZE counts them (RFC 9113 section 6.5.2). */
function bytesOf(raw: readonly string[]): number {
  let bytes = 0;
  for (let at = 0; at < raw.length; at += 2) bytes += raw[at]!.length + raw[at + 1]!.length + 32;
  return bytes;
}

function readPseudo(raw: readonly string[]): Partial<Record<Pseudo, string>> {
  const found: Partial<Record<Pseudo, string>> = {};
  let over = false;
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]!;
    if (!name.startsWith(':')) {
      over = true;
      continue;
    }
    if (over) throw malformed('a pseudo field behind a field');
    if (!PSEUDO.has(name)) throw malformed('an unknown pseudo field');
    if (found[name as Pseudo] !== undefined) throw malformed('a pseudo field twice');
    found[name as Pseudo] = raw[at + 1]!;
  }
  return found;
}

/** `:authority` and Host name the same, in the same letters but for their case (RFC 9113 section 8.3.1). */
function oneHost(authority: string | undefined, hosts: readonly string[]): string {
  if (hosts.length > 1) throw malformed('more than one Host field');
  const [host] = hosts;
  const named = authority ?? host;
  if (named === undefined) throw malformed('neither :authority nor Host');
  if (host !== undefined && host.toLowerCase() !== named.toLowerCase()) throw new SidecarError('host-mismatch');
  return named;
}

interface Fields {
  readonly headers: string[];
  readonly hosts: string[];
  readonly contentLength: number | undefined;
  readonly expectsContinue: boolean;
}

function readFields(raw: readonly string[]): Fields {
  const headers: string[] = [];
  const hosts: string[] = [];
  const crumbs: string[] = [];
  let contentLength: number | undefined;
  let expectsContinue = false;
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]!;
    const value = raw[at + 1]!;
    if (name.startsWith(':')) continue;
    if (!isField(name, value)) throw malformed('a field that no HTTP/2 message has');
    if (name === 'host') hosts.push(value);
    else if (name === 'cookie') crumbs.push(value);
    else headers.push(name, value);
    if (name === 'content-length') {
      if (contentLength !== undefined || !DIGITS.test(value)) throw malformed('Content-Length');
      contentLength = Number(value);
    } else if (name === 'expect') {
      if (value.toLowerCase() !== '100-continue') throw new SidecarError('expectation-refused');
      expectsContinue = true;
    }
  }
  // One field again, as HTTP/1.1 has it (RFC 9113 section 8.2.3).
  if (crumbs.length > 0) headers.push('cookie', crumbs.join('; '));
  return { headers, hosts, contentLength, expectsContinue };
}
