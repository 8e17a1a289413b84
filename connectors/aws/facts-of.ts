import type { AwsFacts, AwsObject, Facts, RequestHead } from 'secretless-sidecar/connector';
import { headerValues } from 'secretless-sidecar/connector';
import { awsFactsOf, returnsCredentials } from './facts/index.ts';
import { isRoot } from './facts/action.ts';
import { isCredentialAction } from './facts/credential-operations.ts';
import { actionsIn } from './facts/form.ts';
import { keyText } from './facts/key-text.ts';
import type { Placed } from './placing.ts';
import { pathRuleOf } from './sign/path.ts';
import { percentDecode } from './sign/percent.ts';
import { SigningProblem } from './sign/problem.ts';
import { splitTarget } from './sign/query.ts';

/** What policy may match on; `form` is the body, where the action stands in it. */
export function factsOf(head: RequestHead, placed: Placed, form?: Uint8Array): Partial<Facts> {
  const { service, region, host } = placed;
  const aws = awsFactsOf(head, { service, region }, host, form);
  const source = sourceOf(head, aws);
  return {
    aws: source === undefined ? aws : { ...aws, source },
    returnsCredentials:
      returnsCredentials(aws, head) ||
      asksStoreForSession(head, aws, host) ||
      (placed.claimed === true && asksAnyoneForSession(head, aws)),
  };
}

const SESSION_ACTION = /^(?:assumerole|getsessiontoken|getfederationtoken)/i;

/** The same of a store whose signing name the agent chooses: not all of them compare it with what they are asked. */
function asksAnyoneForSession(head: RequestHead, { action }: AwsFacts): boolean {
  if (action !== undefined) return SESSION_ACTION.test(action) || isCredentialAction('iam', action);
  return isRoot(head) && (head.method === 'POST' || actionsIn(splitTarget(head.target).query).length > 0);
}

/**
 * Stores that speak like S3 take calls of STS and IAM at the same address (Ceph Object Gateway, "STS"); S3 itself knows
 * no POST without a bucket, nor an `Action`.
 */
function asksStoreForSession(head: RequestHead, { service, action, bucket }: AwsFacts, host: Placed['host']): boolean {
  if (pathRuleOf(service) !== 's3' || bucket !== undefined || host?.control === true) return false;
  return (head.method === 'POST' && action === undefined) || actionsIn(splitTarget(head.target).query).length > 0;
}

/** `[/]bucket/key[?versionId=…]`, encoded once (S3 API Reference, CopyObject); an access point is no bucket. */
const COPY_SOURCE = /^\/?([^/?]+)\/([^?]+)(?:\?versionId=[^?]*)?$/;

/** The object that a request copies from; empty where that cannot be read in one way. */
function sourceOf({ headers }: RequestHead, { bucket: own }: AwsFacts): AwsObject | undefined {
  const values = headerValues(headers, 'x-amz-copy-source');
  const renamed = headerValues(headers, 'x-amz-rename-source');
  // Within one bucket; written with it or without (S3 API Reference, RenameObject).
  if (values.length === 0) return renamed.length === 0 ? undefined : own === undefined ? {} : { bucket: own };
  try {
    const [, raw, key] = values.length === 1 && renamed.length === 0 ? (COPY_SOURCE.exec(values[0]!) ?? []) : [];
    const bucket = raw === undefined ? '' : percentDecode(raw);
    // Whoever decodes before splitting sees another bucket.
    if (bucket === '' || bucket.includes('/') || bucket.startsWith('arn:')) return {};
    // S3 takes a plus for a blank here, other stores for a plus.
    return key!.includes('+')
      ? { bucket: keyText(bucket) }
      : { bucket: keyText(bucket), key: keyText(percentDecode(key!)) };
  } catch (thrown) {
    if (thrown instanceof SigningProblem) return {};
    throw thrown;
  }
}
