import type {
  AuthenticateContext,
  Authenticated,
  Begun,
  BodyNeed,
  ChangedBody,
  Credentials,
  Facts,
  Origin,
  RequestHead,
  ResponseHead,
  Review,
  ReviewContext,
} from 'secretless-sidecar/connector';
import { SidecarError } from 'secretless-sidecar/connector';
import type { Callers } from './callers.ts';
import { refuseInDialect } from './dialect/refuse.ts';
import type { InboundEvents } from './body/event-resign.ts';
import type { EventsPlan } from './payload/plan.ts';
import { rechunk } from './payload/rechunk.ts';
import { resignedEvents } from './payload/resigned-events.ts';
import type { Reading } from './reading.ts';
import { type Learnt, review } from './review.ts';
import { SignatureChain } from './sign/chain.ts';
import { daysOfEvents, EventChain } from './sign/event-chain.ts';
import { pathRuleOf } from './sign/path.ts';
import type { Signers } from './signers.ts';
import { type Signed, signReading } from './signing.ts';
import type { CredentialName } from './signing-credentials.ts';

/** What a service keeps for all its exchanges. */
export interface Kept extends Learnt {
  readonly callers: Callers;
  readonly signers: Signers;
  /** Bytes of a body that is hashed before it is sent. */
  readonly digest: { readonly memory: number; readonly disk: number };
}

/** A form that policy must read first; the longest that AWS takes are templates and messages of 256 KiB, encoded. */
const FORM_BYTES_MAX = 1024 * 1024;

/** One request that is signed anew. */
export class AwsExchange implements Begun<CredentialName> {
  readonly credentialed = true;
  readonly origin: Origin;
  readonly head: RequestHead;
  declare readonly agent?: string;
  /** Absent where the head alone proves who asks. */
  declare readonly prove?: (sha256: string) => void;
  readonly #kept: Kept;
  readonly #reading: Reading;

  constructor(kept: Kept, reading: Reading) {
    this.#kept = kept;
    this.#reading = reading;
    this.origin = reading.origin;
    this.head = reading.head;
    const agent = reading.caller?.agent;
    if (agent !== undefined) this.agent = agent;
    if (reading.prove !== undefined) this.prove = reading.prove;
  }

  facts(_: RequestHead, form?: Uint8Array): Partial<Facts> {
    return this.#reading.facts(form);
  }

  readsPathLiterally(): boolean {
    return pathRuleOf(this.#reading.service) === 's3';
  }

  body(): BodyNeed {
    const { plan, prove, wantsForm } = this.#reading;
    if (wantsForm) return { digest: { memory: FORM_BYTES_MAX, disk: 0 }, first: true };
    return plan.kind === 'hash' || prove !== undefined ? { digest: this.#kept.digest } : 'stream';
  }

  authenticate(
    head: RequestHead,
    credentials: Credentials<CredentialName>,
    context: AuthenticateContext,
  ): Authenticated {
    const { plan, origin } = this.#reading;
    const time = this.#kept.clocks.at(origin.host, context.now);
    const signed = signReading(this.#kept.signers, this.#reading, head, credentials, context, time);
    switch (plan.kind) {
      case 'keep':
      case 'hash':
        return { head: signed.head };
      case 'chunks': {
        const upstream = plan.writes.startsWith('STREAMING-AWS4-HMAC-') ? signed.openChain() : undefined;
        return { head: signed.head, body: rechunk(plan, { downstream: this.#downstreamChain(), upstream }) };
      }
      case 'events':
        return { head: signed.head, body: this.#events(plan, signed, context.now) };
      default:
        return plan satisfies never;
    }
  }

  /** Signed with the credentials of the head to the end, however long that takes: its chain hangs on them. */
  #events(plan: EventsPlan, signed: Signed, started: Date): ChangedBody {
    const outbound = signed.openEvents();
    if (outbound === undefined) throw new SidecarError('internal', { detail: 'events without a key to sign them' });
    const aheadMs = started.getTime() - Date.now();
    const { clocks } = this.#kept;
    const { host } = this.#reading.origin;
    return resignedEvents(plan, {
      inbound: this.#inboundEvents(),
      outbound,
      now: () => new Date(Date.now() + aheadMs),
      upstreamTime: (now) => clocks.at(host, now),
    });
  }

  review(response: ResponseHead, beginning: Uint8Array, context: ReviewContext): Review {
    return review(this.#kept, response, beginning, context, this.#reading.aim);
  }

  refuse(error: SidecarError, head: RequestHead, id: string): ResponseHead & { readonly body: Uint8Array } {
    return refuseInDialect(error, head, this.#reading.service, id);
  }

  /** Verifies chunks with the key of the caller; there is none where anybody may sign. */
  #downstreamChain(): SignatureChain | undefined {
    const { plan, caller, authentication } = this.#reading;
    if (plan.kind !== 'chunks' || plan.signatures !== 'hmac' || caller === undefined || authentication === undefined) {
      return undefined;
    }
    const key = this.#kept.callers.key(caller, authentication.scope);
    return new SignatureChain(key, authentication.amzDate, authentication.signature);
  }

  /** The same for events. */
  #inboundEvents(): InboundEvents | undefined {
    const { caller, authentication } = this.#reading;
    if (caller === undefined || authentication === undefined) return undefined;
    const { scope, signature, time } = authentication;
    const keys = daysOfEvents(time).map((day) => this.#kept.callers.key(caller, { ...scope, date: day }));
    return { chain: new EventChain(keys, signature), headTime: time };
  }
}
