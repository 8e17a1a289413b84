import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Server } from 'node:https';
import { asSidecarError } from '../error.ts';
import type { Log } from '../telemetry/log.ts';
import type { InjectorMetrics } from './injector-metrics.ts';
import { mutate, type MutateOptions } from './mutate.ts';
import type { Annotated } from './pod.ts';
import { answerText, parseReview, type Review, type Verdict } from './review.ts';

/** What an API server takes and sends at most, in bytes (`--max-request-bytes` of it). */
const BODY_BYTES_MAX = 3 * 1024 * 1024;
/** Of all bodies that are being read. */
const BODIES_BYTES_MAX = 64 * 1024 * 1024;
const HEADER_BYTES_MAX = 16 * 1024;
const CONNECTIONS_MAX = 512;
/** From so many on, connections that wait for a next request are closed: whoever reaches the port could fill it with them. */
const CONNECTIONS_ROOMY = 384;
const HEADERS_TIMEOUT_MS = 5_000;
/** An API server waits for 30 seconds at most. */
const REQUEST_TIMEOUT_MS = 10_000;
const HANDSHAKE_TIMEOUT_MS = 5_000;
const KEEP_ALIVE_MS = 90_000;
const CHECK_INTERVAL_MS = 2_000;
const PATH = '/mutate';

export interface WebhookOptions extends MutateOptions {
  readonly metrics: InjectorMetrics;
  readonly log: Log;
}

/**
 * The webhook over TLS: POST /mutate takes an AdmissionReview of at most 3 MiB. It has no certificate and does not listen
 * yet. Who calls is not asked: an answer tells nothing but what the caller sent.
 */
export function createWebhookServer(options: WebhookOptions): Server {
  const bodies = { bytes: 0 };
  const answer: RequestListener = (request, response) => {
    serve(options, bodies, request, response).catch((error: unknown) => {
      options.log.error({ error }, 'request failed');
      response.destroy();
    });
  };
  // Imported as ESM, node:https would load node's own undici (see node-http.ts).
  const server = process.getBuiltinModule('node:https').createServer(
    {
      minVersion: 'TLSv1.2',
      ALPNProtocols: ['http/1.1'],
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: CHECK_INTERVAL_MS,
    },
    answer,
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.on('connection', () => {
    server.getConnections((_, count) => {
      if (count > CONNECTIONS_ROOMY) server.closeIdleConnections();
    });
  });
  server.on('tlsClientError', (error) => options.log.debug({ error }, 'TLS handshake failed'));
  // An accept error such as EMFILE arrives here as well and must not end the process.
  server.on('error', (error) => options.log.warn({ error }, 'webhook server failed'));
  return server;
}

interface Bodies {
  bytes: number;
}

async function serve(
  options: WebhookOptions,
  bodies: Bodies,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const refused = refusal(request, bodies);
  if (refused !== undefined) return end(request, response, refused, 'text/plain', '');
  const body = await readBody(request, bodies);
  if (response.destroyed) return;
  if (typeof body === 'number') return end(request, response, body, 'text/plain', '');
  const started = performance.now();
  const review = parseReview(body);
  if (review === undefined) {
    options.metrics.count('malformed');
    return end(request, response, 400, 'text/plain', 'this is no AdmissionReview of admission.k8s.io/v1\n');
  }
  const verdict = verdictOn(review, options);
  if (verdict === undefined) return end(request, response, 500, 'text/plain', '');
  end(request, response, 200, 'application/json', answerText(review.uid, verdict));
  options.metrics.count(verdict.result, (performance.now() - started) / 1000);
  report(options.log, review, verdict);
}

/** Undefined where that failed: an API server takes anything but 200 for a webhook that failed, and fails closed. */
function verdictOn(review: Review, { metrics, log, ...options }: WebhookOptions): Verdict | undefined {
  try {
    return mutate(review, options);
  } catch (thrown) {
    metrics.count('failed');
    log.error({ error: asSidecarError(thrown) }, 'review failed');
    return undefined;
  }
}

/** The status of a request that is not read any further. */
function refusal(request: IncomingMessage, bodies: Bodies): number | undefined {
  if (request.url?.split('?', 1)[0] !== PATH) return 404;
  if (request.method !== 'POST') return 405;
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]!.trim().toLowerCase();
  if (type !== 'application/json') return 415;
  if (Number(request.headers['content-length'] ?? 0) > BODY_BYTES_MAX) return 413;
  return bodies.bytes >= BODIES_BYTES_MAX ? 503 : undefined;
}

function end(request: IncomingMessage, response: ServerResponse, status: number, type: string, body: string): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...(status === 405 ? { allow: 'POST' } : {}),
    // What is left of a refused body is not read.
    ...(request.complete ? {} : { connection: 'close' }),
  });
  response.end(body);
}

/** The body, or the status of one that is too much. */
function readBody(request: IncomingMessage, bodies: Bodies): Promise<Buffer | number> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      bodies.bytes += chunk.length;
      const isTooLarge = bytes > BODY_BYTES_MAX;
      if (!isTooLarge && bodies.bytes <= BODIES_BYTES_MAX) return void chunks.push(chunk);
      request.pause();
      chunks.length = 0;
      resolve(isTooLarge ? 413 : 503);
    });
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('close', () => {
      bodies.bytes -= bytes;
      resolve(400);
    });
  });
}

function report(log: Log, review: Review, verdict: Verdict): void {
  if (verdict.result === 'ignored') return;
  // Of a pod that cannot be read there may be nothing.
  const metadata = (review.object as Annotated | null | undefined)?.metadata;
  const pod = metadata?.name ?? metadata?.generateName;
  const fields = { namespace: review.namespace, pod, result: verdict.result };
  if (verdict.result === 'denied') log.warn({ ...fields, reason: verdict.denial.message }, 'pod denied');
  else log.info({ ...fields, ...(verdict.warnings.length === 0 ? {} : { warnings: verdict.warnings }) }, 'pod');
}
