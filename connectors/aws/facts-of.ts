import type { AwsObject, Facts, RequestHead } from 'secretless-sidecar/connector';
import { headerValues } from 'secretless-sidecar/connector';
import { awsFactsOf, returnsCredentials } from './facts/index.ts';
import { keyText } from './facts/key-text.ts';
import type { Placed } from './placing.ts';
import { percentDecode } from './sign/percent.ts';
import { SigningProblem } from './sign/problem.ts';

/** What policy may match on; `form` is the body, where the action stands in it. */
export function factsOf(head: RequestHead, { service, region, host }: Placed, form?: Uint8Array): Partial<Facts> {
  const aws = awsFactsOf(head, { service, region }, host, form);
  const source = sourceOf(head);
  return {
    aws: source === undefined ? aws : { ...aws, source },
    returnsCredentials: returnsCredentials(aws, head),
  };
}

/** `[/]bucket/key[?versionId=…]`, encoded once (S3 API Reference, CopyObject); an access point is no bucket. */
const COPY_SOURCE = /^\/?([^/?]+)\/([^?]+)(?:\?versionId=[^?]*)?$/;

/** The object that a request copies from; empty where that cannot be read in one way. */
function sourceOf({ headers }: RequestHead): AwsObject | undefined {
  const values = headerValues(headers, 'x-amz-copy-source');
  if (values.length === 0) return undefined;
  try {
    const [, bucket, key] = values.length === 1 ? (COPY_SOURCE.exec(values[0]!.trim()) ?? []) : [];
    if (bucket === undefined || bucket.startsWith('arn:')) return {};
    return { bucket: keyText(percentDecode(bucket)), key: keyText(percentDecode(key!)) };
  } catch (thrown) {
    if (thrown instanceof SigningProblem) return {};
    throw thrown;
  }
}
