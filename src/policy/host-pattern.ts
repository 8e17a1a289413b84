/** Matches the upstream's host and port; a pattern with a port does not match where the port is unknown. */
export type HostMatcher = (host: string, port: number | undefined) => boolean;

interface HostPattern {
  /** Lower-case name or folded address; for `*.example.com`, `.example.com`. */
  readonly name: string;
  readonly subdomains: boolean;
  readonly port: number | undefined;
}

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;
const BYTE = '(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
const IPV4 = new RegExp(`^${BYTE}(?:\\.${BYTE}){3}$`);
const MAPPED = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/;

/** Matches any of the patterns: a name, an IP literal, `*.` and a name; each with `:port` or without. Throws an Error. */
export function compileHosts(patterns: readonly string[]): HostMatcher {
  const compiled = patterns.map(compileHost);
  return (host, port) => {
    const name = host.includes(':') ? (foldAddress(host) ?? host) : host;
    for (const pattern of compiled) if (matchHost(pattern, name, port)) return true;
    return false;
  };
}

function matchHost(pattern: HostPattern, name: string, port: number | undefined): boolean {
  if (pattern.port !== undefined && pattern.port !== port) return false;
  if (!pattern.subdomains) return name === pattern.name;
  return name.length > pattern.name.length && name.endsWith(pattern.name);
}

function compileHost(text: string): HostPattern {
  const { host, port } = splitPort(text.toLowerCase());
  const problem = (reason: string): Error => new Error(`"${text}" ${reason}`);
  if (port !== undefined && (port < 1 || port > 65535)) throw problem('names no port from 1 to 65535');
  if (host.includes(':')) {
    const name = foldAddress(host);
    if (name === undefined) throw problem('is no IPv6 address');
    return { name, subdomains: false, port };
  }
  const subdomains = host.startsWith('*.');
  const name = subdomains ? host.slice(2) : host;
  const labels = name.split('.');
  if (/^[0-9]+$|^0x/.test(labels.at(-1)!)) {
    if (subdomains || !IPV4.test(name)) throw problem('is no IPv4 address in four decimal parts');
    return { name, subdomains, port };
  }
  if (name.length > 253 || !labels.every((label) => LABEL.test(label))) {
    throw problem('is no host name (`*.` may lead; write names beyond ASCII in their xn-- form)');
  }
  return { name: subdomains ? `.${name}` : name, subdomains, port };
}

function splitPort(text: string): { host: string; port: number | undefined } {
  const bracketed = /^\[([^\]]*)\](?::([0-9]{1,5}))?$/.exec(text);
  if (bracketed) return { host: asAddress(bracketed[1]!), port: toPort(bracketed[2]) };
  const plain = /^([^:]*):([0-9]{1,5})$/.exec(text);
  return plain ? { host: plain[1]!, port: toPort(plain[2]) } : { host: text, port: undefined };
}

/** Brackets hold IPv6 only: anything else keeps one, so that it is refused as a name. */
function asAddress(inside: string): string {
  return inside.includes(':') ? inside : `[${inside}]`;
}

function toPort(digits: string | undefined): number | undefined {
  return digits === undefined ? undefined : Number(digits);
}

/**
 * One spelling for an IPv6 address (RFC 5952); an IPv4-mapped one becomes the IPv4 address, since a socket reaches the
 * same host by either. Undefined where the text is no address.
 */
function foldAddress(text: string): string | undefined {
  // The URL parser reads on after a stray bracket: give it nothing but an address.
  if (!/^[0-9a-fA-F:.]+$/.test(text)) return undefined;
  let folded: string;
  try {
    folded = new URL(`http://[${text}]/`).hostname.slice(1, -1);
  } catch {
    return undefined;
  }
  const mapped = MAPPED.exec(folded);
  if (mapped === null) return folded;
  const [high, low] = [Number.parseInt(mapped[1]!, 16), Number.parseInt(mapped[2]!, 16)];
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}
