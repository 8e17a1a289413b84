import { type Credentials, lineOf, SidecarError } from 'secretless-sidecar/connector';
import type { SshCredential } from './credentials.ts';

const DEFAULT_PORT = 22;
/** As CyberArk's broker does where nothing names one. */
const DEFAULT_USER = 'root';
/** What a login name may have here and downstream. */
const USER_BYTES_MAX = 255;
const NAME = /^[A-Za-z0-9_](?:[\w.-]{0,251}[\w.])?$/;
const IPV6 = /^(?=.*:)[\da-f:.]{2,45}(?:%[\w.-]{1,32})?$/i;

/** Where a service leads, and as whom. */
export interface Upstream {
  /** Name or IP literal without brackets, as configured: host keys are looked up by it. */
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** For the ledger: `ssh://host:22`. */
  readonly name: string;
}

/** Where the port and the host are, in one or two texts. */
export interface TargetTexts {
  readonly address?: string;
  readonly host?: string;
  readonly port?: string;
}

/**
 * Where the credentials lead. `user`: whom the downstream chose of `users`, whom it may choose; where neither it nor the
 * credentials name anybody it is the first of these. Errors: `credential-missing`, `credential-unfit`, which quote
 * nothing.
 */
export function upstreamOf(
  credentials: Credentials<SshCredential>,
  options: { readonly user?: string; readonly users?: readonly string[] } = {},
): Upstream {
  const text = (name: 'address' | 'host' | 'port' | 'user'): string | undefined =>
    credentials.has(name) ? lineOf(credentials.get(name), name) : undefined;
  const texts: TargetTexts = Object.fromEntries(
    (['address', 'host', 'port'] as const).flatMap((name) => {
      const value = text(name);
      return value === undefined ? [] : [[name, value]];
    }),
  );
  const { host, port } = targetOf(texts);
  const user = options.user ?? text('user') ?? options.users?.[0] ?? DEFAULT_USER;
  if (user === '' || Buffer.byteLength(user) > USER_BYTES_MAX) {
    throw new SidecarError('credential-unfit', { detail: `the user is empty or longer than ${USER_BYTES_MAX} bytes` });
  }
  const shown = host.includes(':') ? `[${host}]` : host;
  return { host, port, user, name: `ssh://${shown}:${port}` };
}

/** Host and port. Errors: `credential-missing`, `credential-unfit`. */
export function targetOf(texts: TargetTexts): { readonly host: string; readonly port: number } {
  const { host, port } = texts.address === undefined ? texts : splitAddress(texts.address, texts);
  if (host === undefined) {
    throw new SidecarError('credential-missing', { detail: 'neither "address" nor "host" is there' });
  }
  if (!NAME.test(host) && !IPV6.test(host)) throw unfit('the host is no name and no IP address');
  return { host, port: portOf(port) };
}

/** `host`, `host:port`, `[::1]:port`; an IPv6 literal without brackets has no port. */
function splitAddress(address: string, { host, port }: TargetTexts): TargetTexts {
  if (host !== undefined || port !== undefined) throw unfit('both "address" and "host" or "port" are there');
  const [, bracketed, bare, number] = /^(?:\[([^\]]*)\]|([^:]*))(?::([^:]*))?$/.exec(address) ?? [];
  const found = bracketed ?? bare;
  if (found === undefined) return { host: address };
  return { host: found, ...(number !== undefined && { port: number }) };
}

function portOf(text: string | undefined): number {
  if (text === undefined || text === '') return DEFAULT_PORT;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw unfit('the port is no port');
  return port;
}

function unfit(detail: string): SidecarError {
  return new SidecarError('credential-unfit', { detail });
}
