import type { Facts, Origin, RequestHead } from 'secretless-sidecar/connector';
import type { Caller } from './callers.ts';
import type { PayloadPlan } from './payload/plan.ts';
import type { Aim } from './review.ts';
import type { V4Authentication } from './sign/authentication.ts';

/** What was made of one request that is to be signed anew. */
export interface Reading {
  readonly origin: Origin;
  /** Fields as they came; the target that goes upstream. */
  readonly head: RequestHead;
  /** Signing name. */
  readonly service: string;
  /** Absent for a set of regions. */
  readonly region: string | undefined;
  /** `x-amz-region-set` of a request that is signed for a set of regions. */
  readonly regionSet: string | undefined;
  readonly plan: PayloadPlan;
  /** What policy may match on; the body is there where `wantsForm`. */
  facts(form?: Uint8Array): Partial<Facts>;
  /** True where the operation stands in the body. */
  readonly wantsForm: boolean;
  /** Who signed it; undefined where nobody did whom we know. */
  readonly caller: Caller | undefined;
  readonly authentication: V4Authentication | undefined;
  /** Parameters of the query that belong to the old signature, lower-case. */
  readonly dropsParameters: ReadonlySet<string>;
  /** What is left to prove once the hash of the body is known. */
  readonly prove: ((sha256: string) => void) | undefined;
  readonly aim: Aim | undefined;
}
