import type { Partition } from './partitions.ts';
import type { ServiceEndpoint } from './services.ts';

/**
 * Endpoints whose host is not `<prefix>.<region>.<suffix>`, or that are signed for another region than the agent's;
 * from the endpoint rule sets of botocore 1.43.11. A line has the prefixes, where it holds (partitions, regions or
 * `*`), the host and the region to sign for: `=` the agent's own, `G` the global one of the partition, or a name. The first
 * line that fits counts. In a host, `{p}` is the prefix, `{r}` the region to sign for, `{o}` the agent's, `{s}` and
 * `{d}` the suffixes.
 */
const RULES = `
  account,artifact,tax,organizations * {p}.{r}.{s} G
  bcm-dashboards,bcm-pricing-calculator,bcm-recommended-actions,invoicing,notifications-contacts * {p}.{r}.{d} G
  bcm-data-exports aws-iso,aws-iso-b,aws-iso-e,aws-iso-f {p}.{r}.{s} G
  bcm-data-exports * {p}.{r}.{d} G
  billing aws {p}.{r}.{d} G
  billing * {p}.{r}.{s} G
  billingconductor,chime,shield aws {p}.{r}.{s} G
  budgets aws-eusc {p}.{r}.{d} G
  budgets aws,aws-cn,aws-iso,aws-us-gov {p}.{s} G
  budgets * {p}.global.{s} G
  ce aws-eusc {p}.{r}.{d} G
  ce * {p}.{r}.{s} G
  cloudfront aws-cn {p}.{r}.{s} G
  cloudfront * {p}.{s} G
  data-ats.iot cn-north-1 data.ats.iot.{r}.{s} =
  entitlement.marketplace aws-cn,aws-eusc entitlement-marketplace.{r}.{s} =
  freetier aws {p}.{r}.{d} G
  geo-maps aws,aws-us-gov maps.geo.{r}.{s} =
  geo-places aws,aws-us-gov places.geo.{r}.{s} =
  geo-routes aws routes.geo.{r}.{s} =
  geo-routes aws-us-gov routes.geo.{r}.us-gov.{s} =
  health aws-eusc {p}.{r}.{d} =
  iam aws {p}.{s} G
  iam aws-us-gov {p}.us-gov.{s} G
  iam aws-cn {p}.{r}.{s} cn-north-1
  iam * {p}.{r}.{s} G
  mediaconvert cn-northwest-1 subscribe.mediaconvert.{r}.{s} =
  metering.marketplace aws-eusc metering-marketplace.{r}.{s} =
  networkmanager,route53-recovery-control-config aws {p}.{r}.{s} us-west-2
  networkmanager,route53-recovery-control-config * {p}.{r}.{s} G
  partnercentral-channel aws-us-gov {p}.us-gov.{d} G
  partnercentral-channel * {p}.global.{d} G
  route53 aws-us-gov {p}.us-gov.{s} G
  route53 * {p}.{s} G
  savingsplans,waf aws {p}.{s} G
  sdb us-east-1 {p}.{s} =
  support aws-cn {p}.{r}.{s} cn-north-1
  support aws,aws-iso,aws-iso-b,aws-us-gov {p}.{r}.{s} G
  sustainability aws api.sustainability.{o}.{d} us-east-1
  sustainability aws-us-gov {p}.us-gov.{d} G
  sustainability * {p}.global.{d} G
  transcribe aws-cn cn.transcribe.{r}.{s} =`;

interface HostRule {
  readonly where: readonly string[];
  readonly host: string;
  readonly region: string;
}

const REGULAR: HostRule = { where: ['*'], host: '{p}.{r}.{s}', region: '=' };
const DUAL_STACK: HostRule = { where: ['*'], host: '{p}.{r}.{d}', region: '=' };

export interface PlacedHost {
  readonly host: string;
  /** What to sign for. */
  readonly region: string;
}

let rules: ReadonlyMap<string, readonly HostRule[]> | undefined;

/** Where an endpoint is, for an agent that works in `region`. */
export function hostOf(endpoint: ServiceEndpoint, partition: Partition, region: string): PlacedHost {
  const { prefix } = endpoint;
  const rule = ruleOf(prefix, partition, region) ?? (endpoint.dualStackOnly ? DUAL_STACK : REGULAR);
  const signed = regionOf(rule, partition, region);
  const host = rule.host
    .replace('{p}', prefix)
    .replace('{r}', signed)
    .replace('{o}', region)
    .replace('{s}', partition.suffix)
    .replace('{d}', partition.dualStackSuffix);
  return { host, region: signed };
}

/** An endpoint of one region, wherever in the partition the agent works. */
export interface SingleRegion {
  readonly region: string;
  /** `none`: the host names no region. `signed`: it names that one. `agents`: it names the agent's. */
  readonly hostNames: 'none' | 'signed' | 'agents';
}

/** `undefined` for an endpoint that is signed for the region it is in. */
export function singleRegion(prefix: string, partition: Partition): SingleRegion | undefined {
  const rule = ruleOf(prefix, partition, '');
  if (rule === undefined || rule.region === '=') return undefined;
  const hostNames = rule.host.includes('{r}') ? 'signed' : rule.host.includes('{o}') ? 'agents' : 'none';
  return { region: regionOf(rule, partition, ''), hostNames };
}

function ruleOf(prefix: string, partition: Partition, region: string): HostRule | undefined {
  rules ??= readRules();
  return rules
    .get(prefix)
    ?.find(({ where }) => where.includes('*') || where.includes(partition.id) || where.includes(region));
}

function regionOf(rule: HostRule, partition: Partition, region: string): string {
  if (rule.region === '=') return region;
  return rule.region === 'G' ? partition.globalRegion : rule.region;
}

function readRules(): ReadonlyMap<string, readonly HostRule[]> {
  const read = new Map<string, HostRule[]>();
  for (const line of RULES.trim().split('\n')) {
    const [prefixes, where, host, region] = line.trim().split(' ') as [string, string, string, string];
    for (const prefix of prefixes.split(',')) {
      read.set(prefix, [...(read.get(prefix) ?? []), { where: where.split(','), host, region }]);
    }
  }
  return read;
}
