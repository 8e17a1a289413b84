/** One hostile connection: a request with something wrong in it, and a request behind it that must not be smuggled. */
export interface HostileCase {
  /** Four characters, the second segment of each of its paths: `/k/0a3f/first`. */
  readonly id: string;
  readonly bytes: Buffer;
}

/** Texts are one byte a character; this place holder is as long as an id, so lengths can be counted before. */
const ID = '<id>';

export const FIRST = `/k/${ID}/first`;
/** Ends the connection where it is read, so that nobody waits. */
export const SMUGGLED = `GET /k/${ID}/smuggled HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;

export const ALL_BYTES: readonly string[] = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte));

/** A POST with these field lines (each without CRLF), `rest` behind the blank line, and the smuggled request. */
export function post(fields: readonly string[], rest = '', version = 'HTTP/1.1'): string {
  const lines = [`POST ${FIRST} ${version}`, 'Host: localhost', ...fields];
  return `${lines.join('\r\n')}\r\n\r\n${rest}${SMUGGLED}`;
}

export function get(line: string, fields: readonly string[] = ['Host: localhost']): string {
  return `${[line, ...fields].join('\r\n')}\r\n\r\n${SMUGGLED}`;
}

export function numbered(texts: readonly string[]): HostileCase[] {
  return texts.map((text, at) => {
    const id = at.toString(36).padStart(ID.length, '0');
    return { id, bytes: Buffer.from(text.replaceAll(ID, id), 'latin1') };
  });
}

export function idOf(target: string): string | undefined {
  return /\/k\/([0-9a-z]{4})\//.exec(target)?.[1];
}

export function product<A, B>(as: readonly A[], bs: readonly B[], make: (a: A, b: B) => string): string[] {
  return as.flatMap((a) => bs.map((b) => make(a, b)));
}
