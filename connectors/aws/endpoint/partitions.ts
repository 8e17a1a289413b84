import { remembered } from './remembered.ts';

/** A set of regions under one account system; names and suffixes as in the partitions file of the AWS SDKs. */
export interface Partition {
  readonly id: string;
  readonly region: RegExp;
  readonly suffix: string;
  /** Suffix of hosts that answer on IPv6 as well. */
  readonly dualStackSuffix: string;
  /** Where services without regions are signed for, as long as they have no other. */
  readonly globalRegion: string;
}

function partition(
  id: string,
  region: RegExp,
  suffix: string,
  dualStackSuffix: string,
  globalRegion: string,
): Partition {
  return { id, region, suffix, dualStackSuffix, globalRegion };
}

/** The pattern of one never matches a region of another: a name such as `gov` has no digits after it. */
export const PARTITIONS: readonly Partition[] = [
  partition('aws', /^(?:us|eu|ap|sa|ca|me|af|il|mx)-[a-z]{1,16}-\d{1,2}$/, 'amazonaws.com', 'api.aws', 'us-east-1'),
  partition('aws-us-gov', /^us-gov-[a-z]{1,16}-\d{1,2}$/, 'amazonaws.com', 'api.aws', 'us-gov-west-1'),
  partition('aws-cn', /^cn-[a-z]{1,16}-\d{1,2}$/, 'amazonaws.com.cn', 'api.amazonwebservices.com.cn', 'cn-northwest-1'),
  partition('aws-eusc', /^eusc-de-[a-z]{1,16}-\d{1,2}$/, 'amazonaws.eu', 'api.amazonwebservices.eu', 'eusc-de-east-1'),
  partition('aws-iso', /^us-iso-[a-z]{1,16}-\d{1,2}$/, 'c2s.ic.gov', 'api.aws.ic.gov', 'us-iso-east-1'),
  partition('aws-iso-b', /^us-isob-[a-z]{1,16}-\d{1,2}$/, 'sc2s.sgov.gov', 'api.aws.scloud', 'us-isob-east-1'),
  partition('aws-iso-e', /^eu-isoe-[a-z]{1,16}-\d{1,2}$/, 'cloud.adc-e.uk', 'api.cloud-aws.adc-e.uk', 'eu-isoe-west-1'),
  partition('aws-iso-f', /^us-isof-[a-z]{1,16}-\d{1,2}$/, 'csp.hci.ic.gov', 'api.aws.hci.ic.gov', 'us-isof-south-1'),
];

const REGION_LENGTH_MAX = 32;

const find = remembered(256, (region) => PARTITIONS.find((candidate) => candidate.region.test(region)));

/** The partition that a region belongs to; undefined for what is no region. `region` may come from the agent. */
export function partitionOf(region: string): Partition | undefined {
  return region.length > REGION_LENGTH_MAX ? undefined : find(region);
}
