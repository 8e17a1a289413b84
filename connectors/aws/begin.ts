import type { Arrival, Begun, RequestHead } from 'secretless-sidecar/connector';
import { SidecarError } from 'secretless-sidecar/connector';
import { checkCaller } from './caller-check.ts';
import type { Caller } from './callers.ts';
import type { Config } from './config.ts';
import { AwsExchange, type Kept } from './exchange.ts';
import { needsForm } from './facts/index.ts';
import { factsOf } from './facts-of.ts';
import { Passing } from './passing.ts';
import { planPayload, announcesBody, type PayloadPlan } from './payload/plan.ts';
import { asSent, placeSigned, placeUnsigned, type Placed } from './placing.ts';
import { readable } from './readable.ts';
import type { Reading } from './reading.ts';
import { type Authentication, readAuthentication, type V4Authentication } from './sign/authentication.ts';
import { onlyValue } from './sign/head.ts';
import { parseQuery, splitTarget, V4_QUERY_NAMES } from './sign/query.ts';
import { V2_QUERY_NAMES } from './sign/v2.ts';
import { announcedPayloadHash } from './sign/verify.ts';
import type { CredentialName } from './signing-credentials.ts';

/** Parameters of a signed URL; the payload hash in it becomes a field. */
const URL_NAMES: ReadonlySet<string> = new Set([...V4_QUERY_NAMES, 'x-amz-content-sha256']);
const V2_NAMES: ReadonlySet<string> = new Set([...V4_QUERY_NAMES, ...V2_QUERY_NAMES]);

type Signed = Extract<Authentication, { form: 'v2' | 'v4' }>;

/**
 * Reads one request: who signed it, for what, and where that is. Errors: `signature-malformed`, `caller-unproven`,
 * `foreign-credential`, `request-expired`, `upstream-unclear`, `body-malformed`, `payload-unsupported`, `no-service`.
 */
export function beginExchange(kept: Kept, config: Config, arrival: Arrival): Begun<CredentialName> {
  const authentication = readable(() => readAuthentication(arrival.head));
  switch (authentication.form) {
    case 'none':
      return unsigned(kept, config, arrival);
    case 'other':
      return foreign(kept, config, arrival, undefined);
    case 'v2':
    case 'v4': {
      const caller = kept.callers.find(authentication.accessKeyId);
      if (caller === undefined) return foreign(kept, config, arrival, authentication);
      const hasBody = announcesBody(arrival.head);
      const inbound = { head: arrival.head, authentication, hasBody, now: arrival.now };
      const prove = readable(() => checkCaller(kept.callers, caller, inbound));
      return signed(kept, config, arrival, authentication, { caller, prove });
    }
    default:
      return authentication satisfies never;
  }
}

function unsigned(kept: Kept, config: Config, arrival: Arrival): Begun<CredentialName> {
  const { unsigned: choice = 'deny' } = config;
  switch (choice) {
    case 'deny':
      throw new SidecarError('caller-unproven', { detail: 'the request is not signed' });
    case 'pass':
      return new Passing(placeUnsigned(config, arrival));
    case 'sign': {
      const placed = placeUnsigned(config, arrival);
      const announced = readable(() => onlyValue(arrival.head.headers, 'x-amz-content-sha256'))?.trim();
      return exchange(kept, config, placed, { announced });
    }
    default:
      return choice satisfies never;
  }
}

/** Signed with a key that is none of ours, or by another scheme. */
function foreign(
  kept: Kept,
  config: Config,
  arrival: Arrival,
  authentication: Signed | undefined,
): Begun<CredentialName> {
  const { foreign: choice = 'deny' } = config;
  switch (choice) {
    case 'deny':
      throw new SidecarError('foreign-credential');
    case 'pass':
      return new Passing(placeUnsigned(config, arrival));
    case 'sign':
      // Another scheme has a credential of its own, which a signature beside it would not replace.
      if (authentication === undefined) throw new SidecarError('foreign-credential');
      return signed(kept, config, arrival, authentication, {});
    default:
      return choice satisfies never;
  }
}

interface Proof {
  readonly caller?: Caller;
  readonly prove?: ((sha256: string) => void) | undefined;
}

function signed(
  kept: Kept,
  config: Config,
  arrival: Arrival,
  authentication: Signed,
  proof: Proof,
): Begun<CredentialName> {
  const { head } = arrival;
  if (authentication.form === 'v2') {
    // Nothing in it says a region, and only S3 takes it.
    const placed = placeSigned(config, kept.regions, arrival, { service: 's3', region: config.region });
    const dropsParameters = authentication.place === 'query' ? V2_NAMES : V4_QUERY_NAMES;
    return exchange(kept, config, placed, { ...proof, dropsParameters });
  }
  const announced = readable(() => announcedPayloadHash(head, authentication));
  const placed = placeSigned(config, kept.regions, arrival, authentication.scope);
  const dropsParameters = authentication.place === 'query' ? URL_NAMES : V4_QUERY_NAMES;
  return exchange(kept, config, placed, { ...proof, announced, authentication, dropsParameters });
}

interface Found extends Proof {
  readonly announced?: string | undefined;
  readonly authentication?: V4Authentication;
  readonly dropsParameters?: ReadonlySet<string>;
}

function exchange(kept: Kept, config: Config, placed: Placed, found: Found): AwsExchange {
  const { service } = placed;
  const head = asSent(placed.head, service);
  refuseDisguised(head);
  const plan: PayloadPlan = readable(() => planPayload(head, found.announced, service, config));
  if (plan.kind === 'events') refuseOtherSeeds(placed, found);
  // What is read of a body with a framing of its own is the framing.
  const framed = found.announced?.startsWith('STREAMING-') === true;
  const reading: Reading = {
    origin: placed.origin,
    head: { ...head, target: placed.basePath + head.target },
    service,
    region: placed.region,
    regionSet: placed.region === undefined ? regionSetOf(head) : undefined,
    plan: found.prove === undefined || plan.kind === 'chunks' || plan.kind === 'events' ? plan : { kind: 'hash' },
    facts: (form) => factsOf(head, placed, framed ? undefined : form),
    wantsForm: !framed && needsForm(head, service),
    caller: found.caller,
    authentication: found.authentication,
    dropsParameters: found.dropsParameters ?? V4_QUERY_NAMES,
    prove: found.prove,
    aim: placed.aim,
  };
  return new AwsExchange(kept, reading);
}

/**
 * Events are signed with HMAC keys, which have a region, and by the clock of their head, which that of a signed URL is
 * not. Errors: `payload-unsupported`.
 */
function refuseOtherSeeds({ region }: Placed, { authentication }: Found): void {
  const { algorithm, place } = authentication ?? { algorithm: 'AWS4-HMAC-SHA256', place: 'header' };
  if (region === undefined || algorithm !== 'AWS4-HMAC-SHA256' || place !== 'header')
    throw new SidecarError('payload-unsupported', { detail: `an event stream by ${place} under ${algorithm}` });
}

/** Fields that name a second object: S3 reads those of a signed URL from its query too. */
const SOURCES: ReadonlySet<string> = new Set(['x-amz-copy-source', 'x-amz-rename-source']);

/** What some servers take for a field of AWS that policy has not seen, and no client sends. Errors: `signature-malformed`. */
function refuseDisguised({ headers, target }: RequestHead): void {
  const isFolded = (name: string, at: number): boolean =>
    at % 2 === 0 && name.includes('_') && name.toLowerCase().replaceAll('_', '-').startsWith('x-amz-');
  if (headers.some(isFolded))
    throw new SidecarError('signature-malformed', { detail: 'a field of AWS is spelled with an underscore' });
  const parameters = readable(() => parseQuery(splitTarget(target).query));
  if (parameters.some(([name]) => SOURCES.has(name.toLowerCase().replaceAll('_', '-'))))
    throw new SidecarError('signature-malformed', { detail: 'the object to copy from stands in the query' });
}

const REGION_SET = /^[a-z0-9*-]{1,32}(?:,[a-z0-9*-]{1,32}){0,15}$/;

/** The regions that a SigV4a request is good for: a field, or a parameter of a signed URL. Errors: `signature-malformed`. */
function regionSetOf(head: RequestHead): string {
  const field = readable(() => onlyValue(head.headers, 'x-amz-region-set'))?.trim();
  const parameters = readable(() => parseQuery(splitTarget(head.target).query));
  const set = field ?? parameters.find(([name]) => name.toLowerCase() === 'x-amz-region-set')?.[1] ?? '*';
  if (!REGION_SET.test(set))
    throw new SidecarError('signature-malformed', { detail: 'x-amz-region-set is no list of regions' });
  return set;
}
