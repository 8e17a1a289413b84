import { compileNames, type Matcher } from './glob.ts';
import type { AwsFacts, AwsObject } from './request.ts';
import type { AwsSelector, Rule } from './rules.ts';

/** The selectors of one rule on requests to Amazon Web Services. */
export interface CompiledAws {
  readonly services: Matcher | undefined;
  readonly regions: Matcher | undefined;
  readonly actions: Matcher | undefined;
  readonly buckets: Matcher | undefined;
  readonly keys: Matcher | undefined;
  /** A deny rule takes what a request does not tell for a match: else not telling it would be the way past the rule. */
  readonly denies: boolean;
}

export const AWS_LISTS = ['services', 'regions', 'actions', 'buckets', 'keys'] as const;

type ObjectList = 'buckets' | 'keys';
/** The list that does not match; `request`: it is none to Amazon Web Services. */
type Unmatched = 'request' | (typeof AWS_LISTS)[number] | `source ${ObjectList}`;

/** `part` compiles one list, or reports what is wrong with it and answers undefined. Throws an Error with the reason. */
export function compileAws(
  selector: AwsSelector,
  effect: Rule['effect'],
  part: (list: keyof AwsSelector, compile: typeof compileNames) => Matcher | undefined,
): CompiledAws {
  if (AWS_LISTS.every((list) => selector[list] === undefined)) throw new Error(`needs one of ${AWS_LISTS.join(', ')}`);
  return {
    services: part('services', compileNames),
    regions: part('regions', compileNames),
    actions: part('actions', compileNames),
    buckets: part('buckets', compileNames),
    keys: part('keys', compileNames),
    denies: effect === 'deny',
  };
}

/** The first list that keeps the rule from matching. */
export function unmatchedAws(rule: CompiledAws, facts: AwsFacts | undefined): Unmatched | undefined {
  if (facts === undefined) return 'request';
  if (!accepts(rule.services, facts.service, false)) return 'services';
  if (!accepts(rule.regions, facts.region, rule.denies)) return 'regions';
  if (!accepts(rule.actions, facts.action, rule.denies)) return 'actions';
  if (rule.buckets === undefined && rule.keys === undefined) return undefined;
  const untold = rule.denies && holdsObjects(facts.service);
  const unmet = unmatchedObject(rule, facts, untold);
  if (facts.source === undefined) return unmet;
  // Copying reads one object and writes another: both must be allowed, and either may be denied.
  const source = unmatchedObject(rule, facts.source, untold);
  if (rule.denies) return source === undefined ? undefined : unmet;
  return unmet ?? (source && `source ${source}`);
}

function unmatchedObject(rule: CompiledAws, { bucket, key }: AwsObject, untold: boolean): ObjectList | undefined {
  if (!accepts(rule.buckets, bucket, untold) && !(untold && isAlias(bucket))) return 'buckets';
  return accepts(rule.keys, key, untold) ? undefined : 'keys';
}

/** Other names of buckets: access points and their aliases (S3 User Guide, "Access point aliases"). Whose, nobody tells. */
const ALIAS = /^(?:accesspoint|outpost)\/|-s3alias$|--(?:ol|op|xa)-s3$/;

function isAlias(bucket: string | undefined): boolean {
  return bucket !== undefined && ALIAS.test(bucket);
}

function accepts(matcher: Matcher | undefined, actual: string | undefined, untold: boolean): boolean {
  return matcher === undefined || (actual === undefined ? untold : matcher(actual));
}

/** Signing names of services with buckets: `s3`, `s3express`, `s3-object-lambda`, `s3-outposts`. */
function holdsObjects(service: string): boolean {
  return service.startsWith('s3');
}

/** Why the selectors do not match; quotes the request. */
export function whyUnmatchedAws(selector: AwsSelector, rule: CompiledAws, facts: AwsFacts | undefined): string {
  const unmatched = unmatchedAws(rule, facts);
  if (facts === undefined || unmatched === undefined || unmatched === 'request') {
    return 'the request is none to Amazon Web Services';
  }
  const sentence = (what: string, actual: string | undefined, patterns: readonly string[] = []): string =>
    actual === undefined
      ? `the request tells no ${what}`
      : `${what} ${JSON.stringify(actual.toWellFormed())} matches none of ${patterns.join(', ')}`;
  switch (unmatched) {
    case 'services':
      return sentence('AWS service', facts.service, selector.services);
    case 'regions':
      return sentence('region', facts.region, selector.regions);
    case 'actions':
      return sentence('action', facts.action, selector.actions);
    case 'buckets':
      return sentence('bucket', facts.bucket, selector.buckets);
    case 'keys':
      return sentence('key', facts.key, selector.keys);
    case 'source buckets':
      return sentence('bucket to copy from', facts.source?.bucket, selector.buckets);
    case 'source keys':
      return sentence('key to copy from', facts.source?.key, selector.keys);
    default:
      return unmatched satisfies never;
  }
}

/** What a request keeps to itself and a deny rule therefore took for a match: `action`, `bucket`. */
export function untoldAws(rule: CompiledAws, facts: AwsFacts | undefined): readonly string[] {
  if (!rule.denies || facts === undefined) return [];
  const untold: string[] = [];
  if (rule.regions !== undefined && facts.region === undefined) untold.push('region');
  if (rule.actions !== undefined && facts.action === undefined) untold.push('action');
  if (!holdsObjects(facts.service)) return untold;
  const objects = facts.source === undefined ? [facts] : [facts, facts.source];
  if (rule.buckets !== undefined && objects.some(({ bucket }) => bucket === undefined || isAlias(bucket)))
    untold.push('bucket');
  if (rule.keys !== undefined && objects.some(({ key }) => key === undefined)) untold.push('key');
  return untold;
}
