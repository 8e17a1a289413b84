import { OPEN_HOST, SERVED_HOST } from './hosts.ts';
import type { Route } from './route.ts';

/** A way to the upstream: straight, through the sidecar, or through a peer. */
export interface Target {
  readonly name: string;
  readonly route: Route;
  /** True where the client has to send the credential, since nothing on the way adds it. */
  readonly sendsCredential: boolean;
  /** Processes whose use counts as this target's; none for the way without any. */
  pids(): readonly number[];
  close(): Promise<void>;
}

export const DIRECT = 'direct';
export const SIDECAR = 'sidecar';
export const UNTOUCHED = 'sidecar, untouched';
export const MITMPROXY = 'mitmproxy';

export interface Origin {
  readonly port: number;
  readonly ca: string;
}

export function directTo({ port, ca }: Origin): Target {
  return {
    name: DIRECT,
    route: { host: SERVED_HOST, port, ca },
    sendsCredential: true,
    pids: () => [],
    close: async () => undefined,
  };
}

/** The same sidecar to the origin that it does not open: the client sees the upstream's own certificate. */
export function untouchedBy(sidecar: Target, { port, ca }: Origin): Target {
  const { proxyPort } = sidecar.route;
  const route = { ...(proxyPort === undefined ? {} : { proxyPort }), host: OPEN_HOST, port, ca };
  return { ...sidecar, name: UNTOUCHED, route, sendsCredential: true };
}

/** The head of an HTTP/1.1 request as this target needs it. */
export function requestTo(target: Target, token: string, line: string, fields: readonly string[] = []): string {
  const { host, port } = target.route;
  const credential = target.sendsCredential ? [`Authorization: Bearer ${token}`] : [];
  const head = [`${line} HTTP/1.1`, `Host: ${host}:${port}`, 'Accept: application/json', 'User-Agent: bench'];
  return `${[...head, ...credential, ...fields].join('\r\n')}\r\n\r\n`;
}

/** The same of HTTP/2. */
export function headersTo(target: Target, token: string, path: string): Record<string, string> {
  const { host, port } = target.route;
  return {
    ...{ ':path': path, ':authority': `${host}:${port}`, accept: 'application/json', 'user-agent': 'bench' },
    ...(target.sendsCredential ? { authorization: `Bearer ${token}` } : {}),
  };
}
