import { foldName, headerValues, type RequestHead } from '../connector/head.ts';
import { SidecarError } from '../error.ts';

/**
 * Fields that belong to one connection and are never forwarded (RFC 9110 section 7.6.1), with those that this engine
 * writes itself (Host, Content-Length, Expect).
 */
const REQUEST_DROPPED: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const FRAMING_LENGTH_MAX = Math.max(...[...REQUEST_DROPPED].map((name) => name.length));

const RESPONSE_DROPPED: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/**
 * Dropped in every spelling that an upstream may fold: `Proxy-Authorization` is a credential meant for us, and
 * `X-Forwarded-Host` names another authority than the one that was decided on.
 */
const FOLDED_DROPPED: ReadonlySet<string> = new Set(['proxy-authorization', 'x-forwarded-host']);

/** Fields by which some frameworks replace the method or the path that policy judged. Refused in every spelling. */
const OVERRIDES: ReadonlySet<string> = new Set([
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-original-uri',
  'x-original-url',
  'x-rewrite-url',
]);

/** Spellings that some upstreams fold into a field that frames or routes the message. */
const FRAMING: ReadonlySet<string> = new Set(['content-length', 'transfer-encoding', 'host', 'connection', 'upgrade']);

/**
 * Request fields that travel end to end. Runs before a credential is put on the request, so that a `Connection` field
 * naming an injected header cannot take it off again. Errors: `header-refused`.
 */
export function endToEndRequest(headers: readonly string[]): string[] {
  const named = namedByConnection(headers);
  const kept: string[] = [];
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!;
    const lower = name.toLowerCase();
    if (lower === 'transfer-encoding' && !isChunked(headers[at + 1]!)) {
      throw new SidecarError('header-refused', { detail: 'a transfer coding besides chunked' });
    }
    if (REQUEST_DROPPED.has(lower) || named?.has(lower)) continue;
    const folded = foldName(lower);
    if (FOLDED_DROPPED.has(folded)) continue;
    if (OVERRIDES.has(folded)) throw new SidecarError('header-refused', { detail: `override by ${folded}` });
    if (folded !== lower && FRAMING.has(folded)) {
      throw new SidecarError('header-refused', { detail: `framing field spelled ${JSON.stringify(name)}` });
    }
    kept.push(name, headers[at + 1]!);
  }
  return kept;
}

/**
 * A head as a connector returns it, without the fields that the engine writes: a `Host` of its own would lead the request
 * to another authority than the one that policy saw. The same head where there are none.
 */
export function withoutFraming(head: RequestHead): RequestHead {
  const { headers } = head;
  for (let at = 0; at < headers.length; at += 2) {
    if (isFraming(headers[at]!)) {
      return { ...head, headers: headers.filter((_, each) => !isFraming(headers[each - (each % 2)]!)) };
    }
  }
  return head;
}

function isFraming(name: string): boolean {
  return name.length <= FRAMING_LENGTH_MAX && REQUEST_DROPPED.has(name.toLowerCase());
}

/**
 * Response fields that travel end to end; the engine writes the framing of the downstream connection itself.
 * Errors: `upstream-protocol`.
 */
export function endToEndResponse(headers: readonly string[]): string[] {
  const named = namedByConnection(headers);
  const kept: string[] = [];
  for (let at = 0; at < headers.length; at += 2) {
    const lower = headers[at]!.toLowerCase();
    if (lower === 'transfer-encoding' && !isChunked(headers[at + 1]!)) {
      throw new SidecarError('upstream-protocol', { detail: 'a transfer coding besides chunked' });
    }
    if (RESPONSE_DROPPED.has(lower) || named?.has(lower)) continue;
    kept.push(headers[at]!, headers[at + 1]!);
  }
  return kept;
}

/** Fields that a trailer section may not have (RFC 9110 section 6.5.1): they frame, route or describe the message. */
const TRAILER_DROPPED: ReadonlySet<string> = new Set([
  ...RESPONSE_DROPPED,
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'host',
  'set-cookie',
  'trailer',
]);

/** Trailer fields that travel end to end. */
export function endToEndTrailers(trailers: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at < trailers.length; at += 2) {
    if (!TRAILER_DROPPED.has(trailers[at]!.toLowerCase())) kept.push(trailers[at]!, trailers[at + 1]!);
  }
  return kept;
}

/** Any other coding would have to be undone here, since the field that names it is not forwarded (RFC 9112 section 6.1). */
function isChunked(value: string): boolean {
  return value.trim().toLowerCase() === 'chunked';
}

/** Fields that every message needs and that a `Connection` option may not remove (RFC 9110 section 7.6.1). */
const NEVER_NAMED: ReadonlySet<string> = new Set(['content-length', 'content-type', 'content-encoding', 'host']);

/**
 * The list without the fields that its `Connection` names, which never reach the upstream: whoever judges a request by
 * its fields must not see them. The same list where there are none.
 */
export function withoutNamed(headers: readonly string[]): readonly string[] {
  const named = namedByConnection(headers);
  if (named === undefined) return headers;
  return headers.filter((_, at) => !named.has(headers[at - (at % 2)]!.toLowerCase()));
}

function namedByConnection(headers: readonly string[]): Set<string> | undefined {
  let named: Set<string> | undefined;
  for (const value of headerValues(headers, 'connection')) {
    for (const option of value.split(',')) {
      const name = option.trim().toLowerCase();
      if (name === '' || name === 'keep-alive' || name === 'close' || NEVER_NAMED.has(name)) continue;
      named ??= new Set();
      named.add(name);
    }
  }
  return named;
}
