import { Secret, SidecarError } from 'secretless-sidecar/connector';

/** A DSN at most; an RDS token inside one has some thousand bytes. */
const DSN_BYTES_MAX = 128 * 1024;
const HOSTS_MAX = 32;
const PARAMETERS_MAX = 128;

const SCHEMES = ['postgresql://', 'postgres://'];
const CHAR = {
  at: 0x40,
  colon: 0x3a,
  slash: 0x2f,
  question: 0x3f,
  comma: 0x2c,
  and: 0x26,
  equals: 0x3d,
  percent: 0x25,
};

export interface DsnHost {
  /** Name, IP literal without brackets, or the folder of a Unix socket; empty: not said. */
  readonly host: string;
  /** Digits; empty: not said. */
  readonly port: string;
}

/** Parts of a connection URI, percent-decoded; the database is left out. The password was never a text. */
export interface Dsn {
  readonly hosts: readonly DsnHost[];
  readonly user: string | undefined;
  readonly password: Secret | undefined;
  readonly parameters: ReadonlyMap<string, string>;
}

/**
 * Reads `postgresql://[user[:password]@][host[:port][,…]][/database][?name=value[&…]]` (libpq, "Connection URIs").
 *
 * An unescaped `@` inside the password is taken as part of it, where libpq would take what follows for the host and
 * look it up. The caller wipes the password. Errors: `credential-unfit`, which quotes nothing.
 */
export function parseDsn(secret: Secret): Dsn {
  return secret.expose((raw) => {
    const bytes = trimmed(raw);
    if (bytes.length > DSN_BYTES_MAX || bytes.includes(0)) throw unfit('is too long or holds a NUL');
    const scheme = SCHEMES.find((each) => bytes.subarray(0, each.length).toString('latin1').toLowerCase() === each);
    if (scheme === undefined) throw unfit('does not begin with postgres:// or postgresql://');
    const rest = bytes.subarray(scheme.length);
    const question = orEnd(rest, rest.indexOf(CHAR.question));
    const beforeQuery = rest.subarray(0, question);
    const slash = orEnd(beforeQuery, beforeQuery.indexOf(CHAR.slash));
    const authority = beforeQuery.subarray(0, slash);
    const at = authority.lastIndexOf(CHAR.at);
    const query = queryOf(rest.subarray(question + 1));
    const inAuthority = userOf(authority.subarray(0, Math.max(at, 0)));
    const password = query.password ?? inAuthority.password;
    return {
      hosts: hostsOf(authority.subarray(at + 1), query.parameters),
      user: query.parameters.get('user') ?? textOr(inAuthority.user),
      parameters: query.parameters,
      // Last, so that no copy of it is left where something before throws.
      password: password.length === 0 ? undefined : secretOf(password),
    };
  });
}

/** Without one trailing newline: files end with one. */
export function trimmed(bytes: Buffer): Buffer {
  let end = bytes.length;
  if (end > 0 && bytes[end - 1] === 0x0a) end -= 1;
  if (end > 0 && end < bytes.length && bytes[end - 1] === 0x0d) end -= 1;
  return bytes.subarray(0, end);
}

function orEnd(bytes: Buffer, at: number): number {
  return at === -1 ? bytes.length : at;
}

function userOf(bytes: Buffer): { readonly user: Buffer; readonly password: Buffer } {
  const colon = orEnd(bytes, bytes.indexOf(CHAR.colon));
  return { user: bytes.subarray(0, colon), password: bytes.subarray(colon + 1) };
}

interface Query {
  readonly parameters: ReadonlyMap<string, string>;
  /** Still percent-encoded. */
  readonly password: Buffer | undefined;
}

function queryOf(bytes: Buffer): Query {
  const parameters = new Map<string, string>();
  let password: Buffer | undefined;
  for (const pair of split(bytes, CHAR.and, PARAMETERS_MAX)) {
    if (pair.length === 0) continue;
    const equals = pair.indexOf(CHAR.equals);
    if (equals < 1) throw unfit('has a parameter without a value');
    const name = decodedText(pair.subarray(0, equals));
    const value = pair.subarray(equals + 1);
    if (name === 'password') password = value;
    else parameters.set(name, decodedText(value));
  }
  return { parameters, password };
}

function hostsOf(bytes: Buffer, parameters: ReadonlyMap<string, string>): readonly DsnHost[] {
  const written = split(bytes, CHAR.comma, HOSTS_MAX).map(hostOf);
  const hosts = parameters.get('host')?.split(',') ?? written.map(({ host }) => host);
  const ports = parameters.get('port')?.split(',') ?? written.map(({ port }) => port);
  return pairHosts(hosts, ports, 'url');
}

/** Hosts with their ports: one port for all, or one each. Errors: `credential-unfit`. */
export function pairHosts(hosts: readonly string[], ports: readonly string[], name: string): readonly DsnHost[] {
  const isEven = ports.length <= 1 || ports.length === hosts.length;
  if (hosts.length > HOSTS_MAX || !isEven) throw unfit('does not have one port for each host', name);
  return hosts.map((host, at) => ({ host, port: (ports.length === 1 ? ports[0] : ports[at]) ?? '' }));
}

function hostOf(bytes: Buffer): DsnHost {
  if (bytes[0] === 0x5b) {
    const end = bytes.indexOf(0x5d);
    const after = bytes.subarray(end + 1);
    if (end === -1 || (after.length > 0 && after[0] !== CHAR.colon)) throw unfit('has a bracket that does not close');
    return { host: decodedText(bytes.subarray(1, end)), port: after.subarray(1).toString('latin1') };
  }
  const colon = orEnd(bytes, bytes.indexOf(CHAR.colon));
  return { host: decodedText(bytes.subarray(0, colon)), port: bytes.subarray(colon + 1).toString('latin1') };
}

function split(bytes: Buffer, separator: number, max: number): readonly Buffer[] {
  const parts: Buffer[] = [];
  for (let from = 0; from <= bytes.length;) {
    const end = orEnd(bytes, bytes.indexOf(separator, from));
    if (parts.push(bytes.subarray(from, end)) > max) throw unfit('has too many hosts or parameters');
    from = end + 1;
  }
  return parts;
}

function textOr(bytes: Buffer): string | undefined {
  return bytes.length === 0 ? undefined : decodedText(bytes);
}

function decodedText(bytes: Buffer): string {
  return decoded(bytes).toString('utf8');
}

function secretOf(bytes: Buffer): Secret {
  const plain = decoded(bytes);
  const secret = new Secret(plain);
  plain.fill(0);
  return secret;
}

/** RFC 3986 section 2.1; `+` is no blank. The copy is the caller's. */
function decoded(bytes: Buffer): Buffer {
  const plain = Buffer.alloc(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length; at += 1, length += 1) {
    if (bytes[at] !== CHAR.percent) {
      plain[length] = bytes[at]!;
      continue;
    }
    const byte = hexDigit(bytes[at + 1]) * 16 + hexDigit(bytes[at + 2]);
    // NaN where a digit is missing; a NUL would end the value on the wire.
    if (!(byte > 0)) throw unfit('has a percent sign that begins no escape');
    plain[length] = byte;
    at += 2;
  }
  return plain.subarray(0, length);
}

function hexDigit(byte: number | undefined): number {
  return byte === undefined || !/[\da-f]/i.test(String.fromCharCode(byte))
    ? NaN
    : parseInt(String.fromCharCode(byte), 16);
}

function unfit(what: string, name = 'url'): SidecarError {
  return new SidecarError('credential-unfit', { detail: `credential "${name}" ${what}` });
}
