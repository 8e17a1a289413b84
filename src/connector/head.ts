/** A request head, independent of the engine that parsed it. Immutable: the functions below return a new one. */
export interface RequestHead {
  readonly method: string;
  /** Origin-form target: path and query as received, byte for byte (RFC 9112 section 3.2.1). */
  readonly target: string;
  /** Flat list: name, value, name, value … in order, names as received. */
  readonly headers: readonly string[];
}

export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly headers: readonly string[];
}

/**
 * One spelling for all that an upstream may take for the same field: lower case, `_` read as `-`
 * (CGI and WSGI fold both into one variable, so `X_Api_Key` would shadow an injected `X-Api-Key`).
 */
export function foldName(name: string): string {
  const lower = name.toLowerCase();
  return lower.includes('_') ? lower.replaceAll('_', '-') : lower;
}

/** All values of a field, exact name (case-insensitive). */
export function headerValues(headers: readonly string[], name: string): string[] {
  const wanted = name.toLowerCase();
  const values: string[] = [];
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at]!.toLowerCase() === wanted) values.push(headers[at + 1]!);
  }
  return values;
}

/** Removes a field in every spelling. */
export function withoutHeader(head: RequestHead, name: string): RequestHead {
  const folded = foldName(name);
  const headers: string[] = [];
  for (let at = 0; at < head.headers.length; at += 2) {
    if (foldName(head.headers[at]!) === folded) continue;
    headers.push(head.headers[at]!, head.headers[at + 1]!);
  }
  return { ...head, headers };
}

/** Sets a field: every client spelling of it is removed first. */
export function withHeader(head: RequestHead, name: string, value: string): RequestHead {
  const bare = withoutHeader(head, name);
  return { ...bare, headers: [...bare.headers, name, value] };
}

/**
 * Appends one query parameter; what is there stays byte for byte (no sorting, no re-encoding). Client copies of the
 * parameter are removed first, compared after percent-decoding.
 */
export function withQueryParameter(head: RequestHead, name: string, value: string): RequestHead {
  const mark = head.target.indexOf('?');
  const path = mark < 0 ? head.target : head.target.slice(0, mark);
  const query = mark < 0 ? '' : head.target.slice(mark + 1);
  const kept = query === '' ? [] : query.split('&').flatMap((pair) => withoutName(pair, name));
  kept.push(`${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  return { ...head, target: `${path}?${kept.join('&')}` };
}

/** A pair without the parameter; some upstreams take `;` for a separator, so a copy may hide behind one. */
function withoutName(pair: string, name: string): string[] {
  if (!pair.includes(';')) return pair !== '' && decodeName(pair) === name ? [] : [pair];
  const parts = pair.split(';').filter((part) => decodeName(part) !== name);
  return parts.length === 0 ? [] : [parts.join(';')];
}

function decodeName(pair: string): string {
  const raw = pair.split('=', 1)[0]!.replaceAll('+', ' ');
  try {
    return decodeURIComponent(raw);
  } catch {
    return raw;
  }
}
