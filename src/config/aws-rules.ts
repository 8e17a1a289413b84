import type { ServiceConfig } from './config.ts';
import type { Context } from './context.ts';
import type { Path } from './node.ts';
import { quote } from './problem.ts';
import { concernedBy, each, type WrittenRule } from './rule-names.ts';

/** The connector whose requests are told apart by `aws`. */
const CONNECTOR = 'aws';

/** What people call a service, and the signing name that its requests carry. */
const SIGNING_NAMES: ReadonlyMap<string, string> = new Map([
  ['bedrock-runtime', 'bedrock'],
  ['cloudwatch', 'monitoring'],
  ['cloudwatch-logs', 'logs'],
  ['cloudwatchlogs', 'logs'],
  ['dynamodbstreams', 'dynamodb'],
  ['efs', 'elasticfilesystem'],
  ['elb', 'elasticloadbalancing'],
  ['elbv2', 'elasticloadbalancing'],
  ['email', 'ses'],
  ['emr', 'elasticmapreduce'],
  ['eventbridge', 'events'],
  ['opensearch', 'es'],
  ['s3-control', 's3'],
  ['s3control', 's3'],
  ['sesv2', 'ses'],
  ['sfn', 'states'],
  ['stepfunctions', 'states'],
]);

/** Checks `aws` of a rule beyond its shape: names that no request could have, or that are mostly meant otherwise. */
export function checkAws(rule: WrittenRule, path: Path, services: readonly ServiceConfig[], context: Context): void {
  if (rule.aws === undefined) return;
  const base = [...path, 'aws'];
  checkServed(rule, base, services, context);
  each(rule.aws.services, (name, at) => checkService(name, [...base, 'services', at], context));
  each(rule.aws.regions, (name, at) => checkRegion(name, [...base, 'regions', at], context));
  each(rule.aws.actions, (name, at) => checkAction(name, [...base, 'actions', at], context));
  each(rule.aws.buckets, (name, at) => checkBucket(name, [...base, 'buckets', at], context));
  each(rule.aws.keys, (name, at) => checkKey(name, [...base, 'keys', at], context));
}

function checkServed(rule: WrittenRule, path: Path, services: readonly ServiceConfig[], { report }: Context): void {
  const concerned = concernedBy(rule, services);
  // A rule about no service at all has been warned of.
  if (concerned.length === 0 || concerned.some(({ connector }) => connector === CONNECTOR)) return;
  const which = rule.services === undefined ? 'no service of the file' : 'no service that the rule is about';
  report.warn(path, `${which} is of the connector ${CONNECTOR}, so that the rule never matches`, { on: 'key' });
}

function checkService(name: string, path: Path, { report }: Context): void {
  const suggestion = SIGNING_NAMES.get(name.toLowerCase());
  if (/[^A-Za-z0-9*_.-]/.test(name)) report.error(path, 'a signing name is of letters, digits and hyphens');
  else if (suggestion !== undefined) report.warn(path, 'requests are not signed for this name', { suggestion });
  else if (name !== name.toLowerCase()) {
    report.warn(path, 'names are compared exactly, and signing names are lower case', {
      suggestion: name.toLowerCase(),
    });
  }
}

function checkRegion(name: string, path: Path, { report }: Context): void {
  if (/[^A-Za-z0-9*_-]/.test(name)) report.error(path, 'a region is of letters, digits and hyphens');
  else if (name !== name.toLowerCase()) {
    report.warn(path, 'names are compared exactly, and regions are lower case', { suggestion: name.toLowerCase() });
  }
}

function checkAction(name: string, path: Path, { report }: Context): void {
  const [service, action] = name.split(':');
  if (action !== undefined) {
    report.error(path, `an action has no service before it: write ${quote(service ?? '')} in \`services\``, {
      suggestion: action,
    });
  } else if (/[^A-Za-z0-9*_.-]/.test(name)) {
    report.error(path, 'an action is the name of an operation, like GetObject');
  } else if (/^[a-z]/.test(name)) {
    report.warn(path, 'actions are compared exactly, and begin with a capital', {
      suggestion: name.charAt(0).toUpperCase() + name.slice(1),
    });
  }
}

function checkBucket(name: string, path: Path, { report }: Context): void {
  if (/[/:\s]/.test(name)) report.error(path, 'a bucket is a plain name: what follows a slash belongs in `keys`');
}

function checkKey(name: string, path: Path, { report }: Context): void {
  if (/^(arn:|s3:\/\/)/.test(name)) report.error(path, 'a key is what follows the bucket and its slash');
  else if (name.startsWith('/')) {
    report.warn(path, 'keys have no slash at their beginning, unless it is part of their name');
  } else if (/%[0-9A-Fa-f]{2}/.test(name)) {
    report.warn(path, 'keys are compared decoded: `%20` is three characters here');
  }
}
