const NAME = /^[A-Za-z0-9_*](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?$/;
const IPV6 = /^(?=.*:.*:)[0-9A-Fa-f:.]{2,45}(?:%[A-Za-z0-9_.-]{1,32})?$/;
const PORT_MAX = 65_535;

/**
 * `host:port` as rules write it, an IPv6 address in brackets; undefined where it cannot be one. `host` stays as it was
 * sent: only the upstream knows what it means there.
 */
export function tcpDestination(host: string, port: number): string | undefined {
  if (port < 1 || port > PORT_MAX) return undefined;
  if (NAME.test(host)) return `${host}:${port}`;
  return IPV6.test(host) ? `[${host}]:${port}` : undefined;
}

/** As `tcpDestination`, for a listener: no host is every address, and port 0 any port. */
export function tcpListen(host: string, port: number): string | undefined {
  const named = host === '' ? `:${port}` : tcpDestination(host, port === 0 ? 1 : port)?.replace(/\d+$/, String(port));
  return port >= 0 && port <= PORT_MAX ? named : undefined;
}

/** The absolute path of a socket; undefined where it is none. */
export function socketDestination(path: string): string | undefined {
  return /^\/[!-~]+$/.test(path) && !path.split('/').some((part) => part === '.' || part === '..') ? path : undefined;
}
