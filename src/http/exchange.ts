import type { Readable } from 'node:stream';
import type { RequestHead, ResponseHead } from '../connector/head.ts';
import type { Lease } from '../credential/lease.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import type { Grant } from '../policy/request.ts';
import { outcomeOf } from '../telemetry/metrics.ts';
import { decide, endedEvent, lend, lendAnew, recordRefusal, refusalEvent, unplacedEvent, useEvent } from './admit.ts';
import { Attempt } from './attempt.ts';
import type { HttpContext, HttpRoutes } from './binding.ts';
import { whole } from './body.ts';
import type { Downstream, UpstreamControl, UpstreamListener } from './engine.ts';
import { endToEndRequest, endToEndResponse, endToEndTrailers } from './hop-by-hop.ts';
import { place, type Placement } from './place.ts';
import { problemResponse } from './problem.ts';

/** What the listener wants to know when an exchange is over. */
export interface ExchangeEnd {
  readonly bytesUp: number;
  readonly bytesDown: number;
}

/** A downstream that counts what passed. */
export type CountedDownstream = Downstream & {
  readonly bytes: { readonly up: number; readonly down: number };
  body(bytesMax?: number): Readable | undefined;
};

/**
 * Carries one exchange from the parsed head to the last byte. Resolves when it is over; never rejects.
 *
 * Order: one authority → policy → body if a signature needs it → lease → ledger → authenticate → upstream.
 * Nothing is retried that may have reached the upstream, except once after a 401 on a cached credential.
 */
export function serveExchange(
  context: HttpContext,
  routes: HttpRoutes,
  downstream: CountedDownstream,
  id: string,
): Promise<ExchangeEnd> {
  return new Exchange(context, downstream, id).run(routes);
}

class Exchange implements UpstreamListener {
  readonly #context: HttpContext;
  readonly #downstream: CountedDownstream;
  readonly #id: string;
  readonly #begun = performance.now();
  readonly #abort = new AbortController();
  #placement: Placement | undefined;
  #grant: Grant | undefined;
  #lease: Lease | undefined;
  #body: Readable | Uint8Array | undefined;
  #control: UpstreamControl | undefined;
  #sentAt = 0;
  #retried = false;
  /** Counts dispatches: events of one that was given up for a retry are stale. */
  #attempt = 0;
  #status = 0;
  #ended = false;
  #end!: (end: ExchangeEnd) => void;
  readonly #over = new Promise<ExchangeEnd>((resolve) => (this.#end = resolve));

  constructor(context: HttpContext, downstream: CountedDownstream, id: string) {
    this.#context = context;
    this.#downstream = downstream;
    this.#id = id;
  }

  run(routes: HttpRoutes): Promise<ExchangeEnd> {
    this.#downstream.onGone(() => this.#gone());
    this.#proceed(routes).catch((thrown: unknown) => this.#fail(asSidecarError(thrown)));
    return this.#over;
  }

  async #proceed(routes: HttpRoutes): Promise<void> {
    const placed = await this.#place(routes);
    const head: RequestHead = { ...placed.head, headers: endToEndRequest(placed.head.headers) };
    const placement = (this.#placement = { ...placed, head });
    const { binding } = placement;
    this.#refuseLargeBody(binding.bodyBytes);
    this.#grant = await decide(this.#context, placement, this.#id);
    this.#downstream.continue();
    const wanted = placement.credentialed ? (binding.instance.body?.(head) ?? 'stream') : 'stream';
    const body = this.#downstream.body(binding.bodyBytes);
    this.#body = wanted === 'stream' || body === undefined ? body : await whole(body, wanted.buffer);
    await this.#send();
  }

  async #place(routes: HttpRoutes): Promise<Placement> {
    try {
      return place(routes, this.#downstream.head);
    } catch (thrown) {
      const error = asSidecarError(thrown, 'request-malformed');
      if (error.fault === 'policy') {
        await recordRefusal(this.#context, unplacedEvent(this.#id, this.#downstream.head, error));
      }
      throw error;
    }
  }

  #refuseLargeBody(bytesMax: number | undefined): void {
    const { contentLength } = this.#downstream;
    // Beyond 2^53 a length would be sent on rounded, and frame another body than it announced.
    if (contentLength !== undefined && !Number.isSafeInteger(contentLength)) throw new SidecarError('body-too-large');
    if (bytesMax !== undefined && contentLength !== undefined && contentLength > bytesMax) {
      throw new SidecarError('body-too-large');
    }
  }

  /** Leases, records, authenticates and dispatches; called again for the one retry, with a lease that is on record. */
  async #send(fresh?: Lease): Promise<void> {
    const placement = this.#placement!;
    const { binding, origin } = placement;
    let { head } = placement;
    let version = '';
    if (placement.credentialed) {
      const lease = fresh ?? (await lend(this.#context, placement, this.#grant!, this.#id, this.#abort.signal));
      this.#lease = lease;
      ({ version } = lease);
      try {
        head = await this.#authenticate(placement, lease);
      } finally {
        lease.release();
      }
    } else {
      await this.#context.ledger.record(useEvent(placement, this.#id, this.#grant!.rule, {}));
    }
    if (this.#abort.signal.aborted) return;
    this.#sentAt = performance.now();
    const bytes = this.#body instanceof Uint8Array ? this.#body.length : this.#downstream.contentLength;
    binding.pools.to(origin, version).dispatch(
      {
        head,
        body: this.#body,
        contentLength: this.#downstream.hasBody || this.#downstream.contentLength === 0 ? bytes : undefined,
        headersSeconds: binding.headersSeconds,
        idleSeconds: binding.idleSeconds,
      },
      new Attempt(this, (this.#attempt += 1), () => this.#attempt),
    );
  }

  async #authenticate(placement: Placement, lease: Lease): Promise<RequestHead> {
    const { binding, origin, head } = placement;
    try {
      const context = {
        origin,
        now: this.#context.now(),
        ...(this.#body instanceof Uint8Array ? { body: this.#body } : {}),
      };
      const authenticated = binding.instance.authenticate(head, lease.credentials, context);
      return (authenticated instanceof Promise ? await authenticated : authenticated).head;
    } catch (thrown) {
      const error = asSidecarError(thrown, 'credential-unfit');
      await recordRefusal(this.#context, refusalEvent(placement, this.#id, error, 'error', this.#grant?.rule));
      throw error;
    }
  }

  started(control: UpstreamControl): void {
    this.#control = control;
    if (this.#abort.signal.aborted) control.abort();
  }

  inform(response: ResponseHead): void {
    this.#downstream.inform({ ...response, headers: endToEndResponse(response.headers) });
  }

  head(response: ResponseHead): void {
    if (this.#shouldRefetch(response.status)) {
      this.#control!.pause();
      void this.#refetch(response);
      return;
    }
    this.#pass(response);
  }

  #pass(response: ResponseHead): void {
    this.#status = response.status;
    this.#downstream.start({ ...response, headers: endToEndResponse(response.headers) });
  }

  /** A cached credential was refused: it may have been rotated. Only a body that we still hold can be sent again. */
  #shouldRefetch(status: number): boolean {
    return status === 401 && !this.#retried && this.#lease?.cached === true && !isStream(this.#body);
  }

  async #refetch(response: ResponseHead): Promise<void> {
    this.#retried = true;
    const refused = this.#control!;
    try {
      const signal = this.#abort.signal;
      const fresh = await lendAnew(this.#context, this.#placement!, this.#grant!, this.#lease!, this.#id, signal);
      if (this.#ended) {
        fresh?.release();
        return;
      }
      if (fresh === undefined) {
        this.#pass(response);
        refused.resume();
        return;
      }
      this.#attempt += 1;
      refused.abort();
      await this.#send(fresh);
    } catch (thrown) {
      refused.abort();
      this.#fail(asSidecarError(thrown));
    }
  }

  chunk(chunk: Uint8Array): void {
    if (this.#downstream.write(chunk)) return;
    this.#control!.pause();
    this.#downstream.onDrain(() => this.#control!.resume());
  }

  end(trailers: readonly string[]): void {
    this.#downstream.end(endToEndTrailers(trailers));
    this.#finish(undefined);
  }

  error(error: Error): void {
    this.#fail(asSidecarError(error, 'upstream-closed'));
  }

  #gone(): void {
    this.#abort.abort();
    this.#control?.abort();
    if (isStream(this.#body)) this.#body.destroy();
    this.#finish(new SidecarError('request-malformed', { detail: 'the downstream went away' }));
  }

  #fail(error: SidecarError): void {
    if (this.#ended) return;
    if (this.#downstream.started) {
      this.#downstream.abort();
    } else if (!this.#downstream.gone) {
      try {
        this.#refuse(this.#answer(error));
      } catch {
        this.#downstream.abort();
      }
    }
    this.#finish(error);
  }

  #refuse(answer: ResponseHead & { readonly body: Uint8Array }): void {
    this.#downstream.start(answer);
    if (this.#downstream.head.method !== 'HEAD') this.#downstream.write(answer.body);
    this.#downstream.end();
    this.#status = answer.status;
  }

  #answer(error: SidecarError): ResponseHead & { readonly body: Uint8Array } {
    const instance = this.#placement?.binding.instance;
    return instance?.refuse?.(error, this.#downstream.head) ?? problemResponse(error, this.#id);
  }

  #finish(error: SidecarError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    const now = performance.now();
    const { up, down } = this.#downstream.bytes;
    const placement = this.#placement;
    if (error !== undefined) this.#log(error);
    if (placement !== undefined) {
      const upstreamSeconds = this.#sentAt === 0 ? undefined : (now - this.#sentAt) / 1000;
      const addedSeconds = ((this.#sentAt === 0 ? now : this.#sentAt) - this.#begun) / 1000;
      placement.binding.metrics.ended(error === undefined ? 'ok' : outcomeOf(error), upstreamSeconds, addedSeconds);
      if (this.#sentAt !== 0) {
        const ms = Math.round((now - this.#begun) * 10) / 10;
        const end = { status: this.#status, bytesUp: up, bytesDown: down, ms, error };
        this.#context.ledger.note(endedEvent(placement, this.#id, end));
      }
    }
    this.#end({ bytesUp: up, bytesDown: down });
  }

  #log(error: SidecarError): void {
    const fields = { id: this.#id, service: this.#placement?.binding.service, error };
    if (error.fault === 'downstream' || error.fault === 'policy') this.#context.log.info(fields, 'exchange refused');
    else this.#context.log.warn(fields, 'exchange failed');
  }
}

function isStream(body: Readable | Uint8Array | undefined): body is Readable {
  return body !== undefined && !(body instanceof Uint8Array);
}
