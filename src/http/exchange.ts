import { REVIEWED, type Authenticated, type Review } from '../connector/connector.ts';
import type { ResponseHead } from '../connector/head.ts';
import type { Lease } from '../credential/lease.ts';
import { asSidecarError, SidecarError } from '../error.ts';
import type { Grant } from '../policy/request.ts';
import { outcomeOf } from '../telemetry/metrics.ts';
import { decide, endedEvent, lend, lendAnew, placeOnRecord, prove } from './admit.ts';
import { recordRefusal, refusalEvent, useEvent, type Seeker } from './admit.ts';
import { Attempt } from './attempt.ts';
import type { HttpBinding, HttpContext, HttpRoutes } from './binding.ts';
import { ChangingBody } from './changing-body.ts';
import type { ArrivingBody, Downstream, UpstreamControl, UpstreamListener } from './engine.ts';
import { HeldAnswer } from './held-answer.ts';
import { HeldBody } from './held-body.ts';
import { endToEndResponse, endToEndTrailers, withoutFraming } from './hop-by-hop.ts';
import type { Placement } from './place.ts';
import { problemResponse } from './problem.ts';
import {
  canRepeat,
  isTakenFirst,
  lengthOf,
  opened,
  refuseBeforeReading,
  serves,
  takeBody,
  told,
  type TakenBody,
  whatIsHeld,
} from './taken-body.ts';

/** What the listener wants to know when an exchange is over. */
export interface ExchangeEnd {
  readonly bytesUp: number;
  readonly bytesDown: number;
}

/** A downstream that counts what passed. */
export type CountedDownstream = Downstream & {
  readonly bytes: { readonly up: number; readonly down: number };
  body(bytesMax?: number): ArrivingBody | undefined;
};

/**
 * Carries one exchange from the parsed head to the last byte. Resolves when it is over; never rejects.
 *
 * Order: one authority → body if the agent is proven by it → policy → body if a signature needs it → lease → ledger →
 * authenticate → upstream.
 * Nothing is retried that may have reached the upstream, except once after a refusal: a 401 on a cached credential, or
 * what the connector's `review` says can be mended.
 */
export function serveExchange(
  context: HttpContext,
  routes: HttpRoutes,
  downstream: CountedDownstream,
  id: string,
): Promise<ExchangeEnd> {
  return new Exchange(context, routes, downstream, id).run();
}

class Exchange implements UpstreamListener, Seeker {
  readonly #context: HttpContext;
  readonly #routes: HttpRoutes;
  readonly #downstream: CountedDownstream;
  readonly #id: string;
  readonly #begun = performance.now();
  readonly #abort = new AbortController();
  #binding: HttpBinding | undefined;
  #placement: Placement | undefined;
  #grant: Grant | undefined;
  #lease: Lease | undefined;
  #body: TakenBody;
  /** The body as it arrives, until all of it is there. */
  #arriving: ArrivingBody | undefined;
  #changing: ChangingBody | undefined;
  #control: UpstreamControl | undefined;
  /** An answer that its connector has not judged yet. */
  #answer: HeldAnswer | undefined;
  #sentAt = 0;
  #retried = false;
  /** Counts dispatches: events of one that was given up for a retry are stale. */
  #attempt = 0;
  #status = 0;
  #ended = false;
  #end!: (end: ExchangeEnd) => void;
  readonly #over = new Promise<ExchangeEnd>((resolve) => (this.#end = resolve));

  constructor(context: HttpContext, routes: HttpRoutes, downstream: CountedDownstream, id: string) {
    this.#context = context;
    this.#routes = routes;
    this.#downstream = downstream;
    this.#id = id;
  }

  run(): Promise<ExchangeEnd> {
    this.#downstream.onGone(() => this.#gone());
    this.#proceed().catch((thrown: unknown) => this.#fail(asSidecarError(thrown)));
    return this.#over;
  }

  located(binding: HttpBinding): void {
    this.#binding = binding;
  }

  async #proceed(): Promise<void> {
    const placement = await placeOnRecord(this.#context, this.#routes, this.#downstream.head, this.#id, this);
    this.#placement = placement;
    this.#refuseLargeBody(placement.binding.bodyBytes);
    const need = needOf(placement);
    // Rules are about agents: one that its body has yet to prove is not asked about, nor does it use up a rate.
    const early = isTakenFirst(need) || provesByBody(placement);
    if (early) await this.#takeBody(placement);
    if (this.#ended) return;
    const form = isTakenFirst(need) ? whatIsHeld(this.#body) : undefined;
    this.#grant = await decide(this.#context, placement, this.#id, form);
    if (!early) await this.#takeBody(placement);
    if (!this.#ended) await this.#send();
  }

  #refuseLargeBody(bytesMax: number | undefined): void {
    const { contentLength } = this.#downstream;
    // Beyond 2^53 a length would be sent on rounded, and frame another body than it announced.
    if (contentLength !== undefined && !Number.isSafeInteger(contentLength)) throw new SidecarError('body-too-large');
    if (bytesMax !== undefined && contentLength !== undefined && contentLength > bytesMax) {
      throw new SidecarError('body-too-large');
    }
  }

  async #takeBody(placement: Placement): Promise<void> {
    const need = needOf(placement);
    refuseBeforeReading(need, this.#downstream.contentLength);
    this.#downstream.continue();
    const arriving = this.#downstream.body(placement.binding.bodyBytes);
    if (need === 'stream') {
      this.#body = this.#arriving = arriving;
      return;
    }
    this.#body = await takeBody(this.#downstream, need, arriving);
    if (this.#ended) this.#releaseBody();
    else await this.#prove(placement);
  }

  async #prove(placement: Placement): Promise<void> {
    const { bodySha256 } = told(needOf(placement), this.#body) ?? {};
    if (bodySha256 !== undefined) await prove(this.#context, placement, this.#id, bodySha256);
  }

  /** Leases, records, authenticates and dispatches; called again for the one retry, with a lease that is on record. */
  async #send(fresh?: Lease): Promise<void> {
    const placement = this.#placement!;
    const { binding, origin, principal } = placement;
    let authenticated: Authenticated = placement;
    let version = '';
    if (placement.credentialed) {
      const lease = fresh ?? (await lend(this.#context, placement, this.#grant!, this.#id, this.#abort.signal));
      this.#lease = lease;
      ({ version } = lease);
      try {
        authenticated = await this.#authenticate(placement, lease);
      } finally {
        lease.release();
      }
    } else {
      await this.#context.ledger.record(useEvent(placement, this.#id, this.#grant!.rule, {}));
    }
    if (this.#abort.signal.aborted) return;
    this.#sentAt = performance.now();
    const agent = principal.attested === 'listener' ? undefined : principal.agent;
    binding.pools.to(origin, version, agent).dispatch(
      {
        head: withoutFraming(authenticated.head),
        version: this.#downstream.version,
        ...this.#outgoing(authenticated),
        arriving: this.#arriving,
        headersSeconds: binding.headersSeconds,
        idleSeconds: binding.idleSeconds,
      },
      new Attempt(this, (this.#attempt += 1), () => this.#attempt),
    );
  }

  #outgoing({ body: changed }: Authenticated) {
    const body = opened(this.#body);
    if (changed === undefined) return { body, contentLength: lengthOf(this.#body, this.#downstream) };
    this.#changing?.cancel();
    this.#changing = new ChangingBody(changed, body);
    return { body: this.#changing, contentLength: changed.bytes };
  }

  async #authenticate(placement: Placement, lease: Lease): Promise<Authenticated> {
    const { handling, origin, head } = placement;
    try {
      const { version } = lease;
      const context = { origin, version, now: this.#context.now(), ...told(needOf(placement), this.#body) };
      const authenticated = handling.authenticate(head, lease.credentials, context);
      return authenticated instanceof Promise ? await authenticated : authenticated;
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
    const { handling, credentialed } = this.#placement!;
    if (handling.review !== undefined && credentialed) {
      if (REVIEWED.has(response.status)) {
        this.#answer = new HeldAnswer(response, this.#control!, (answer) => void this.#review(answer));
        return;
      }
    } else if (this.#shouldRefetch(response.status)) {
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
    return status === 401 && !this.#retried && this.#lease?.cached === true && canRepeat(this.#body);
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

  /** Asks the connector about a refusal of the upstream, and does what it says, once. */
  async #review(answer: HeldAnswer): Promise<void> {
    try {
      const verdict = this.#verdictOn(answer);
      if (verdict !== 'pass' && !this.#retried && canRepeat(this.#body) && (await this.#tryAgain(verdict))) return;
      if (this.#ended) return;
      this.#answer = undefined;
      if (answer.failure !== undefined) throw answer.failure;
      this.#pass(answer.head);
      answer.replay(this);
    } catch (thrown) {
      this.#control?.abort();
      this.#fail(asSidecarError(thrown, 'upstream-closed'));
    }
  }

  #verdictOn({ head, beginning }: HeldAnswer): Review {
    const { handling, origin } = this.#placement!;
    try {
      return handling.review!(head, beginning, { origin, now: this.#context.now() });
    } catch (thrown) {
      // The answer is the upstream's own: a connector that cannot read it keeps nobody from it.
      this.#log(asSidecarError(thrown), 'the connector could not judge an answer');
      return 'pass';
    }
  }

  /**
   * Sends a request that was refused once more, as if it had just come. False where that cannot be: then the refusal is
   * the answer. Errors: those of `#send`.
   */
  async #tryAgain(verdict: Exclude<Review, 'pass'>): Promise<boolean> {
    this.#retried = true;
    const refused = this.#control!;
    const lease = await this.#admitAgain(verdict).catch((thrown: unknown) => {
      this.#log(asSidecarError(thrown), 'a refused request is not sent again');
    });
    if (lease === undefined || this.#ended) {
      lease?.release();
      return this.#ended;
    }
    this.#attempt += 1;
    this.#answer = undefined;
    refused.abort();
    await this.#send(lease);
    return true;
  }

  /** Everything that comes before a dispatch; undefined where the providers have no other credential. */
  async #admitAgain(verdict: Exclude<Review, 'pass'>): Promise<Lease | undefined> {
    const placement = await placeOnRecord(this.#context, this.#routes, this.#downstream.head, this.#id, this);
    if (!placement.credentialed || !serves(needOf(placement), this.#body)) return undefined;
    await this.#prove(placement);
    const form = isTakenFirst(needOf(placement)) ? whatIsHeld(this.#body) : undefined;
    const grant = await decide(this.#context, placement, this.#id, form);
    const { signal } = this.#abort;
    const lease =
      verdict === 'again'
        ? await lend(this.#context, placement, grant, this.#id, signal)
        : await lendAnew(this.#context, placement, grant, this.#lease!, this.#id, signal);
    if (lease !== undefined) [this.#placement, this.#grant] = [placement, grant];
    return lease;
  }

  chunk(chunk: Uint8Array): void {
    if (this.#answer !== undefined) {
      this.#answer.chunk(chunk);
      return;
    }
    if (this.#downstream.write(chunk)) return;
    this.#control!.pause();
    this.#downstream.onDrain(() => this.#control!.resume());
  }

  end(trailers: readonly string[]): void {
    if (this.#answer !== undefined) {
      this.#answer.end(trailers);
      return;
    }
    this.#downstream.end(endToEndTrailers(trailers));
    this.#finish(undefined);
  }

  error(error: Error): void {
    // While a second try is prepared, the first answer is not needed any more, perhaps.
    if (this.#answer?.asked === true) this.#answer.error(error);
    else this.#fail(asSidecarError(error, 'upstream-closed'));
  }

  #gone(): void {
    // Before the upstream's side is given up, which would report its own end as the reason.
    this.#finish(new SidecarError('downstream-closed', { detail: 'during an exchange' }));
    this.#abort.abort();
    this.#control?.abort();
    this.#arriving?.destroy();
  }

  #fail(error: SidecarError): void {
    if (this.#ended) return;
    if (this.#downstream.started) {
      this.#downstream.abort();
    } else if (!this.#downstream.gone) {
      try {
        this.#refuse(this.#refusal(error));
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

  #refusal(error: SidecarError): ResponseHead & { readonly body: Uint8Array } {
    const { head } = this.#downstream;
    const { handling } = this.#placement ?? {};
    const asked = handling?.refuse === undefined ? this.#binding?.instance : handling;
    return asked?.refuse?.(error, head, this.#id) ?? problemResponse(error, this.#id);
  }

  #finish(error: SidecarError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#answer?.drop();
    this.#changing?.cancel();
    this.#releaseBody();
    const now = performance.now();
    const { up, down } = this.#downstream.bytes;
    if (error !== undefined) this.#log(error);
    if (this.#binding !== undefined) {
      const upstreamSeconds = this.#sentAt === 0 ? undefined : (now - this.#sentAt) / 1000;
      const addedSeconds = ((this.#sentAt === 0 ? now : this.#sentAt) - this.#begun) / 1000;
      this.#binding.metrics.ended(error === undefined ? 'ok' : outcomeOf(error), upstreamSeconds, addedSeconds);
      if (this.#sentAt !== 0) {
        const ms = Math.round((now - this.#begun) * 10) / 10;
        const end = { status: this.#status, bytesUp: up, bytesDown: down, ms, error };
        this.#context.ledger.note(endedEvent(this.#placement!, this.#id, end));
      }
    }
    this.#end({ bytesUp: up, bytesDown: down });
  }

  #releaseBody(): void {
    if (this.#body instanceof HeldBody) this.#body.release();
  }

  #log(error: SidecarError, message?: string): void {
    const fields = { id: this.#id, service: this.#binding?.service, error };
    if (error.fault === 'downstream' || error.fault === 'policy') {
      this.#context.log.info(fields, message ?? 'exchange refused');
    } else this.#context.log.warn(fields, message ?? 'exchange failed');
  }
}

function provesByBody(placement: Placement): boolean {
  const need = needOf(placement);
  return placement.handling.prove !== undefined && need !== 'stream' && 'digest' in need;
}

function needOf({ credentialed, handling, head }: Placement) {
  return credentialed ? (handling.body?.(head) ?? 'stream') : 'stream';
}
