import type { buildConnector as Connectors, Dispatcher, Pool as UndiciPool } from 'undici';
import { formatOrigin, type Origin } from '../connector/origin.ts';
import { SidecarError, type ErrorCode } from '../error.ts';
import type { UpstreamListener, UpstreamPool, UpstreamRequest } from './engine.ts';
import { buildConnector, errors, Pool } from './undici.ts';

export interface UndiciPoolOptions {
  readonly origin: Origin;
  readonly connections: number;
  readonly connectSeconds: number;
  readonly headersSeconds: number;
  readonly idleSeconds: number;
  readonly headerBytes: number;
  readonly tls: UpstreamTls;
}

/** Opens a connection for undici: speaks HTTP/1.1 on what it is given. */
export type UndiciConnect = Connectors.connector;

export interface UpstreamTls {
  readonly ca?: string;
  readonly certificate?: string;
  /** PEM of the client key: lives as long as the pool, as OpenSSL's context does. */
  readonly key?: Buffer;
  readonly servername?: string;
}

/**
 * One undici pool: HTTP/1.1, one request at a time on a connection, never a redirect, never a retry.
 * The `Host` field is the origin's own: undici writes it, so what policy saw is what is sent.
 */
export function openUndiciPool(
  options: UndiciPoolOptions,
  connect = undiciConnect(options),
): Pick<UpstreamPool, 'dispatch' | 'close'> {
  const pool = new Pool(formatOrigin(options.origin), {
    connections: options.connections,
    pipelining: 1,
    allowH2: false,
    keepAliveTimeout: 10_000,
    keepAliveMaxTimeout: 60_000,
    headersTimeout: options.headersSeconds * 1000,
    bodyTimeout: options.idleSeconds * 1000,
    maxHeaderSize: options.headerBytes,
    strictContentLength: true,
    connect,
  });
  return {
    dispatch: (request, listener) => dispatch(pool, request, listener),
    close: () => pool.close(),
  };
}

/** undici's own way to connect. */
export function undiciConnect({ tls, connectSeconds }: UndiciPoolOptions): UndiciConnect {
  return buildConnector({
    allowH2: false,
    timeout: connectSeconds * 1000,
    rejectUnauthorized: true,
    keepAlive: true,
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls.certificate === undefined ? {} : { cert: tls.certificate }),
    ...(tls.key === undefined ? {} : { key: tls.key }),
    ...(tls.servername === undefined ? {} : { servername: tls.servername }),
  });
}

function dispatch(pool: UndiciPool, request: UpstreamRequest, listener: UpstreamListener): void {
  const { head, body, contentLength } = request;
  const headers = [...head.headers];
  if (contentLength !== undefined) headers.push('content-length', String(contentLength));
  const streamed = body !== undefined && !(body instanceof Uint8Array);
  pool.dispatch(
    {
      path: head.target,
      method: head.method,
      headers,
      // undici takes any async iterable; its type says so of streams only.
      body: (body ?? null) as Dispatcher.DispatchOptions['body'] & object,
      // A body may take longer than any answer; its clock starts when it is sent (see UpstreamHandler).
      ...(streamed ? { headersTimeout: 0 } : {}),
    },
    new UpstreamHandler(request, listener, streamed),
  );
}

class UpstreamHandler implements Dispatcher.DispatchHandler {
  readonly #request: UpstreamRequest;
  readonly #listener: UpstreamListener;
  readonly #streamed: boolean;
  #controller: Dispatcher.DispatchController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #answered = false;

  constructor(request: UpstreamRequest, listener: UpstreamListener, streamed: boolean) {
    this.#request = request;
    this.#listener = listener;
    this.#streamed = streamed;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    const abort = (): void =>
      controller.abort(new SidecarError('upstream-closed', { detail: 'given up by the downstream' }));
    this.#listener.started({ pause: () => controller.pause(), resume: () => controller.resume(), abort });
    if (!this.#streamed) return;
    this.#controller = controller;
    this.#arm(this.#request.idleSeconds, () => this.#stalled());
  }

  onBodySent(): void {
    this.#timer?.refresh();
  }

  onRequestSent(): void {
    if (this.#streamed && !this.#answered) this.#arm(this.#request.headersSeconds, () => 'upstream-timeout');
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, _: unknown, reason?: string): void {
    const head = { status, reason: phrase(reason), headers: flat(controller.rawHeaders as Buffer[]) };
    if (status < 200) return this.#listener.inform(head);
    this.#disarm();
    this.#listener.head(head);
  }

  onResponseData(_: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#listener.chunk(chunk);
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    this.#disarm();
    this.#listener.end(flat((controller.rawTrailers ?? []) as Buffer[]));
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#disarm();
    this.#listener.error(upstreamError(error));
  }

  /** Who let an upload stand still: bytes that wait here are the upstream's to take. */
  #stalled(): ErrorCode {
    return this.#request.arriving?.waiting === true ? 'request-timeout' : 'upstream-timeout';
  }

  #arm(seconds: number, code: () => ErrorCode): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#controller?.abort(new SidecarError(code())), seconds * 1000);
  }

  #disarm(): void {
    this.#answered = true;
    clearTimeout(this.#timer);
  }
}

/** undici reads the reason phrase as UTF-8; on the wire it goes byte for byte, as header values do. */
function phrase(reason = ''): string {
  return Buffer.from(reason, 'utf8').toString('latin1');
}

function flat(raw: readonly Buffer[]): string[] {
  const headers = new Array<string>(raw.length);
  for (let at = 0; at < raw.length; at += 1) headers[at] = raw[at]!.toString('latin1');
  return headers;
}

/** What undici and node throw, as our codes. The text stays in `detail`: it names addresses. */
export function upstreamError(error: Error): SidecarError {
  if (error instanceof SidecarError) return error;
  return new SidecarError(upstreamCode(error), { cause: error, detail: error.message });
}

function upstreamCode(error: Error): ErrorCode {
  if (error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError)
    return 'upstream-timeout';
  if (error instanceof errors.ConnectTimeoutError) return 'upstream-unreachable';
  if (error instanceof errors.HTTPParserError || error instanceof errors.HeadersOverflowError)
    return 'upstream-protocol';
  if (error instanceof errors.ResponseContentLengthMismatchError) return 'upstream-protocol';
  if (error instanceof errors.RequestContentLengthMismatchError) return 'request-malformed';
  const code = 'code' in error ? String(error.code) : '';
  if (TLS_CODE.test(code)) return 'upstream-tls';
  if (UNREACHABLE.has(code)) return 'upstream-unreachable';
  return 'upstream-closed';
}

/** OpenSSL verification and handshake failures, as node names them (tls: X509 certificate error codes). */
const TLS_CODE = /^(CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_|ERR_SSL_|HOSTNAME_|INVALID_(CA|PURPOSE)|EPROTO)/;
const UNREACHABLE: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_FAIL',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'ENOENT',
  'EACCES',
]);
