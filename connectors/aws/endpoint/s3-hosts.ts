import type { HostFacts } from './host-facts.ts';
import type { Partition } from './partitions.ts';

/** Names of S3 itself at the end of the labels before a region, without the words for FIPS and dual-stack. */
const DASHED_REGION = /^s3-((?:[a-z]+-){2,3}\d{1,2})$/;
const EXPRESS_ZONE = /^s3express-(?:fips-)?([a-z0-9]+(?:-[a-z0-9]+){1,2})$/;

type Found = Pick<HostFacts, 'service' | 'bucket' | 'control'>;

/**
 * S3 hosts with a region: `labels` stand before it. S3 User Guide, "Virtual hosting of buckets", "Access points",
 * "Regional and Zonal endpoints"; undefined for what is none of them.
 */
export function s3Regional(labels: readonly string[]): Found | undefined {
  const plain = labels.at(-1) === 'dualstack' ? labels.slice(0, -1) : labels;
  const last = plain.at(-1);
  if (last === undefined || !last.startsWith('s3')) return undefined;
  const before = plain.slice(0, -1);
  switch (last.endsWith('-fips') ? last.slice(0, -5) : last) {
    case 's3':
      return before.length === 0 ? { service: 's3' } : { service: 's3', bucket: before.join('.') };
    case 's3-accesspoint':
      return before.length === 1 ? { service: 's3', bucket: `accesspoint/${before[0]!}` } : undefined;
    case 's3-object-lambda':
      if (before.length === 0) return { service: 's3-object-lambda' };
      return before.length === 1 ? { service: 's3-object-lambda', bucket: `accesspoint/${before[0]!}` } : undefined;
    case 's3-outposts':
      if (before.length === 0) return { service: 's3-outposts', control: true };
      return before.length === 2
        ? { service: 's3-outposts', bucket: `outpost/${before[1]!}/accesspoint/${before[0]!}` }
        : undefined;
    case 's3-control':
      return before.length === 0 || (before.length === 1 && /^\d{12}$/.test(before[0]!))
        ? { service: 's3', control: true }
        : undefined;
    case 's3express-control':
      return before.length === 0 ? { service: 's3express' } : undefined;
    default:
      return s3Express(last, before);
  }
}

function s3Express(last: string, before: readonly string[]): Found | undefined {
  const [, zone] = EXPRESS_ZONE.exec(last) ?? [];
  if (zone === undefined || before.length > 1) return undefined;
  const [bucket] = before;
  if (bucket === undefined) return { service: 's3express' };
  if (bucket.endsWith(`--${zone}--x-s3`)) return { service: 's3express', bucket };
  return bucket.endsWith(`--${zone}--xa-s3`) ? { service: 's3express', bucket: `accesspoint/${bucket}` } : undefined;
}

/** S3 hosts without a region in a label of its own. */
export function s3Global(labels: readonly string[], partitions: readonly Partition[]): HostFacts | undefined {
  const partition = partitions[0]!;
  const plain = labels.at(-1) === 'dualstack' && labels.at(-2) === 's3-accelerate' ? labels.slice(0, -1) : labels;
  const last = plain.at(-1)!;
  const before = plain.slice(0, -1);
  const bucket = before.length === 0 ? {} : { bucket: before.join('.') };
  const base = { partition: partition.id, service: 's3', ...bucket };
  if (last === 's3')
    return { ...base, region: partition.globalRegion, regions: before.length === 0 ? 'global' : 'any' };
  if (last === 's3-external-1') return { ...base, region: partition.globalRegion, regions: 'one' };
  if (last === 's3-accelerate' && before.length > 0) return { ...base, regions: 'any' };
  if (last === 's3-global' && before.length === 3 && before[1] === 'mrap' && before[2] === 'accesspoint')
    return { partition: partition.id, service: 's3', regions: 'set', bucket: `accesspoint/${before[0]!}.mrap` };
  const [, region] = DASHED_REGION.exec(last) ?? [];
  const home = region === undefined ? undefined : partitions.find((one) => one.region.test(region));
  return home === undefined ? undefined : { ...base, partition: home.id, region: region!, regions: 'one' };
}
