import { foldName } from 'secretless-sidecar/connector';

/** Fields that say how the message is framed or routed; only the sidecar may write them (RFC 9110 section 7.6.1). */
const REFUSED = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'upgrade',
  'te',
  'trailer',
  'keep-alive',
  'expect',
]);

/** What keeps a header field from being injected; undefined where nothing does. */
export function fieldNameProblem(name: string): string | undefined {
  // RFC 9110 section 5.6.2: token.
  if (!/^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/.test(name)) return `${JSON.stringify(name)} is not a header field name`;
  const folded = foldName(name);
  if (REFUSED.has(folded) || folded.startsWith('proxy-')) {
    return `the header ${name} belongs to the connection and cannot be injected`;
  }
  return undefined;
}

/** What keeps a text from being a field value: visible ASCII and inner blanks only (RFC 9110 section 5.5). */
export function fieldValueProblem(value: string): string | undefined {
  return /^[\t\x20-\x7e]*$/.test(value)
    ? undefined
    : 'holds characters outside ASCII (encode it, for example with base64)';
}
