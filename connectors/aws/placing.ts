import { type Arrival, type Origin, type RequestHead, SidecarError } from 'secretless-sidecar/connector';
import type { Config } from './config.ts';
import { splitBucket } from './endpoint/express.ts';
import { fromHost, isAwsHost, scopeAt } from './endpoint/from-host.ts';
import { fromScope, type ScopePlace, splitPrefix } from './endpoint/from-scope.ts';
import type { HostFacts } from './endpoint/host-facts.ts';
import { partitionOf } from './endpoint/partitions.ts';
import { endpointOfPrefix } from './endpoint/services.ts';
import type { BucketRegions } from './learnt/bucket-regions.ts';
import { readable } from './readable.ts';
import type { Aim } from './review.ts';
import { canonicalPath, pathRuleOf } from './sign/path.ts';
import { percentDecode } from './sign/percent.ts';
import { splitTarget } from './sign/query.ts';

/** Where a request goes, and what it is signed for there. */
export interface Placed {
  readonly origin: Origin;
  /** Fields as they came; what goes upstream behind `basePath`. */
  readonly head: RequestHead;
  /** What of the configured target stands before every path. */
  readonly basePath: string;
  /** Signing name; empty where nobody knows it and nothing is signed. */
  readonly service: string;
  /** True where only the agent says so, of a host that is none of AWS. */
  readonly claimed?: boolean;
  /** Absent for a set of regions. */
  readonly region: string | undefined;
  /** What the host says, where it is one of AWS. */
  readonly host: HostFacts | undefined;
  readonly aim: Aim | undefined;
}

/**
 * Places a request by the scope that its client signed for, held against the host where one is named. The configuration
 * speaks for upstreams that are none of AWS, and where the scope is silent. Errors: `upstream-unclear`, `no-service`.
 */
export function placeSigned(config: Config, regions: BucketRegions, arrival: Arrival, scope: ScopePlace): Placed {
  return arrival.origin === undefined
    ? placeByScope(config, regions, arrival, scope)
    : placeByOrigin(config, arrival, arrival.origin, scope);
}

/** The same for a request without a scope: only the host, or the configuration, tells. */
export function placeUnsigned(config: Config, arrival: Arrival): Placed {
  const { origin } = arrival;
  if (origin === undefined) {
    const { prefix } = splitPrefix(arrival.head.target);
    const service = prefix === undefined ? config.service : (endpointOfPrefix(prefix)?.service ?? config.service);
    if (service === undefined || config.region === undefined)
      throw unclear('nothing says the service and region of a request that is not signed');
    return placeByScope(config, undefined, arrival, { service, region: config.region });
  }
  const host = fromHost(origin);
  if (host !== undefined) return at(arrival, origin, host.service, host.region, host);
  refuseUnbound(arrival, origin);
  return at(arrival, origin, config.service ?? '', config.region, undefined);
}

/** Whether a host is one of AWS, of a service that is known: all others are nobody's to sign for. */
export function isPlaceable(host: string): boolean {
  return fromHost({ host }) !== undefined;
}

function placeByOrigin(config: Config, arrival: Arrival, origin: Origin, scope: ScopePlace): Placed {
  if (!isAwsHost(origin.host)) {
    refuseUnbound(arrival, origin);
    const placed = at(arrival, origin, config.service ?? scope.service, config.region ?? scope.region, undefined);
    return { ...placed, claimed: config.service === undefined };
  }
  const host = fromHost(origin);
  if (host === undefined) throw unclear('the host is none of a service that the sidecar knows');
  const asked = {
    service: scope.service,
    region: scope.region ?? (host.regions === 'set' ? undefined : config.region),
  };
  const signed = scopeAt(host, asked);
  if (signed === undefined) throw unclear('the credential scope of the request is not one that its host takes');
  return at(arrival, origin, signed.service, signed.region, host);
}

function placeByScope(config: Config, regions: BucketRegions | undefined, arrival: Arrival, scope: ScopePlace): Placed {
  const { prefix, target } = splitPrefix(arrival.head.target);
  const head = { ...arrival.head, target };
  const asked = { service: scope.service, region: scope.region ?? config.region };
  const bucket = scope.service === 's3' && prefix !== 's3-control' ? bucketOf(target) : undefined;
  const learnt = bucket === undefined ? undefined : learntRegion(regions, bucket, asked.region);
  const endpoint = fromScope(learnt === undefined ? asked : { ...asked, region: learnt }, head, prefix);
  return {
    origin: endpoint.origin,
    head: endpoint.target === undefined ? head : { ...head, target: endpoint.target },
    basePath: '',
    service: endpoint.service,
    region: endpoint.region,
    host: fromHost(endpoint.origin),
    aim: bucket === undefined ? undefined : { bucket, region: endpoint.region },
  };
}

/** Names of buckets are taken once in each partition. */
function learntRegion(regions: BucketRegions | undefined, bucket: string, asked: string | undefined) {
  const learnt = regions?.of(bucket);
  if (learnt === undefined || asked === undefined) return undefined;
  return partitionOf(learnt)?.id === partitionOf(asked)?.id ? learnt : undefined;
}

/**
 * The head whose target is the one to read facts from: as the signer writes it. For S3 that is decoded and encoded once,
 * so that `/a%2Fb` goes out as key `b` of bucket `a`. Errors: `signature-malformed`.
 */
export function asSent(head: RequestHead, service: string): RequestHead {
  if (pathRuleOf(service) !== 's3') return head;
  const { path, query } = splitTarget(head.target);
  const sent = readable(() => canonicalPath(path, 's3'));
  return sent === path ? head : { ...head, target: query === '' ? sent : `${sent}?${query}` };
}

function bucketOf(target: string): string | undefined {
  const { bucket } = splitBucket(target);
  return bucket === '' ? undefined : readable(() => percentDecode(bucket));
}

function at(
  { head, basePath, bound }: Arrival,
  named: Origin,
  service: string,
  region: string | undefined,
  host: HostFacts | undefined,
): Placed {
  // Clients of a proxy write http so that it can see the request; AWS has https everywhere.
  const secured: Origin = { ...named, scheme: 'https', port: named.port === 80 ? 443 : named.port };
  return {
    origin: bound || named.scheme === 'https' ? named : secured,
    head,
    basePath,
    service,
    region,
    host,
    aim: undefined,
  };
}

/** A session token in a request to a host that only the agent names would be the agent's to read. */
function refuseUnbound({ bound }: Arrival, { host }: Origin): void {
  if (!bound) throw new SidecarError('no-service', { detail: `${host} is no host of AWS` });
}

/** `next` has words of our own tables alone: the agent hears it. */
function unclear(next: string): SidecarError {
  return new SidecarError('upstream-unclear', { detail: next, next });
}
