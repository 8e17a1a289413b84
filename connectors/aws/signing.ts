import {
  type AuthenticateContext,
  type Credentials,
  formatAuthority,
  type RequestHead,
  SidecarError,
} from 'secretless-sidecar/connector';
import { chunkFields } from './payload/chunk-fields.ts';
import { type PayloadPlan, SIGNED_EVENTS } from './payload/plan.ts';
import type { Reading } from './reading.ts';
import { SignatureChain } from './sign/chain.ts';
import { daysOfEvents, EventChain } from './sign/event-chain.ts';
import { type Signer, SigningKey } from './sign/key.ts';
import { signHead } from './sign/sigv4.ts';
import { amzDateOf } from './sign/string-to-sign.ts';
import type { Signers } from './signers.ts';
import { type CredentialName, publicParts } from './signing-credentials.ts';

export interface Signed {
  readonly head: RequestHead;
  /** A chain that begins with this signature; undefined where chunks cannot be signed with the key. */
  openChain(): SignatureChain | undefined;
  /** The same for events. To be called while the credentials are lent. */
  openEvents(): EventChain | undefined;
}

/** Signs `head`, which has no hop-by-hop fields any more. `time` is that of the upstream. Errors: `credential-unfit`. */
export function signReading(
  signers: Signers,
  reading: Reading,
  head: RequestHead,
  credentials: Credentials<CredentialName>,
  { version, bodySha256 }: Pick<AuthenticateContext, 'version' | 'bodySha256'>,
  time: Date,
): Signed {
  const { service, region, regionSet, plan, origin, dropsParameters } = reading;
  const { accessKeyId, sessionToken } = publicParts(credentials);
  const date = amzDateOf(time).slice(0, 8);
  const signer: Signer =
    region === undefined
      ? signers.ecdsa(version, { date, service }, credentials, accessKeyId)
      : signers.hmac(version, { date, region, service }, credentials);
  const fields = plan.kind === 'chunks' ? chunkFields(head.headers, plan) : [...head.headers];
  fields.push('host', formatAuthority(origin));
  const payloadHash = payloadHashOf(plan, bodySha256);
  const signing = { signer, accessKeyId, sessionToken, time, payloadHash, regionSet, dropsParameters };
  const signed = signHead({ ...head, headers: fields }, signing);
  return {
    head: { ...head, target: signed.head.target, headers: withoutHost(signed.head.headers) },
    openChain: () =>
      signer instanceof SigningKey ? new SignatureChain(signer, signed.amzDate, signed.signature) : undefined,
    openEvents: () => {
      if (!(signer instanceof SigningKey)) return undefined;
      const keys = daysOfEvents(time).map((day) => signers.hmac(version, { ...signer.scope, date: day }, credentials));
      return new EventChain(keys, signed.signature);
    },
  };
}

/** The core writes the one of the origin: the same. */
function withoutHost(headers: readonly string[]): string[] {
  return headers.filter((_, at) => headers[at - (at % 2)] !== 'host');
}

function payloadHashOf(plan: PayloadPlan, bodySha256: string | undefined): string {
  switch (plan.kind) {
    case 'keep':
      return plan.payloadHash;
    case 'chunks':
      return plan.writes;
    case 'events':
      return SIGNED_EVENTS;
    case 'hash':
      if (bodySha256 === undefined)
        throw new SidecarError('internal', { detail: 'a body was to be hashed and was not' });
      return bodySha256;
    default:
      return plan satisfies never;
  }
}
