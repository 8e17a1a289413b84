import type { Config, ServiceConfig } from '../config/config.ts';
import { quote } from '../config/problem.ts';
import { canonicalPath } from '../http/path.ts';
import { parseRequestTarget } from '../http/target.ts';
import { Policy } from '../policy/policy.ts';
import type { AwsFacts, AwsObject, Facts } from '../policy/request.ts';
import { UsageError } from './command.ts';
import { answerOf, type Explained } from './explained.ts';
import { AWS_CONNECTOR, listenersOf, serviceNamed, usualAskerOf } from './explain-service.ts';

/** A request to Amazon Web Services, as far as policy can tell such requests apart. */
export interface AwsQuestion {
  readonly service: string;
  /** Who signs it; absent: whoever the listener belongs to. */
  readonly agent: string | undefined;
  readonly aws: AwsFacts;
  /** Method, host and path, where rules look at them too. */
  readonly request: Facts;
}

export interface AwsValues {
  readonly aws?: string;
  readonly agent?: string;
  readonly region?: string;
  readonly object?: string;
  readonly 'copied-from'?: string;
}

/** Options that say what a request to Amazon Web Services is; `aws` must be among them. */
export const AWS_OPTIONS = ['aws', 'agent', 'region', 'object', 'copied-from'] as const;

/** `service:Operation`; the signing name alone where the operation cannot be read. */
const OPERATION = /^([a-z0-9-]+)(?::([A-Za-z0-9._-]+))?$/;

/** Errors: `UsageError`. */
export function awsQuestionOf(service: string, values: AwsValues, method: string, target?: string): AwsQuestion {
  const [whole, signingName, action] = OPERATION.exec(values.aws ?? '') ?? [];
  if (whole === undefined || signingName === undefined) {
    throw new UsageError('--aws is a signing name and an operation, like s3:GetObject');
  }
  const { agent, region, object, 'copied-from': copied } = values;
  return {
    service,
    agent,
    aws: {
      service: signingName,
      ...(region === undefined ? {} : { region }),
      ...(action === undefined ? {} : { action }),
      ...(object === undefined ? {} : objectOf(object)),
      ...(copied === undefined ? {} : { source: objectOf(copied) }),
    },
    request: target === undefined ? {} : requestFacts(method, target),
  };
}

/** `bucket/key`, a bucket alone, or `/key` where the request does not tell the bucket. */
function objectOf(text: string): AwsObject {
  const slash = text.indexOf('/');
  if (slash < 0) return { bucket: text };
  const key = text.slice(slash + 1);
  return slash === 0 ? { key } : { bucket: text.slice(0, slash), key };
}

function requestFacts(method: string, target: string): Facts {
  try {
    const parsed = parseRequestTarget(target);
    if (parsed.form === 'authority' || parsed.form === 'asterisk') throw new Error(parsed.form);
    const { path, ambiguity } = canonicalPath(parsed.target);
    return {
      method,
      path,
      ...(ambiguity === undefined ? {} : { pathAmbiguity: ambiguity }),
      ...(parsed.form === 'absolute' ? { host: parsed.origin.host, port: parsed.origin.port } : {}),
    };
  } catch {
    throw new UsageError(`neither a URL nor a path that a request could have: ${quote(target)}`);
  }
}

/** What policy would say to a request, for each listener of the service. Errors: `UsageError`. */
export function explainAws(config: Config, question: AwsQuestion): Explained[] {
  const service = serviceNamed(config, question.service);
  const { name, connector } = service;
  if (connector !== AWS_CONNECTOR) {
    throw new UsageError(`service ${quote(name)} is of the connector ${connector}, and takes no requests to AWS`);
  }
  const policy = new Policy(config.rules);
  const agent = question.agent ?? usualAskerOf(config, service);
  const given = policy.explain(accessRequest(service, agent, question, false));
  const holding = policy.explain(accessRequest(service, agent, question, true)).verdict;
  const differs = given.verdict.allow !== holding.allow || given.verdict.rule !== holding.rule;
  const { path } = question.request;
  return listenersOf(config, service).map((listener) => ({
    listener,
    service: name,
    connector,
    agent,
    ...(path === undefined ? {} : { path }),
    aws: question.aws,
    ...answerOf(given, true),
    ...(differs && { returningCredentials: answerOf({ verdict: holding, findings: [] }, true) }),
  }));
}

function accessRequest(
  { name, connector }: ServiceConfig,
  agent: string,
  question: AwsQuestion,
  returnsCredentials: boolean,
): Parameters<Policy['explain']>[0] {
  const facts = { ...question.request, aws: question.aws, returnsCredentials };
  const principal = { agent, attested: 'key' } as const;
  return { service: name, connector, principal, facts };
}

/** `s3:GetObject of "reports/2026/q1.csv" in "eu-central-1"`. */
export function awsText({ aws }: AwsQuestion): string {
  const what = aws.action === undefined ? `${aws.service} request without an action` : `${aws.service}:${aws.action}`;
  const object = objectText(aws);
  const source = aws.source === undefined ? undefined : objectText(aws.source);
  const where = aws.region === undefined ? '' : ` in ${quote(aws.region)}`;
  return `${what}${object === undefined ? '' : ` of ${object}`}${source === undefined ? '' : ` from ${source}`}${where}`;
}

function objectText({ bucket, key }: AwsObject): string | undefined {
  if (bucket === undefined) return key === undefined ? undefined : `key ${quote(key)}`;
  return quote(key === undefined ? bucket : `${bucket}/${key}`);
}
