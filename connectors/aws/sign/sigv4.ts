import { canonicalRequest, sha256Latin1 } from './canonical.ts';
import { isSigned, joinRepeated, signedFields } from './fields.ts';
import { onlyValue, type SignableHead, withoutAgentsOwn } from './head.ts';
import type { Signer } from './key.ts';
import { canonicalPath, pathRuleOf } from './path.ts';
import { SigningProblem } from './problem.ts';
import { canonicalQuery, parseQuery, type Parameter, splitTarget, V4_QUERY_NAMES } from './query.ts';
import { amzDateOf, stringToSign } from './string-to-sign.ts';

export interface Signing {
  readonly signer: Signer;
  readonly accessKeyId: string;
  /** A field value is a string by nature: this is the one place where a secret has to be one. */
  readonly sessionToken?: string | undefined;
  /** The sidecar's clock, with the offset learnt for the host; never the agent's. */
  readonly time: Date;
  /** Hex SHA-256 of the body, or a word such as `UNSIGNED-PAYLOAD`; sent as `x-amz-content-sha256`. */
  readonly payloadHash: string;
  /** `x-amz-region-set`, with an ECDSA signer only: `*` or a list of regions. */
  readonly regionSet?: string | undefined;
  /** Which fields go under the signature; default `isSigned`. */
  readonly signs?: (name: string) => boolean;
  /** Default true: S3, Glacier, OpenSearch Serverless and VPC Lattice want the hash as a field, nobody minds it. */
  readonly sendsPayloadHash?: boolean;
  /** Query parameters to drop, decoded and lower-case; default those of a Signature Version 4. */
  readonly dropsParameters?: ReadonlySet<string>;
}

export interface SignedHead {
  /** What to send, exactly as it is. */
  readonly head: SignableHead;
  /** Lower-case hex; seed of a chunk chain or an event chain. */
  readonly signature: string;
  readonly amzDate: string;
  /** For tests and for an operator's eyes: neither has a secret but a session token. */
  readonly canonical: string;
  readonly stringToSign: string;
}

/**
 * Signs by header: the agent's own authorization goes, the sidecar's comes. The head must have one `host`, that of the
 * connection it is sent on, and no hop-by-hop fields any more.
 * Errors: `malformed-field`, `malformed-escape`, `unfit-key` where the key is of another day than `time`.
 */
export function signHead(unsigned: SignableHead, signing: Signing): SignedHead {
  const { signer, payloadHash, signs = isSigned } = signing;
  const amzDate = amzDateOf(signing.time);
  checkSigner(signer, amzDate);
  const headers = withoutAgentsOwn(unsigned.headers);
  if (onlyValue(headers, 'host') === undefined) throw new SigningProblem('malformed-field', 'the request has no host');
  headers.push('x-amz-date', amzDate);
  if (signing.sendsPayloadHash !== false) headers.push('x-amz-content-sha256', payloadHash);
  if (signing.regionSet !== undefined) headers.push('x-amz-region-set', signing.regionSet);
  if (signing.sessionToken !== undefined) headers.push('x-amz-security-token', signing.sessionToken);

  const { path, query } = splitTarget(unsigned.target);
  const rule = pathRuleOf(signer.scope.service);
  const signedPath = canonicalPath(path, rule);
  const signedQuery = canonicalQuery(withoutParameters(parseQuery(query), signing.dropsParameters ?? V4_QUERY_NAMES));
  const fields = signedFields(headers, signs);
  const { method } = unsigned;
  const canonical = canonicalRequest({ method, path: signedPath, query: signedQuery, fields, payloadHash });
  const text = stringToSign(signer.algorithm, amzDate, signer.scopeText, sha256Latin1(canonical));
  const signature = signer.signHex(text);
  const credential = `${signing.accessKeyId}/${signer.scopeText}`;
  const sent = [...joinRepeated(headers, signs)];
  sent.push(
    'authorization',
    `${signer.algorithm} Credential=${credential}, SignedHeaders=${fields.names}, Signature=${signature}`,
  );
  const sentPath = rule === 's3' || path === '' ? signedPath : path;
  const target = signedQuery === '' ? sentPath : `${sentPath}?${signedQuery}`;
  return { head: { method, target, headers: sent }, signature, amzDate, canonical, stringToSign: text };
}

/** A key of yesterday signs what no server accepts; better to say so than to be refused without a reason. */
export function checkSigner(signer: Signer, amzDate: string): void {
  if (!amzDate.startsWith(`${signer.scope.date}T`))
    throw new SigningProblem('unfit-key', 'the signing key is of another day than the request');
}

/** `names` in lower case. */
export function withoutParameters(parameters: readonly Parameter[], names: ReadonlySet<string>): readonly Parameter[] {
  return parameters.filter(([name]) => !names.has(name.toLowerCase()));
}
