import { timingSafeEqual } from 'node:crypto';
import { AUTHORITY, type V4Authentication } from './authentication.ts';
import { canonicalRequest, sha256Latin1, UNSIGNED_PAYLOAD } from './canonical.ts';
import { isSigned, signedFields } from './fields.ts';
import { onlyValue, type SignableHead } from './head.ts';
import type { Signer } from './key.ts';
import { canonicalPath, pathRuleOf } from './path.ts';
import { SigningProblem } from './problem.ts';
import { canonicalQuery, parseQuery, splitTarget } from './query.ts';
import { formatScope } from './scope.ts';
import { stringToSign } from './string-to-sign.ts';

/** Tells whether a signature is that of a text, in a time that does not depend on where they differ. */
export interface Verifier {
  verifies(text: string, signature: string): boolean;
}

export type Verdict =
  | {
      readonly verified: true;
      /** Fields that a proxy must not trust though the signature holds: `x-amz-*` and content fields outside it. */
      readonly unsigned: readonly string[];
    }
  | { readonly verified: false; readonly reason: 'signature' | 'signed-field-missing' | 'body-hash-needed' };

const PAYLOAD_WORD = /^(?:[0-9a-f]{64}|[A-Z0-9-]{1,64})$/;
const SIGNATURE_ONLY: ReadonlySet<string> = new Set(['x-amz-signature']);

/** A verifier for signatures made with the secret of `signer`: with HMAC, to sign again is to verify. */
export function hmacVerifier(signer: Signer): Verifier {
  return {
    verifies(text, signature) {
      const [mine, theirs] = [Buffer.from(signer.signHex(text), 'hex'), Buffer.from(signature, 'hex')];
      return mine.length === theirs.length && timingSafeEqual(mine, theirs);
    },
  };
}

/**
 * The payload hash that the sender signed, `undefined` where it is that of the body itself: a request without
 * `x-amz-content-sha256`, as boto sends them to all but S3. Errors: `malformed-field`, `ambiguous-authorization`.
 */
export function announcedPayloadHash(head: SignableHead, authentication: V4Authentication): string | undefined {
  const announced = onlyValue(head.headers, 'x-amz-content-sha256') ?? queryValue(head, 'x-amz-content-sha256');
  if (announced === undefined)
    return authentication.place === 'query' && pathRuleOf(authentication.scope.service) === 's3'
      ? UNSIGNED_PAYLOAD
      : undefined;
  const word = announced.trim();
  if (!PAYLOAD_WORD.test(word))
    throw new SigningProblem('malformed-field', 'the payload hash is neither hex nor a word');
  return word;
}

/**
 * Whether the request, as received, is what the holder of the secret signed. The clock is not looked at: compare
 * `authentication.time` where it matters. `bodySha256` is lower-case hex, needed where no hash is announced.
 */
export function verifyInbound(
  head: SignableHead,
  authentication: V4Authentication,
  verifier: Verifier,
  bodySha256?: string,
): Verdict {
  const payloadHash = announcedPayloadHash(head, authentication) ?? bodySha256;
  if (payloadHash === undefined) return { verified: false, reason: 'body-hash-needed' };
  const names = new Set(authentication.signedHeaders);
  const headers = names.has(AUTHORITY) ? withAuthority(head.headers) : head.headers;
  const fields = signedFields(headers, (name) => names.has(name));
  if (fields.names !== authentication.signedHeaders.join(';'))
    return { verified: false, reason: 'signed-field-missing' };
  const { path, query } = splitTarget(head.target);
  const parameters = parseQuery(query).filter(
    ([name]) => authentication.place === 'header' || !SIGNATURE_ONLY.has(name.toLowerCase()),
  );
  const canonical = canonicalRequest({
    method: head.method,
    path: canonicalPath(path, pathRuleOf(authentication.scope.service)),
    query: canonicalQuery(parameters),
    fields,
    payloadHash,
  });
  const { algorithm, amzDate, scope, signature } = authentication;
  const text = stringToSign(algorithm, amzDate, formatScope(scope), sha256Latin1(canonical));
  if (!verifier.verifies(text, signature)) return { verified: false, reason: 'signature' };
  const unsigned = signedFields(headers, (name) => isSigned(name) && !names.has(name)).names;
  return { verified: true, unsigned: unsigned === '' ? [] : unsigned.split(';') };
}

/** The host as the field that was signed. */
function withAuthority(headers: readonly string[]): readonly string[] {
  return headers.map((each, at) => (at % 2 === 0 && each.toLowerCase() === 'host' ? AUTHORITY : each));
}

function queryValue(head: SignableHead, name: string): string | undefined {
  const found = parseQuery(splitTarget(head.target).query).filter(([one]) => one.toLowerCase() === name);
  if (found.length > 1) throw new SigningProblem('ambiguous-authorization', 'a payload hash is there twice');
  return found[0]?.[1];
}
