import type { Authenticated, Begun, Facts, Origin, RequestHead } from 'secretless-sidecar/connector';
import { SidecarError } from 'secretless-sidecar/connector';
import { factsOf } from './facts-of.ts';
import { asSent, type Placed } from './placing.ts';
import type { CredentialName } from './signing-credentials.ts';

/** A request that goes on as it came, without a credential of ours: policy and ledger see it all the same. */
export class Passing implements Begun<CredentialName> {
  readonly credentialed = false;
  readonly origin: Origin;
  readonly head: RequestHead;
  readonly #facts: Partial<Facts>;

  constructor(placed: Placed) {
    this.origin = placed.origin;
    this.head = { ...placed.head, target: placed.basePath + placed.head.target };
    this.#facts = factsOf(asSent(placed.head, placed.service), placed);
  }

  facts(): Partial<Facts> {
    return this.#facts;
  }

  readsPathLiterally(): boolean {
    return true;
  }

  authenticate(): Authenticated {
    throw new SidecarError('internal', { detail: 'a request that passes is not authenticated' });
  }
}
