import { AwsRefusal, malformed } from './refusal.ts';
import { cutAt, onlyHeader, parameters, type ReceivedHead } from './received-head.ts';

export type Algorithm = 'AWS4-HMAC-SHA256' | 'AWS4-ECDSA-P256-SHA256';

/** What a request says about its own signature. */
export interface Claim {
  readonly by: 'header' | 'query';
  readonly algorithm: Algorithm;
  readonly accessKeyId: string;
  /** `20130524T000000Z`. */
  readonly timestamp: string;
  /** `20130524/us-east-1/s3/aws4_request`; without a region for ECDSA. */
  readonly scope: string;
  readonly day: string;
  readonly region: string | undefined;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly sessionToken: string | undefined;
  /** Of a presigned request. */
  readonly expiresSeconds: number | undefined;
  /** `x-amz-content-sha256`. */
  readonly payload: string | undefined;
}

/** Undefined where the request is not signed. Errors: 400 for whatever is not plain. */
export function readClaim(head: ReceivedHead): Claim | undefined {
  const authorization = onlyHeader(head, 'authorization');
  const query = new Map<string, string>();
  for (const [name, value] of parameters(head.query)) {
    if (!name.startsWith('X-Amz-')) continue;
    if (query.has(name)) throw new AwsRefusal(400, 'InvalidRequest', `${name} was given more than once.`);
    query.set(name, value);
  }
  const presigned = query.has('X-Amz-Signature') || query.has('X-Amz-Credential');
  if (authorization !== undefined && presigned)
    throw new AwsRefusal(400, 'InvalidArgument', 'Only one auth mechanism allowed');
  if (authorization !== undefined) return headerClaim(head, authorization);
  return presigned ? queryClaim(head, query) : undefined;
}

function headerClaim(head: ReceivedHead, authorization: string): Claim {
  const [algorithm, rest = ''] = cutAt(authorization, ' ');
  const parts = new Map(rest.split(',').map((part) => cutAt(part.trim(), '=') as [string, string]));
  const timestamp = onlyHeader(head, 'x-amz-date');
  if (timestamp === undefined) throw new AwsRefusal(403, 'AccessDenied', 'AWS authentication requires a valid Date');
  return {
    by: 'header',
    ...credentialOf(parts.get('Credential') ?? '', algorithm),
    timestamp,
    signedHeaders: (parts.get('SignedHeaders') ?? '').split(';'),
    signature: parts.get('Signature') ?? '',
    sessionToken: onlyHeader(head, 'x-amz-security-token'),
    expiresSeconds: undefined,
    payload: onlyHeader(head, 'x-amz-content-sha256'),
  };
}

function queryClaim(head: ReceivedHead, query: ReadonlyMap<string, string>): Claim {
  const of = (name: string): string => {
    const value = query.get(name);
    if (value !== undefined) return value;
    throw new AwsRefusal(400, 'AuthorizationQueryParametersError', `${name} is missing.`);
  };
  const expiresSeconds = Number(of('X-Amz-Expires'));
  // S3 API Reference, "Authenticating Requests: Using Query Parameters": seven days at most.
  if (!(expiresSeconds >= 1 && expiresSeconds <= 604_800))
    throw new AwsRefusal(400, 'AuthorizationQueryParametersError', 'X-Amz-Expires must be from 1 to 604800.');
  return {
    by: 'query',
    ...credentialOf(of('X-Amz-Credential'), of('X-Amz-Algorithm')),
    timestamp: of('X-Amz-Date'),
    signedHeaders: of('X-Amz-SignedHeaders').split(';'),
    signature: of('X-Amz-Signature'),
    sessionToken: query.get('X-Amz-Security-Token'),
    expiresSeconds,
    payload: onlyHeader(head, 'x-amz-content-sha256') ?? query.get('X-Amz-Content-Sha256'),
  };
}

type Credential = Pick<Claim, 'algorithm' | 'accessKeyId' | 'scope' | 'day' | 'region' | 'service'>;

function credentialOf(credential: string, algorithm: string): Credential {
  const words = credential.split('/');
  const [accessKeyId = '', day = ''] = words;
  const scope = words.slice(1).join('/');
  if (algorithm === 'AWS4-HMAC-SHA256' && words.length === 5 && words[4] === 'aws4_request')
    return { algorithm, accessKeyId, scope, day, region: words[2], service: words[3]! };
  if (algorithm === 'AWS4-ECDSA-P256-SHA256' && words.length === 4 && words[3] === 'aws4_request')
    return { algorithm, accessKeyId, scope, day, region: undefined, service: words[2]! };
  throw malformed('the algorithm or the credential scope is not one that is known');
}
