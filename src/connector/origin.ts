/** Where a credential may go: scheme, host and port, all parsed (RFC 6454). Compared field by field, never as text. */
export interface Origin {
  readonly scheme: 'http' | 'https';
  /** Lower-case name, or IP literal without brackets. */
  readonly host: string;
  readonly port: number;
}

export function sameOrigin(a: Origin, b: Origin): boolean {
  return a.scheme === b.scheme && a.host === b.host && a.port === b.port;
}

export function defaultPort(scheme: Origin['scheme']): number {
  return scheme === 'https' ? 443 : 80;
}

/** `host` or `host:port`, the port left out where it is the scheme's own (RFC 9110 section 7.2). */
export function formatAuthority(origin: Origin): string {
  const host = origin.host.includes(':') ? `[${origin.host}]` : origin.host;
  return origin.port === defaultPort(origin.scheme) ? host : `${host}:${origin.port}`;
}

/** `https://host` or `https://host:port`. */
export function formatOrigin(origin: Origin): string {
  return `${origin.scheme}://${formatAuthority(origin)}`;
}
