import { EXPIRES_SECONDS_MAX } from '../sign/authentication.ts';
import { canonicalRequest, sha256Latin1 } from '../sign/canonical.ts';
import { signedFields } from '../sign/fields.ts';
import type { SignableHead } from '../sign/head.ts';
import type { Signer } from '../sign/key.ts';
import { canonicalPath, pathRuleOf } from '../sign/path.ts';
import { percentEncode } from '../sign/percent.ts';
import { SigningProblem } from '../sign/problem.ts';
import { canonicalQuery, parseQuery, type Parameter, splitTarget, V4_QUERY_NAMES } from '../sign/query.ts';
import { checkSigner, withoutParameters } from '../sign/sigv4.ts';
import { amzDateOf, stringToSign } from '../sign/string-to-sign.ts';


export interface Presigning {
  readonly signer: Signer;
  readonly accessKeyId: string;
  /** A parameter is a string by nature, as is a field. */
  readonly sessionToken?: string | undefined;
  readonly time: Date;
  /** 1 to 604800. */
  readonly expiresSeconds: number;
  /** `UNSIGNED-PAYLOAD` for S3; the hash of no bytes for RDS, EKS and other signed URLs. */
  readonly payloadHash: string;
  /** With an ECDSA signer only. */
  readonly regionSet?: string | undefined;
  /** Which fields go under the signature; default `host` alone, as nobody sends the others. */
  readonly signs?: (name: string) => boolean;
  /** True for AWS IoT, which wants the session token outside the signature. */
  readonly tokenUnsigned?: boolean;
}

/**
 * The target (path and query) of a signed URL; its signature stands last. Whoever has the URL has the request.
 * Errors: as `signHead`; `malformed-field` for a wrong `expiresSeconds`.
 */
export function presignTarget(head: SignableHead, presigning: Presigning): string {
  const { signer, payloadHash, sessionToken, tokenUnsigned = false, expiresSeconds } = presigning;
  if (!Number.isInteger(expiresSeconds) || expiresSeconds < 1 || expiresSeconds > EXPIRES_SECONDS_MAX)
    throw new SigningProblem('malformed-field', 'a signed URL lasts 1 to 604800 seconds');
  const amzDate = amzDateOf(presigning.time);
  checkSigner(signer, amzDate);
  const { path, query } = splitTarget(head.target);
  const fields = signedFields(head.headers, presigning.signs ?? ((name) => name === 'host'));
  const parameters: Parameter[] = [
    ...withoutParameters(parseQuery(query), V4_QUERY_NAMES),
    ['X-Amz-Algorithm', signer.algorithm],
    ['X-Amz-Credential', `${presigning.accessKeyId}/${signer.scopeText}`],
    ['X-Amz-Date', amzDate],
    ['X-Amz-Expires', String(expiresSeconds)],
    ['X-Amz-SignedHeaders', fields.names],
  ];
  if (presigning.regionSet !== undefined) parameters.push(['X-Amz-Region-Set', presigning.regionSet]);
  if (sessionToken !== undefined && !tokenUnsigned) parameters.push(['X-Amz-Security-Token', sessionToken]);

  const rule = pathRuleOf(signer.scope.service);
  const signedPath = canonicalPath(path, rule);
  const signedQuery = canonicalQuery(parameters);
  const canonical = canonicalRequest({
    method: head.method,
    path: signedPath,
    query: signedQuery,
    fields,
    payloadHash,
  });
  const text = stringToSign(signer.algorithm, amzDate, signer.scopeText, sha256Latin1(canonical));
  const token =
    sessionToken !== undefined && tokenUnsigned ? `&X-Amz-Security-Token=${percentEncode(sessionToken)}` : '';
  const sentPath = rule === 's3' || path === '' ? signedPath : path;
  return `${sentPath}?${signedQuery}${token}&X-Amz-Signature=${signer.signHex(text)}`;
}
