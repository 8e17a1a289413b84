import { type Address, SidecarError } from 'secretless-sidecar/connector';

const DEFAULT_PORT = 5432;
const NAME = /^[A-Za-z0-9_](?:[\w.-]{0,251}[\w.])?$/;
const IPV6 = /^(?=.*:)[\da-f:.]{2,45}(?:%[\w.-]{1,32})?$/i;

/** One server to try. */
export interface Target {
  /** Name that the certificate is to bear. */
  readonly host: string;
  readonly address: Address;
  /** Bytes to it do not leave the machine. */
  readonly local: boolean;
  /** A Unix socket, where no TLS is spoken. */
  readonly socket: boolean;
}

/**
 * `host`: name, IP literal, or the folder of a Unix socket; empty: this machine. `hostaddr`: connected to instead.
 * Errors: `credential-unfit`, which quotes nothing.
 */
export function targetOf(host: string, port: string, hostaddr = ''): Target {
  const number = portOf(port);
  if (host.startsWith('/') && hostaddr === '') {
    const path = `${host.replace(/\/+$/, '')}/.s.PGSQL.${number}`;
    return { host: 'localhost', address: { path }, local: true, socket: true };
  }
  const name = host === '' ? 'localhost' : host;
  const dialled = hostaddr === '' ? name : hostaddr;
  for (const each of [name, dialled]) {
    if (!NAME.test(each) && !IPV6.test(each)) {
      throw new SidecarError('credential-unfit', { detail: 'the host is no name, address or absolute path' });
    }
  }
  return { host: name, address: { host: dialled, port: number }, local: isLoopback(dialled), socket: false };
}

/** `postgres://host:port`, for the ledger. */
export function targetUrl({ address }: Target): string {
  if ('path' in address) return `postgres://${encodeURIComponent(address.path)}`;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `postgres://${host}:${address.port}`;
}

function portOf(text: string): number {
  if (text === '') return DEFAULT_PORT;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new SidecarError('credential-unfit', { detail: 'the port is no port' });
  return port;
}

/** Whether what is sent there does not leave this machine: a Unix socket or a loopback address. */
export function isLocalHost(host: string): boolean {
  return host.startsWith('/') || isLoopback(host);
}

/** RFC 5735 section 3, RFC 4291 section 2.5.3, RFC 6761 section 6.3. */
function isLoopback(host: string): boolean {
  return host.toLowerCase() === 'localhost' || host === '::1' || /^127(?:\.\d{1,3}){3}$/.test(host);
}
