import type { Origin } from 'secretless-sidecar/connector';
import type { HostFacts } from './host-facts.ts';
import { singleRegion } from './host-rules.ts';
import { type Partition, partitionOf } from './partitions.ts';
import { remembered } from './remembered.ts';
import { type ResourceShape, resourceHost } from './resource-hosts.ts';
import { s3Global, s3Regional } from './s3-hosts.ts';
import type { ScopePlace } from './from-scope.ts';
import { type CutHost, cutSuffix, HOST_LENGTH_MAX } from './suffixes.ts';
import { endpointOfPrefix, type ServiceEndpoint } from './services.ts';

/** Prefixes under which an endpoint answers besides its own, mostly on dual-stack and FIPS hosts. */
const ALIASES: ReadonlyMap<string, string> = new Map(
  (
    'aos=es api.iot-tunneling=api.tunneling.iot api.sustainability=sustainability arc-recovery-control-config=route53-recovery-control-config ' +
    'catalog-marketplace=catalog.marketplace cn.transcribe=transcribe data.ats.iot=data-ats.iot data.iot=data-ats.iot detective=api.detective ' +
    'ecr=api.ecr ecr-public=api.ecr-public efs=elasticfilesystem entitlement-marketplace=entitlement.marketplace kafka-api=kafka ' +
    'maps.geo=geo-maps mediatailor=api.mediatailor metering-marketplace=metering.marketplace places.geo=geo-places queue=sqs ' +
    'routes.geo=geo-routes streams-dynamodb=streams.dynamodb subscribe.mediaconvert=mediaconvert timestream-ingest=ingest.timestream ' +
    'timestream-query=query.timestream'
  )
    .split(' ')
    .map((pair) => pair.split('=') as [string, string]),
);

/** Hosts that take a second signing name. */
const OTHER_SERVICES: ReadonlyMap<string, readonly string[]> = new Map([
  ['geo-maps', ['geo']],
  ['geo-places', ['geo']],
  ['geo-routes', ['geo']],
  ['iotdata', ['iotdevicegateway']],
]);

/** Cells that endpoint discovery of Timestream hands out. */
const TIMESTREAM_CELL = /^(?:ingest|query)-cell\d{1,4}\.timestream$/;
/** Hosts from before regions had names in them, all in the first region. */
const CLASSIC: ReadonlyMap<string, string> = new Map(
  ['ec2', 'global.health=health', 'queue=sqs', 'sdb', 'sts'].map((word) => {
    const [name, service = name] = word.split('=') as [string, string?];
    return [name, service];
  }),
);

/** Whether a host belongs to AWS, known service or not. */
export function isAwsHost(host: string): boolean {
  return cutSuffix(host) !== undefined;
}

/** What a host says about its service; undefined for hosts that are none of AWS, or of a service that is not known. */
export function fromHost({ host }: Pick<Origin, 'host'>): HostFacts | undefined {
  return host.length > HOST_LENGTH_MAX ? undefined : find(host);
}

const find = remembered(1024, (host) => {
  const cut = cutSuffix(host);
  if (cut === undefined) return undefined;
  const last = cut.labels.length - 1;
  const region = regionAt(cut, last);
  if (cut.kind === 'on-aws')
    return region === undefined ? undefined : resource('on-aws', cut.labels.slice(0, last), region);
  if (region !== undefined) return regional(cut.labels.slice(0, last), region, cut.kind);
  return regionFirst(cut, last) ?? withoutRegion(cut);
});

/**
 * What to sign for at a host, given the scope that the client signed for; undefined where the host does not take such
 * a scope.
 */
export function scopeAt(host: HostFacts, scope: ScopePlace): ScopePlace | undefined {
  const { service, region } = scope;
  if (service !== host.service && host.otherServices?.includes(service) !== true) return undefined;
  // SigV4a: the regions are in a field of their own, and the host may be of one of them.
  if (region === undefined) return { service };
  switch (host.regions) {
    case 'one':
      return region === host.region ? { service, region } : undefined;
    case 'any':
      return partitionOf(region)?.id === host.partition ? { service, region } : undefined;
    case 'global':
      return globalScope(host, service, region);
    case 'set':
      return undefined;
    default:
      return host.regions satisfies never;
  }
}

/** Whether a host takes requests that are signed for a scope. Always true of hosts that are none of AWS. */
export function hostAgrees(scope: ScopePlace, origin: Pick<Origin, 'host'>): boolean {
  if (!isAwsHost(origin.host)) return true;
  const facts = fromHost(origin);
  return facts !== undefined && scopeAt(facts, scope) !== undefined;
}

interface Place {
  readonly partition: Partition;
  readonly name: string;
}

function regionAt({ labels, partitions }: CutHost, at: number): Place | undefined {
  const label = labels[at];
  if (label === undefined || !label.includes('-')) return undefined;
  const partition = partitions.find((candidate) => candidate.region.test(label));
  return partition === undefined ? undefined : { partition, name: label };
}

function globalScope(host: HostFacts, service: string, region: string): ScopePlace | undefined {
  const home = partitionOf(region)?.id;
  if (home === undefined) return undefined;
  const signed = home === host.partition ? host.region : host.elsewhere?.[home];
  return signed === undefined ? undefined : { service, region: signed };
}

/** `labels` stand before the region. */
function regional(labels: readonly string[], place: Place, kind: CutHost['kind']): HostFacts | undefined {
  if (labels.length === 0) return undefined;
  if (kind === 'standard') {
    const s3 = s3Regional(labels);
    if (s3 !== undefined) return { ...s3, partition: place.partition.id, region: place.name, regions: 'one' };
  }
  const prefix = withoutFips(labels).join('.');
  const endpoint = endpointOfPrefix(ALIASES.get(prefix) ?? prefix);
  if (endpoint !== undefined) return placed(endpoint.prefix, endpoint.service, place);
  if (TIMESTREAM_CELL.test(prefix)) return placed(prefix, 'timestream', place);
  return resource('name-first', labels, place);
}

function placed(prefix: string, service: string, { partition, name }: Place): HostFacts | undefined {
  const others = OTHER_SERVICES.get(service);
  const base = { partition: partition.id, service, ...(others === undefined ? {} : { otherServices: others }) };
  const single = singleRegion(prefix, partition);
  if (single === undefined || (single.hostNames === 'none' && name !== single.region))
    return { ...base, region: name, regions: 'one' };
  if (single.hostNames === 'signed' && name !== single.region) return undefined;
  return { ...base, region: single.region, regions: 'global' };
}

/** `labels` are the id and the name of the kind, which is one label or two. */
function resource(shape: ResourceShape, labels: readonly string[], place: Place): HostFacts | undefined {
  const bare = shape === 'name-first' ? withoutFips(labels) : labels;
  for (const words of [2, 1]) {
    const ids = bare.length - words;
    if (ids < 1) continue;
    const kind = resourceHost(shape, bare.slice(ids).join('.'));
    if (kind === undefined || ids > kind.idLabelsMax) continue;
    return { ...placed('', kind.service, place)! };
  }
  return undefined;
}

/** Hosts with a name after the region. */
function regionFirst(cut: CutHost, last: number): HostFacts | undefined {
  const place = regionAt(cut, last - 1);
  if (place === undefined || cut.kind !== 'standard') {
    return place !== undefined && cut.labels[last] === 'us-gov'
      ? regional(cut.labels.slice(0, last - 1), place, cut.kind)
      : undefined;
  }
  const name = cut.labels[last]!;
  const before = cut.labels.slice(0, last - 1);
  if (name === 'vpce') return privateHost(before, place);
  if (name === 'us-gov') return regional(before, place, cut.kind);
  if (name === 'queue') return before.length === 0 ? placed('sqs', 'sqs', place) : undefined;
  return resource('region-first', [...before, name], place);
}

/**
 * `vpce-….<prefix>.<region>.vpce`, and for S3 with `bucket`, `accesspoint` or `control` before that (AWS PrivateLink
 * Guide, "AWS PrivateLink for Amazon S3").
 */
function privateHost(labels: readonly string[], place: Place): HostFacts | undefined {
  const at = labels.findIndex((label) => label.startsWith('vpce-'));
  if (at < 0) return undefined;
  const name = labels.slice(at + 1);
  const before = labels.slice(0, at);
  if (before.length === 0) return regional(name, place, 'standard');
  if (name.join('.') !== 's3') return undefined;
  const bucket = s3Private(before);
  if (bucket === undefined) return undefined;
  return { ...bucket, partition: place.partition.id, service: 's3', region: place.name, regions: 'one' };
}

function s3Private(before: readonly string[]): Pick<HostFacts, 'bucket' | 'control'> | undefined {
  const kind = before.at(-1);
  const named = before.slice(0, -1);
  if (kind === 'bucket') return named.length === 0 ? {} : { bucket: named.join('.') };
  if (kind === 'accesspoint') return named.length === 1 ? { bucket: `accesspoint/${named[0]!}` } : undefined;
  return kind === 'control' && named.length <= 1 ? { control: true } : undefined;
}

function withoutRegion(cut: CutHost): HostFacts | undefined {
  const { kind, partitions } = cut;
  if (kind === 'standard') {
    const s3 = s3Global(cut.labels, partitions);
    if (s3 !== undefined) return s3;
  }
  const labels = withoutFips(cut.labels);
  const classic = kind === 'standard' ? CLASSIC.get(labels.join('.')) : undefined;
  const [first] = partitions;
  if (classic !== undefined && first!.id === 'aws')
    return { partition: 'aws', service: classic, region: first!.globalRegion, regions: 'global' };
  const end = labels.at(-1);
  const name = end === 'global' || end === 'us-gov' ? labels.slice(0, -1) : labels;
  const endpoint = endpointOfPrefix(name.join('.'));
  if (endpoint === undefined) return undefined;
  const homes = partitions.filter(({ id }) => end !== 'us-gov' || id === 'aws-us-gov');
  return globalHost(endpoint, homes, end === 'global');
}

/** `said`: the host has the word `global` in it, whatever the standard host of the endpoint looks like. */
function globalHost(
  { prefix, service }: ServiceEndpoint,
  homes: readonly Partition[],
  said: boolean,
): HostFacts | undefined {
  const found = homes.flatMap((home) => {
    const single = singleRegion(prefix, home);
    return single !== undefined && (said || single.hostNames === 'none') ? [[home.id, single.region] as const] : [];
  });
  const [first, ...others] = found;
  if (first === undefined) return undefined;
  const elsewhere = others.length === 0 ? {} : { elsewhere: Object.fromEntries(others) };
  return { partition: first[0], service, region: first[1], regions: 'global', ...elsewhere };
}

/** The labels without the word for FIPS: a label of its own at the front, or the end of one. */
function withoutFips(labels: readonly string[]): readonly string[] {
  if (!labels.some((label) => label.endsWith('fips'))) return labels;
  const rest = labels[0] === 'fips' ? labels.slice(1) : labels;
  return rest.map((label) => (label.endsWith('-fips') ? label.slice(0, -5) : label));
}
