import type { Agent, ClientRequest, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { ProxyServer } from 'http-proxy-3';
import { headerValues, type RequestHead } from '../connector/head.ts';
import { formatAuthority, type Origin } from '../connector/origin.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import { STATUS_CODES } from '../node-http.ts';
import { outcomeOf } from '../telemetry/metrics.ts';
import { decide, endedEvent, lend, placeOnRecord, prove, recordRefusal, refusalEvent, useEvent } from './admit.ts';
import type { HttpBinding, HttpContext, HttpRoutes } from './binding.ts';
import type { ExchangeEnd } from './exchange.ts';
import { withoutFraming } from './hop-by-hop.ts';
import type { Placement } from './place.ts';
import { problemResponse } from './problem.ts';
import { told } from './taken-body.ts';
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

/** A websocket handshake of either HTTP, as it is served. */
export interface Upgrading {
  /** As HTTP/1.1 has it. */
  readonly head: RequestHead;
  readonly id: string;
  /** Closes with the agent's side. */
  readonly stream: Duplex;
  /** Sends the handshake on a connection of its own; resolves once the agent's side is closed. */
  join(placement: Placement, head: RequestHead, connection: Socket): Promise<UpgradeEnd>;
  /** Answers, and closes. */
  refuse(error: SidecarError): void;
}

/** Carries a websocket of HTTP/1.1: http-proxy-3 joins the sockets. Resolves when both are closed; never rejects. */
export function serveUpgrade(context: HttpContext, routes: HttpRoutes, request: UpgradeRequest): Promise<ExchangeEnd> {
  const { message, socket, id } = request;
  return carryUpgrade(context, routes, {
    head: { method: 'GET', target: message.url!, headers: message.rawHeaders },
    id,
    stream: socket,
    join: async (placement, head, connection) => {
      // Loaded by the first websocket: most sidecars never carry one, and start sooner without it.
      const { createProxyServer } = await import('http-proxy-3');
      return join(createProxyServer({}), placement, head, { ...request, connection });
    },
    refuse: (error) => refuse(socket, error, id),
  });
}

/** Same authority, policy, lease and ledger as an exchange. Never rejects. */
export async function carryUpgrade(
  context: HttpContext,
  routes: HttpRoutes,
  upgrading: Upgrading,
): Promise<ExchangeEnd> {
  const { id } = upgrading;
  const begun = performance.now();
  let binding: HttpBinding | undefined;
  try {
    const placement = await placeOnRecord(context, routes, upgrading.head, id, {
      located: (found) => (binding = found),
    });
    const { head, version } = await authenticated(context, placement, upgrading);
    const sent = performance.now();
    const end = await connectAndJoin(placement, head, version, upgrading);
    placement.binding.metrics.ended(
      end.error === undefined ? 'ok' : outcomeOf(end.error),
      (performance.now() - sent) / 1000,
      (sent - begun) / 1000,
    );
    const ms = Math.round(performance.now() - begun);
    context.ledger.note(endedEvent(placement, id, { ...end, ms, error: end.error }));
    if (end.error !== undefined)
      context.log.warn({ id, service: placement.binding.service, error: end.error }, 'upgrade failed');
    return end;
  } catch (thrown) {
    const error = asSidecarError(thrown);
    context.log.info({ id, service: binding?.service, error }, 'upgrade refused');
    binding?.metrics.ended(outcomeOf(error), undefined, (performance.now() - begun) / 1000);
    upgrading.refuse(error);
    return { bytesUp: 0, bytesDown: 0 };
  }
}

/** An upstream that cannot be reached is an end of the upgrade, since its use is on record. */
async function connectAndJoin(
  placement: Placement,
  head: RequestHead,
  version: string,
  upgrading: Upgrading,
): Promise<UpgradeEnd> {
  const { binding, origin, principal } = placement;
  let connection: Socket;
  try {
    const agent = principal.attested === 'listener' ? undefined : principal.agent;
    connection = await binding.pools.to(origin, version, agent).connect();
  } catch (thrown) {
    const error = upstreamError(thrown as Error);
    upgrading.refuse(error);
    return { bytesUp: 0, bytesDown: 0, status: error.status, error };
  }
  if (!upgrading.stream.destroyed) return upgrading.join(placement, head, connection);
  connection.destroy();
  throw new SidecarError('downstream-closed', { detail: 'during an upgrade' });
}

async function authenticated(
  context: HttpContext,
  placement: Placement,
  { stream, id }: Upgrading,
): Promise<{ head: RequestHead; version: string }> {
  const { handling, origin, head } = placement;
  // A handshake has no body: whoever asks for a hash gets that of nothing, and nothing is changed on its way.
  const body = placement.credentialed ? told(handling.body?.(head) ?? 'stream', undefined) : undefined;
  if (body?.bodySha256 !== undefined) await prove(context, placement, id, body.bodySha256);
  const grant = await decide(context, placement, id);
  if (!placement.credentialed) {
    await context.ledger.record(useEvent(placement, id, grant.rule, {}));
    return { head, version: '' };
  }
  const abort = new AbortController();
  const gone = (): void => abort.abort();
  stream.once('close', gone);
  const lease = await lend(context, placement, grant, id, abort.signal);
  const { version } = lease;
  try {
    if (abort.signal.aborted) throw new SidecarError('downstream-closed', { detail: 'during an upgrade' });
    const authenticated = await handling.authenticate(head, lease.credentials, {
      origin,
      version,
      now: context.now(),
      ...body,
    });
    return { head: withoutFraming(authenticated.head), version };
  } catch (thrown) {
    const error = asSidecarError(thrown, 'credential-unfit');
    await recordRefusal(context, refusalEvent(placement, id, error, 'error', grant.rule));
    throw error;
  } finally {
    lease.release();
    stream.off('close', gone);
  }
}

export interface UpgradeEnd extends ExchangeEnd {
  readonly status: number;
  readonly error?: SidecarError;
}

/** What became of an upgrade, told once the downstream socket is closed. */
class Upgrade {
  readonly #socket: Socket;
  readonly #id: string;
  readonly #before: { readonly up: number; readonly down: number };
  #status = 502;
  #error: SidecarError | undefined;

  constructor(socket: Socket, id: string) {
    this.#socket = socket;
    this.#id = id;
    this.#before = { up: socket.bytesRead, down: socket.bytesWritten };
  }

  get end(): UpgradeEnd {
    const bytesUp = this.#socket.bytesRead - this.#before.up;
    const bytesDown = this.#socket.bytesWritten - this.#before.down;
    return { bytesUp, bytesDown, status: this.#status, ...(this.#error === undefined ? {} : { error: this.#error }) };
  }

  get answered(): boolean {
    return this.#status !== 502 || this.#error !== undefined;
  }

  answer(status: number): void {
    this.#status = status;
  }

  /** Answers with a problem, or cuts an answer that is under way. */
  fail(error: SidecarError): void {
    if (this.answered) {
      this.#error ??= this.#status === 101 ? undefined : error;
      this.#socket.destroy();
      return;
    }
    this.#error = error;
    this.#status = error.status;
    refuse(this.#socket, error, this.#id);
  }
}

function join(
  proxy: ProxyServer,
  placement: Placement,
  head: RequestHead,
  { message, socket, rest, id, connection }: UpgradeRequest & { readonly connection: Socket },
): Promise<UpgradeEnd> {
  const { binding, origin } = placement;
  const upgrade = new Upgrade(socket as Socket, id);
  if (socket.destroyed) {
    connection.destroy();
    return Promise.reject(new SidecarError('downstream-closed', { detail: 'during an upgrade' }));
  }
  return new Promise((resolve) => {
    let request: ClientRequest | undefined;
    const answerMs = binding.headersSeconds * 1000;
    const unanswered = setTimeout(() => {
      upgrade.fail(new SidecarError('upstream-timeout'));
      request?.destroy();
    }, answerMs);
    const answered = (status: number): void => {
      upgrade.answer(status);
      clearTimeout(unanswered);
      (socket as Socket).setTimeout(binding.idleSeconds * 1000, () => socket.destroy());
    };
    proxy.on('proxyReqWs', (proxyReq) => {
      request = proxyReq;
      proxyReq.on('response', (response) => {
        answered(response.statusCode!);
        relayRefusal(response, socket, () => upgrade.fail(new SidecarError('upstream-closed')));
      });
    });
    let joined: Socket | undefined;
    // Without a listener of ours http-proxy-3 throws where a socket resets, and that would end the process.
    proxy.on('error', () => undefined);
    proxy.on('open', (proxySocket) => {
      joined = proxySocket;
      answered(101);
    });
    socket.once('close', () => {
      clearTimeout(unanswered);
      if (joined === undefined) {
        request?.destroy();
        connection.destroy();
      } else leave(joined, binding.idleSeconds);
      resolve(upgrade.end);
    });
    proxy.ws(
      upgradeRequest(message, head, origin),
      socket,
      rest,
      { toProxy: true, prependPath: false, target: targetOf(origin), agent: agentWith(connection) },
      (thrown: Error) => upgrade.fail(upstreamError(thrown)),
    );
  });
}

/** Lets what was written go out, then closes, whether the upstream does or not. */
function leave(joined: Socket, idleSeconds: number): void {
  joined.setTimeout(idleSeconds * 1000, () => joined.destroy());
  joined.destroySoon();
}

/** http-proxy-3 copies an answer that is no 101 without regard to the reader's pace and to a body that ends early. */
function relayRefusal(response: IncomingMessage, socket: Duplex, cut: () => void): void {
  response.on('data', () => {
    if (!socket.writableNeedDrain) return;
    response.pause();
    socket.once('drain', () => response.resume());
  });
  response.once('close', () => {
    if (!response.complete) cut();
  });
}

function upgradeRequest(message: IncomingMessage, head: RequestHead, origin: Origin): IncomingMessage {
  return {
    method: 'GET',
    url: head.target,
    headers: upgradeHeaders(head, origin),
    httpVersion: message.httpVersion,
    httpVersionMajor: 1,
  } as unknown as IncomingMessage;
}

/** The scheme is that of the bytes: TLS, where there is any, is done already. */
function targetOf({ host, port }: Origin) {
  return { protocol: 'http:', host, hostname: host, port };
}

/** An agent of node's client that has this one connection. */
function agentWith(connection: Socket): Agent {
  // What node's client asks of its agent, and nothing else.
  const agent = { addRequest: (request: ClientRequest) => request.onSocket(connection) };
  return agent as unknown as Agent;
}

/** Header object for node's client: one key per field, repeated fields as lists. */
export function upgradeHeaders(head: RequestHead, origin: Origin): Record<string, string | string[]> {
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
