import { SidecarError } from 'secretless-sidecar/connector';
import { cStringAt } from './frame.ts';

/** First messages have no type byte, a code in its place. PostgreSQL protocol, "Message Formats". */
export const CANCEL_CODE = 80_877_102;
export const SSL_CODE = 80_877_103;
export const GSSENC_CODE = 80_877_104;
/** Length field and code. */
export const OPENING_HEADER_BYTES = 8;
/** MAX_STARTUP_PACKET_LENGTH of the server, which does not count the length field. */
export const STARTUP_BYTES_MAX = 10_000 + 4;
/** NAMEDATALEN - 1: a server before version 17 cuts longer names, so what policy saw would not be what is opened. */
const NAME_BYTES_MAX = 63;

export interface Parameter {
  readonly name: string;
  /** Bytes in whatever encoding the client uses. */
  readonly value: Buffer;
}

/** A StartupMessage. */
export interface Startup {
  /** Protocol version as sent: major in the upper half. */
  readonly version: number;
  /** In the order they came. Names are Latin-1, so that every byte survives. */
  readonly parameters: readonly Parameter[];
}

/** Parses a whole StartupMessage. Errors: `downstream-protocol`. */
export function parseStartup(packet: Buffer): Startup {
  const parameters: Parameter[] = [];
  let at = OPENING_HEADER_BYTES;
  for (;;) {
    const name = cStringAt(packet, at);
    if (name === undefined) throw malformed('no terminator');
    at = name.next;
    if (name.value.length === 0) break;
    const value = cStringAt(packet, at);
    if (value === undefined) throw malformed('a parameter without a value');
    parameters.push({ name: name.value.toString('latin1'), value: value.value });
    at = value.next;
  }
  if (at !== packet.length) throw malformed('bytes behind the terminator');
  return { version: packet.readUInt32BE(4), parameters };
}

function malformed(what: string): SidecarError {
  return new SidecarError('downstream-protocol', { detail: `StartupMessage with ${what}` });
}

/** The last value of that name, as a server takes it. */
export function parameterOf({ parameters }: Startup, name: string): Buffer | undefined {
  return parameters.findLast((each) => each.name === name)?.value;
}

/**
 * The database that is opened: the configured one, else the client's, else one called like the client's user, as a
 * server itself would choose for that client. Errors: `downstream-protocol` where there is none, or where it is longer
 * than a server's names.
 */
export function databaseOf(startup: Startup, configured: string | undefined): Buffer {
  if (configured !== undefined) return Buffer.from(configured);
  const database = [parameterOf(startup, 'database'), parameterOf(startup, 'user')].find((value) => value?.length);
  if (database === undefined) throw malformed('neither a database nor a user');
  if (database.length > NAME_BYTES_MAX) throw malformed('too long a name of the database');
  return database;
}

/** What a server does not take for `false` (parse_bool: case aside, any unambiguous beginning of a word). */
export function asksForReplication({ parameters }: Startup): boolean {
  return parameters.some(
    ({ name, value }) =>
      name === 'replication' && !/^(?:f(?:a(?:l(?:se?)?)?)?|no?|off?|0)$/i.test(value.toString('latin1')),
  );
}

/** What stands for the byte 0x00 of a text that is not UTF-8: lone surrogates, which no UTF-8 text has. */
const SURROGATE = 0xdc00;

/**
 * Text of a parameter for policy: UTF-8 where it is; else each byte from 0x80 on as a lone surrogate (U+DC80 to U+DCFF, as
 * in PEP 383), so that no two values look the same and no rule means one it was not written for.
 */
export function textOf(value: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value);
  } catch {
    return String.fromCharCode(...Array.from(value, (byte) => (byte < 0x80 ? byte : SURROGATE + byte)));
  }
}

/** Who logs in upstream, and to what. */
export interface Identity {
  readonly user: Buffer;
  readonly database: Buffer;
  /** Startup options from the credentials; the client's own win. */
  readonly options: readonly Parameter[];
}

/** The client's StartupMessage under another identity; version, order and unknown parameters stay. */
export function rebuildStartup({ version, parameters }: Startup, { user, database, options }: Identity): Buffer {
  const kept = parameters.filter(({ name }) => name !== 'user' && name !== 'database');
  const own = new Set(kept.map(({ name }) => name));
  const all = [
    { name: 'user', value: user },
    { name: 'database', value: database },
    ...kept,
    ...options.filter(({ name }) => !own.has(name)),
  ];
  const nul = Buffer.alloc(1);
  const body = all.flatMap(({ name, value }) => [Buffer.from(name, 'latin1'), nul, value, nul]);
  const header = Buffer.alloc(OPENING_HEADER_BYTES);
  header.writeUInt32BE(version, 4);
  const packet = Buffer.concat([header, ...body, nul]);
  packet.writeUInt32BE(packet.length, 0);
  return packet;
}
