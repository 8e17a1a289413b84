/** Where programs are led to. */
export interface ProxyDoor {
  /** Name or IP literal without brackets. */
  readonly host: string;
  readonly port: number;
  /** What the program shows; absent where the listener asks for nothing. */
  readonly login?: { readonly agent: string; readonly token: string };
  /** Hosts that are reached directly, `host` or `host:port`. */
  readonly direct: readonly string[];
}

/** `http://agent:token@127.0.0.1:3128`. */
export function proxyUrl({ host, port, login }: ProxyDoor): string {
  const user = login === undefined ? '' : `${escaped(login.agent)}:${escaped(login.token)}@`;
  return `http://${user}${bracketed(host)}:${port}`;
}

/** RFC 3986 section 3.2.1, and nothing that a shell or a client reads as its own. */
function escaped(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

export function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/**
 * Variables that lead programs to the proxy. Both cases of each: curl reads `http_proxy` in lower case alone, others
 * only the upper. `YARN_NO_PROXY` and the like would stop Yarn, which refuses names it does not know.
 */
export function proxyVariables(door: ProxyDoor): Record<string, string> {
  const url = proxyUrl(door);
  const direct = door.direct.join(',');
  return {
    HTTP_PROXY: url,
    http_proxy: url,
    HTTPS_PROXY: url,
    https_proxy: url,
    ALL_PROXY: url,
    all_proxy: url,
    NO_PROXY: direct,
    no_proxy: direct,
    // Node from 22.21 on: fetch, http and https.
    NODE_USE_ENV_PROXY: '1',
    // gRPC in C looks here first.
    grpc_proxy: url,
    no_grpc_proxy: direct,
    YARN_HTTP_PROXY: url,
    YARN_HTTPS_PROXY: url,
    CLOUDSDK_PROXY_TYPE: 'http',
    CLOUDSDK_PROXY_ADDRESS: door.host,
    CLOUDSDK_PROXY_PORT: String(door.port),
    ...(door.login === undefined
      ? {}
      : { CLOUDSDK_PROXY_USERNAME: door.login.agent, CLOUDSDK_PROXY_PASSWORD: door.login.token }),
  };
}

/** Variables that would lead past it: other proxies for the same programs. */
export const OTHER_PROXIES: readonly string[] = [
  'FTP_PROXY',
  'ftp_proxy',
  'npm_config_proxy',
  'npm_config_https_proxy',
  'npm_config_noproxy',
  'PIP_PROXY',
  'CARGO_HTTP_PROXY',
  'CLOUDSDK_PROXY_USERNAME',
  'CLOUDSDK_PROXY_PASSWORD',
  'CLOUDSDK_PROXY_RDNS',
];

const LOCAL_HOSTS = ['localhost', '127.0.0.1', '::1'] as const;

/**
 * What is reached directly: this machine. A host of it that an `egress` service is for needs the proxy, so then only the
 * listeners are named, with their ports, for clients that read such entries.
 */
export function directHosts(
  listeners: readonly { readonly host: string; readonly port: number }[],
  targets: readonly { readonly host: string }[],
): string[] {
  const wanted = new Set(targets.map(({ host }) => host));
  const local = LOCAL_HOSTS.filter((host) => !wanted.has(host));
  const others = listeners.flatMap(({ host, port }) => {
    if (local.some((each) => each === host)) return [];
    return wanted.has(host) ? `${bracketed(host)}:${port}` : host;
  });
  return [...new Set([...local, ...others])];
}
