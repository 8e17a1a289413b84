import { STATUS_CODES, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createProxyServer } from 'http-proxy-3';
import { headerValues, type RequestHead } from '../connector/head.ts';
import { formatAuthority } from '../connector/origin.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import { outcomeOf } from '../telemetry/metrics.ts';
import { decide, endedEvent, lend, recordRefusal, refusalEvent, useEvent } from './admit.ts';
import type { HttpContext, HttpRoutes } from './binding.ts';
import type { ExchangeEnd } from './exchange.ts';
import { endToEndRequest } from './hop-by-hop.ts';
import { place, type Placement } from './place.ts';
import { problemResponse } from './problem.ts';
import { upstreamError } from './undici-upstream.ts';

/** A websocket handshake (RFC 6455 section 4.1). Any other Upgrade is ignored, as RFC 9110 section 7.8 allows. */
export function isWebsocketUpgrade(request: IncomingMessage): boolean {
  return request.method === 'GET' && request.headers.upgrade?.trim().toLowerCase() === 'websocket';
}

interface UpgradeRequest {
  readonly message: IncomingMessage;
  readonly socket: Duplex;
  /** Bytes that came behind the handshake; held until the upstream said 101. */
  readonly rest: Buffer;
  readonly id: string;
}

/**
 * Carries a websocket: same authority, policy, lease and ledger as an exchange, then http-proxy-3 joins the sockets.
 * Resolves when both are closed; never rejects.
 */
export async function serveUpgrade(context: HttpContext, routes: HttpRoutes, request: UpgradeRequest): Promise<ExchangeEnd> {
  const { message, socket, id } = request;
  const begun = performance.now();
  let placement: Placement | undefined;
  try {
    const placed = place(routes, { method: 'GET', target: message.url!, headers: message.rawHeaders });
    placement = { ...placed, head: { ...placed.head, headers: endToEndRequest(placed.head.headers) } };
    const head = await authenticated(context, placement, request);
    const sent = performance.now();
    const end = await join(placement, head, request);
    placement.binding.metrics.ended(end.error === undefined ? 'ok' : outcomeOf(end.error), (performance.now() - sent) / 1000, (sent - begun) / 1000);
    const ms = Math.round(performance.now() - begun);
    context.ledger.note(endedEvent(placement, id, { ...end, ms, error: end.error }));
    if (end.error !== undefined) context.log.warn({ id, service: placement.binding.service, error: end.error }, 'upgrade failed');
    return end;
  } catch (thrown) {
    const error = asSidecarError(thrown);
    context.log.info({ id, service: placement?.binding.service, error }, 'upgrade refused');
    placement?.binding.metrics.ended(outcomeOf(error), undefined, (performance.now() - begun) / 1000);
    refuse(socket, error, id);
    return { bytesUp: 0, bytesDown: 0 };
  }
}

async function authenticated(context: HttpContext, placement: Placement, { socket, id }: UpgradeRequest): Promise<RequestHead> {
  const { binding, origin, head } = placement;
  const grant = await decide(context, placement, id);
  if (!placement.credentialed) {
    await context.ledger.record(useEvent(placement, id, grant.rule, {}));
    return head;
  }
  const abort = new AbortController();
  const gone = (): void => abort.abort();
  socket.once('close', gone);
  const lease = await lend(context, placement, grant, id, abort.signal);
  try {
    if (abort.signal.aborted) throw new SidecarError('request-malformed', { detail: 'the downstream went away' });
    return (await binding.instance.authenticate(head, lease.credentials, { origin, now: context.now() })).head;
  } catch (thrown) {
    const error = asSidecarError(thrown, 'credential-unfit');
    await recordRefusal(context, refusalEvent(placement, id, error, 'error', grant.rule));
    throw error;
  } finally {
    lease.release();
    socket.off('close', gone);
  }
}

interface UpgradeEnd extends ExchangeEnd {
  readonly status: number;
  readonly error?: SidecarError;
}

function join(placement: Placement, head: RequestHead, { message, socket, rest, id }: UpgradeRequest): Promise<UpgradeEnd> {
  const { binding, origin } = placement;
  const counted = socket as Socket;
  const before = { up: counted.bytesRead, down: counted.bytesWritten };
  return new Promise((resolve) => {
    let status = 502;
    let error: SidecarError | undefined;
    const proxy = createProxyServer({});
    const unanswered = setTimeout(
      () => socket.destroy(new SidecarError('upstream-timeout')),
      (binding.connectSeconds + binding.headersSeconds) * 1000,
    );
    proxy.on('open', () => {
      status = 101;
      clearTimeout(unanswered);
      counted.setTimeout(binding.idleSeconds * 1000, () => socket.destroy());
    });
    socket.once('close', () => {
      clearTimeout(unanswered);
      const bytes = { bytesUp: counted.bytesRead - before.up, bytesDown: counted.bytesWritten - before.down };
      resolve({ ...bytes, status, ...(error === undefined ? {} : { error }) });
    });
    const request = {
      method: 'GET',
      url: head.target,
      headers: upgradeHeaders(head, origin),
      httpVersion: message.httpVersion,
      httpVersionMajor: 1,
    } as unknown as IncomingMessage;
    const { tls } = binding;
    proxy.ws(
      request,
      counted,
      rest,
      {
        target: { protocol: `${origin.scheme}:`, host: origin.host, hostname: origin.host, port: origin.port },
        toProxy: true,
        prependPath: false,
        secure: true,
        connectTimeout: binding.connectSeconds * 1000,
        ssl: { ...tls, ...(tls.certificate === undefined ? {} : { cert: tls.certificate }) },
      },
      (thrown: Error) => {
        if (status === 101) return;
        error = upstreamError(thrown);
        status = error.status;
        if (!socket.destroyed) socket.write(problemText(error, id));
      },
    );
  });
}

/** Header object for node's client: one key per field, repeated fields as lists. */
function upgradeHeaders(head: RequestHead, origin: Placement['origin']): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = Object.create(null) as Record<string, string | string[]>;
  for (let at = 0; at < head.headers.length; at += 2) {
    const name = head.headers[at]!.toLowerCase();
    if (name in headers) continue;
    const values = headerValues(head.headers, name);
    headers[name] = values.length === 1 ? values[0]! : values;
  }
  headers['host'] = formatAuthority(origin);
  headers['connection'] = 'Upgrade';
  headers['upgrade'] = 'websocket';
  return headers;
}

function refuse(socket: Duplex, error: SidecarError, id: string): void {
  if (!socket.destroyed) socket.end(problemText(error, id));
}

/** A whole response for a raw socket: node has given up its own writer at this point. */
export function problemText(error: SidecarError, id: string): Buffer {
  const { status, headers, body } = problemResponse(error, id);
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\n`;
  for (let at = 0; at < headers.length; at += 2) text += `${headers[at]}: ${headers[at + 1]}\r\n`;
  return Buffer.concat([Buffer.from(`${text}Connection: close\r\n\r\n`), body]);
}
