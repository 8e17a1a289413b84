import { isIP } from 'node:net';
import type { ListenAddress } from '../config/config.ts';
import {
  closeServer,
  createLocalServer,
  jsonAnswer,
  listenOn,
  type LocalAnswer,
  type LocalRoute,
} from './local-server.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';

export interface HealthStatus {
  /** Listeners accept. */
  readonly live: boolean;
  /** Live, and new uses would be served. */
  readonly ready: boolean;
  /** Why not ready, in words for an operator: no secret, no credential id. */
  readonly reasons: readonly string[];
}

export interface TelemetryServerOptions {
  /** A Unix address must be free already (`prepareSocketPath`). */
  readonly address: ListenAddress;
  readonly metrics: Pick<Metrics, 'scrape'>;
  readonly status: () => HealthStatus;
  readonly log: Log;
  /** Host names accepted besides the local ones and the address itself. */
  readonly hostNames?: readonly string[];
}

export interface TelemetryServer {
  /** With the port that the system chose, where 0 was asked for. */
  readonly address: ListenAddress;
  close(): Promise<void>;
}

/**
 * GET and HEAD of `/live` and `/ready` (bodies as CyberArk Secretless Broker answers them), `/healthz`, `/livez` and
 * `/readyz` (`{ok, reasons}`) and `/metrics`. 200 or 503. Errors: `address-unavailable`.
 */
export async function openTelemetryServer(options: TelemetryServerOptions): Promise<TelemetryServer> {
  const { status, metrics, log } = options;
  const server = createLocalServer({
    routes: {
      '/live': { GET: (query) => brokerAnswer(status(), status().live, query) },
      '/ready': { GET: (query) => brokerAnswer(status(), isReady(status()), query) },
      '/healthz': { GET: () => liveAnswer(status()) },
      '/livez': { GET: () => liveAnswer(status()) },
      '/readyz': { GET: () => answerOf(isReady(status()), status().reasons) },
      '/metrics': { GET: metricsRoute(metrics) },
    },
    hostAllowed: (host) => isOurHost(host, options.address, options.hostNames ?? []),
    log,
  });
  const address = await listenOn(server, options.address);
  return { address, close: () => closeServer(server) };
}

function isReady(status: HealthStatus): boolean {
  return status.live && status.ready;
}

/** Broker v2 answers `{}`, and words with `?full=1`. */
function brokerAnswer(status: HealthStatus, ok: boolean, query: URLSearchParams): LocalAnswer {
  const code = ok ? 200 : 503;
  if (query.get('full') !== '1') return jsonAnswer(code, {});
  return jsonAnswer(code, {
    listening: status.live ? 'OK' : 'secretless is not listening',
    ready: status.ready ? 'OK' : 'secretless is not ready',
  });
}

function liveAnswer({ live }: HealthStatus): LocalAnswer {
  return answerOf(live, live ? [] : ['no listener accepts']);
}

function answerOf(ok: boolean, reasons: readonly string[]): LocalAnswer {
  return jsonAnswer(ok ? 200 : 503, { ok, reasons });
}

function metricsRoute(metrics: Pick<Metrics, 'scrape'>): LocalRoute {
  return async () => {
    const { contentType, text } = await metrics.scrape();
    return { status: 200, contentType, body: text };
  };
}

/**
 * Whether `host` (a Host field) names the server on `address`, with any port. A server bound beyond loopback accepts
 * every IP literal, since probes and scrapers use the pod's address; a rebound DNS name is still no literal.
 */
export function isOurHost(host: string, address: ListenAddress, names: readonly string[]): boolean {
  const name = hostName(host);
  if (name === undefined) return false;
  if (name === 'localhost' || name === '127.0.0.1' || name === '::1') return true;
  if (address.kind === 'unix') return false;
  if (name === address.host.toLowerCase() || names.some((allowed) => allowed.toLowerCase() === name)) return true;
  return !isLoopback(address.host) && isIP(name) !== 0;
}

/** Host without port and brackets, lower case; undefined where it is no host at all (RFC 9110 section 7.2). */
function hostName(host: string): string | undefined {
  const parts = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::\d{0,5})?$/.exec(host);
  return (parts?.[1] ?? parts?.[2])?.toLowerCase();
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}
