import type { IncomingMessage, ServerResponse } from 'node:http';
import { headerValues, type RequestHead, type ResponseHead } from '../connector/head.ts';
import { STATUS_CODES } from '../node-http.ts';
import { youngGeneration } from '../young-generation.ts';
import { RequestBody } from './body.ts';
import type { ArrivingBody, Downstream } from './engine.ts';

/** How long an unwanted rest of a request body is read and thrown away before the connection is cut. */
const LINGER_MS = 1_000;

/** One exchange on node's HTTP/1.1 parser. */
export class NodeDownstream implements Downstream {
  readonly head: RequestHead;
  readonly version: '1.0' | '1.1';
  readonly hasBody: boolean;
  readonly contentLength: number | undefined;
  readonly expectsContinue: boolean;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  #body: RequestBody | undefined;
  #bytesDown = 0;
  #wrote = false;
  #onGone: (() => void) | undefined;

  constructor(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) {
    this.#request = request;
    this.#response = response;
    this.expectsContinue = expectsContinue;
    this.head = { method: request.method!, target: request.url!, headers: request.rawHeaders };
    this.version = request.httpVersionMinor === 0 ? '1.0' : '1.1';
    const announced = request.headers['content-length'];
    this.contentLength = announced === undefined ? undefined : Number(announced);
    this.hasBody = request.headers['transfer-encoding'] !== undefined || (this.contentLength ?? 0) > 0;
    response.sendDate = false;
  }

  get received(): boolean {
    return this.#request.complete;
  }

  get started(): boolean {
    return this.#response.headersSent;
  }

  get gone(): boolean {
    return this.#response.destroyed || this.#request.socket.destroyed;
  }

  /** Body bytes so far, for the ledger. */
  get bytes(): { readonly up: number; readonly down: number } {
    return { up: this.#body?.bytes ?? 0, down: this.#bytesDown };
  }

  continue(): void {
    if (this.expectsContinue) this.#response.writeContinue();
  }

  body(bytesMax?: number): ArrivingBody | undefined {
    if (!this.hasBody) return undefined;
    // A body that ends early never ends with `end` here: node's parser asks for its last byte.
    this.#body ??= new RequestBody({ stream: this.#request, isWhole: () => true }, bytesMax);
    return this.#body;
  }

  inform({ status, headers }: ResponseHead): void {
    if (this.version === '1.0' || this.started || this.gone) return;
    if (status === 102) this.#response.writeProcessing();
    const hints = headerValues(headers, 'link');
    if (status === 103 && hints.length > 0) this.#response.writeEarlyHints({ link: hints });
  }

  start(head: ResponseHead): void {
    // An answer to an upload that is still arriving: the connection cannot carry another exchange.
    if (this.#unread) this.#response.shouldKeepAlive = false;
    // The phrase is always given: node would keep one from an attempt that failed. A flat list keeps order, case and
    // repeated fields.
    const reason = head.reason === '' ? (STATUS_CODES[head.status] ?? 'Unknown') : head.reason;
    this.#response.writeHead(head.status, reason, this.#fieldsOf(head));
    // The head goes out with the first bytes of the body, or alone at once where none came with it (event streams).
    process.nextTick(() => {
      if (!this.#wrote && !this.#response.writableEnded && !this.gone) this.#response.flushHeaders();
    });
  }

  /** Announced trailers need chunks; where none are sent node refuses the field. */
  #fieldsOf({ status, headers }: ResponseHead): string[] {
    const announced = headerValues(headers, 'trailer').length > 0;
    if (!announced) return [...headers];
    const bodiless = this.head.method === 'HEAD' || status === 204 || status === 304;
    const chunked = this.version === '1.1' && !bodiless && headerValues(headers, 'content-length').length === 0;
    return chunked ? [...headers] : headers.filter((_, at) => headers[at - (at % 2)]!.toLowerCase() !== 'trailer');
  }

  write(chunk: Uint8Array): boolean {
    this.#wrote = true;
    this.#bytesDown += chunk.length;
    youngGeneration.passed(chunk.length);
    return this.#response.write(chunk);
  }

  onDrain(resume: () => void): void {
    this.#response.once('drain', resume);
  }

  end(trailers?: readonly string[]): void {
    if (trailers !== undefined && trailers.length > 0) {
      const pairs: [string, string][] = [];
      for (let at = 0; at < trailers.length; at += 2) pairs.push([trailers[at]!, trailers[at + 1]!]);
      this.#response.addTrailers(pairs);
    }
    this.#response.end();
    if (this.#unread) this.#linger();
  }

  abort(): void {
    const { socket } = this.#request;
    // To an HTTP/1.0 client the end of the connection may be the end of the body: only a reset shows the cut.
    // A Unix socket knows no reset.
    if (this.version === '1.0' && socket.remoteAddress !== undefined) socket.resetAndDestroy();
    else socket.destroy();
  }

  onGone(listener: () => void): void {
    this.#onGone = listener;
  }

  /**
   * The connection is closed. Whoever owns the socket says so: an answer that waits for its turn gets no `close` from
   * node once a CONNECT or an upgrade came behind it.
   */
  lost(): void {
    const listener = this.#onGone;
    this.#onGone = undefined;
    if (!this.#response.writableFinished) listener?.();
  }

  /** True while a body is still arriving. */
  get #unread(): boolean {
    return this.hasBody && !this.#request.complete;
  }

  /** Closes after an early answer. Reading on for a moment keeps the reset from overtaking the answer. */
  #linger(): void {
    const { socket } = this.#request;
    this.#body?.destroy();
    this.#request.resume();
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once('close', () => clearTimeout(timer));
    this.#response.once('finish', () => {
      if (this.#request.complete) return;
      this.#request.once('end', () => socket.destroySoon());
    });
  }
}
