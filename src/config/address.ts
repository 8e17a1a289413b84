import { isIP, isIPv4, isIPv6 } from 'node:net';
import type { ListenAddress } from './config.ts';

export type ParsedAddress =
  { readonly address: ListenAddress; readonly warning?: string } | { readonly problem: string };

/** `sun_path` of Linux holds 108 bytes with the NUL (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;

/** Reads `tcp://host:port`, `tcp4://…`, `tcp6://…` or `unix:///path`. */
export function parseAddress(text: string): ParsedAddress {
  const [, network, rest] = /^([a-z0-9]+):\/\/(.*)$/s.exec(text) ?? [];
  if (network === undefined || rest === undefined) {
    return { problem: 'an address looks like tcp://127.0.0.1:8080 or unix:///run/api.sock' };
  }
  switch (network) {
    case 'unix':
      return parseSocketPath(rest);
    case 'tcp':
    case 'tcp4':
    case 'tcp6':
      return parseTcp(network, rest);
    default:
      return { problem: 'the address must begin with tcp:// or unix://' };
  }
}

export function socketPathProblem(path: string): string | undefined {
  if (path === '' || path.endsWith('/')) return 'the path of the socket is missing';
  if (/[\0\r\n\t]/.test(path)) return 'the path of the socket holds a control character';
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    return `the path of the socket is longer than ${SOCKET_PATH_BYTES_MAX} bytes`;
  }
  return undefined;
}

function parseSocketPath(path: string): ParsedAddress {
  const problem = socketPathProblem(path);
  if (problem !== undefined) return { problem };
  const address: ListenAddress = { kind: 'unix', path };
  if (path.startsWith('/')) return { address };
  return { address, warning: 'the path of the socket is relative to the folder that the sidecar is started in' };
}

function parseTcp(network: 'tcp' | 'tcp4' | 'tcp6', text: string): ParsedAddress {
  const [, bracketed, bare, digits] = /^(?:\[([^\]]*)\]|([^[\]:]*)):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65535) {
    return { problem: 'a tcp address ends with a port from 0 to 65535; an IPv6 address stands in brackets' };
  }
  const written = (bracketed ?? bare ?? '').toLowerCase();
  if (bracketed !== undefined && !isIPv6(written)) return { problem: 'only an IPv6 address stands in brackets' };
  if (written.includes('%')) return { problem: 'an address with a zone is not supported' };
  const loopback = network === 'tcp6' ? '::1' : '127.0.0.1';
  if (written === '') {
    const warning = `no host is written: listens on ${loopback} only, not on every interface`;
    return { address: { kind: 'tcp', host: loopback, port }, warning };
  }
  const family = isIP(written);
  if (family === 0 && (!HOST_NAME.test(written) || /^[\d.]+$/.test(written))) {
    return { problem: 'the host is neither a name nor an IP address' };
  }
  if ((network === 'tcp4' && family === 6) || (network === 'tcp6' && family === 4)) {
    return { problem: `the host is not an address of ${network}` };
  }
  const host = written === 'localhost' ? loopback : family === 6 ? shortIPv6(written) : written;
  const address: ListenAddress = { kind: 'tcp', host, port };
  if (isLoopback(host)) return { address };
  return { address, warning: 'listens beyond loopback: whoever reaches this address may use the credential' };
}

/** One spelling for each IPv6 address, so that two of them are compared as text. */
export function shortIPv6(host: string): string {
  return new URL(`http://[${host}]`).hostname.slice(1, -1);
}

/** A name that is compared, looked up and shown in a certificate alike: lower case, no dot at its end, no number. */
export function isHostName(host: string): boolean {
  const labels = host.split('.');
  return (
    HOST_NAME.test(host) && labels.every(({ length }) => length <= 63) && !/^(?:\d+|0x[\da-f]*)$/.test(labels.at(-1)!)
  );
}

/** `localhost`, 127.0.0.0/8 or ::1. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/** True where the system could not bind both: one covers the other without being the same address. */
export function collides(a: ListenAddress, b: ListenAddress): boolean {
  if (a.kind !== 'tcp' || b.kind !== 'tcp' || a.port !== b.port || a.port === 0 || a.host === b.host) return false;
  // `::` takes the IPv4 side of the port too (ipv6(7), IPV6_V6ONLY off, as Node binds it).
  if (a.host === '::' || b.host === '::') return true;
  return (a.host === '0.0.0.0' && !isIPv6(b.host)) || (b.host === '0.0.0.0' && !isIPv6(a.host));
}
