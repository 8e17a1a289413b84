import { parseHost } from '../http/authority.ts';
import type { ClientHello, HelloReading } from './client-hello.ts';

const SERVER_NAME = 0;
const ALPN = 16;
const SUPPORTED_VERSIONS = 43;
/** `encrypted_client_hello` (draft-ietf-tls-esni); 0xffce is what early drafts had. */
const ECH = [0xfe0d, 0xffce];
const HOST_NAME = 0;
const RANDOM_BYTES = 32;
const SESSION_ID_BYTES_MAX = 32;
/** More than any client has; what a list costs is known before it is made. */
const EXTENSIONS_MAX = 256;
const PROTOCOLS_MAX = 256;

/** Thrown and caught in this file. */
class Malformed extends Error {}

/** Takes a message apart; every length is held against what is there. */
class Cursor {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  number(width: 1 | 2): number {
    return this.take(width).readUIntBE(0, width);
  }

  take(count: number): Buffer {
    if (count > this.left) throw new Malformed('a length reaches beyond the hello');
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  /** What a length of `width` bytes stands before. */
  vector(width: 1 | 2): Cursor {
    return new Cursor(this.take(this.number(width)));
  }

  end(what: string): void {
    if (this.left > 0) throw new Malformed(`bytes behind ${what}`);
  }
}

/** The body of a ClientHello message (RFC 8446 section 4.1.2). Never throws. */
export function parseHello(body: Buffer): HelloReading {
  try {
    return { hello: readHello(new Cursor(body)) };
  } catch (error) {
    if (error instanceof Malformed) return { problem: error.message };
    throw error;
  }
}

function readHello(cursor: Cursor): ClientHello {
  const version = cursor.number(2);
  if (version >> 8 !== 3) throw new Malformed('not a version of TLS');
  cursor.take(RANDOM_BYTES);
  if (cursor.vector(1).left > SESSION_ID_BYTES_MAX) throw new Malformed('a session id over its limit');
  const suites = cursor.vector(2).left;
  if (suites < 2 || suites % 2 !== 0) throw new Malformed('no list of cipher suites');
  if (cursor.vector(1).left === 0) throw new Malformed('no list of compression methods');
  // Before TLS 1.3 there need not be any (RFC 5246 section 7.4.1.2).
  const extensions = cursor.left === 0 ? new Map<number, Cursor>() : readExtensions(cursor);
  const serverName = serverNameOf(extensions.get(SERVER_NAME));
  return {
    ...(serverName === undefined ? {} : { serverName }),
    alpn: protocolsOf(extensions.get(ALPN)),
    ech: ECH.some((type) => extensions.has(type)),
    versions: versionsOf(extensions.get(SUPPORTED_VERSIONS)) ?? [version],
  };
}

/** Each type stands there once (RFC 8446 section 4.2), those of GREASE too. */
function readExtensions(cursor: Cursor): Map<number, Cursor> {
  const list = cursor.vector(2);
  cursor.end('the extensions');
  const extensions = new Map<number, Cursor>();
  while (list.left > 0) {
    if (extensions.size === EXTENSIONS_MAX) throw new Malformed('too many extensions');
    const type = list.number(2);
    if (extensions.has(type)) throw new Malformed(`extension ${type} twice`);
    extensions.set(type, list.vector(2));
  }
  return extensions;
}

/** RFC 6066 section 3. */
function serverNameOf(extension: Cursor | undefined): string | undefined {
  if (extension === undefined) return undefined;
  const list = extension.vector(2);
  extension.end('the list of server names');
  if (list.number(1) !== HOST_NAME) throw new Malformed('a server name that is no host name');
  const name = list.vector(2);
  // One of each type, and no other type was ever defined.
  list.end('the server name');
  let host: string;
  try {
    host = parseHost(name.take(name.left).toString('latin1'));
  } catch {
    throw new Malformed('a server name that no host has');
  }
  if (host.includes(':') || /^[0-9.]+$/.test(host)) throw new Malformed('an address as server name');
  return host;
}

function protocolsOf(extension: Cursor | undefined): string[] {
  if (extension === undefined) return [];
  const list = extension.vector(2);
  extension.end('the list of protocols');
  const protocols: string[] = [];
  do {
    if (protocols.length === PROTOCOLS_MAX) throw new Malformed('too many protocols');
    const name = list.vector(1);
    if (name.left === 0) throw new Malformed('an empty protocol name');
    protocols.push(name.take(name.left).toString('latin1'));
  } while (list.left > 0);
  return protocols;
}

/** RFC 8446 section 4.2.1. */
function versionsOf(extension: Cursor | undefined): number[] | undefined {
  if (extension === undefined) return undefined;
  const list = extension.vector(1);
  extension.end('the list of versions');
  if (list.left < 2 || list.left % 2 !== 0) throw new Malformed('no list of versions');
  return Array.from({ length: list.left / 2 }, () => list.number(2));
}
