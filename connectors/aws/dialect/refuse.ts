import type { RequestHead, ResponseHead, SidecarError } from 'secretless-sidecar/connector';
import { writeBody } from './bodies.ts';
import { awsCode } from './codes.ts';
import { kindOf } from './kind.ts';

/**
 * The refusal as the service itself would write it, so that an SDK throws an error with a name and a sentence, and
 * retries what may pass. `service` is the signing name where that is known; `id` is for whoever asks the operator.
 * `x-secretless-error` tells it from an answer of AWS.
 */
export function refuseInDialect(
  error: SidecarError,
  head: RequestHead,
  service: string | undefined,
  id: string,
): ResponseHead & { readonly body: Uint8Array } {
  const kind = kindOf(head, service);
  const code = awsCode(error.code, error.fault, kind);
  // S3 slows down with 503; all others with 429.
  const status = kind === 's3' && error.status === 429 ? 503 : error.status;
  const rule = error.rule === undefined ? '' : ` (rule ${error.rule})`;
  const message = `secretless: ${error.sentence}${rule}; ${error.next} [${error.code}, id ${id}]`;
  const { contentType, body } = writeBody(kind, { code, message, id, senders: status < 500 });
  const headers = ['Content-Type', contentType, 'Content-Length', String(body.length)];
  headers.push(kind === 's3' ? 'x-amz-request-id' : 'x-amzn-requestid', id, 'x-secretless-error', error.code);
  if (contentType.includes('json')) headers.push('x-amzn-errortype', code);
  if (kind === 'cbor') headers.push('smithy-protocol', 'rpc-v2-cbor');
  // RFC 9110 section 15.5.6: a 405 names what is allowed.
  if (status === 405) headers.push('Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS');
  if (error.retryAfterSeconds !== undefined) headers.push('Retry-After', String(Math.ceil(error.retryAfterSeconds)));
  // SDKs set their clocks by the date of an answer that says that theirs is wrong.
  headers.push('Cache-Control', 'no-store', 'Date', new Date().toUTCString());
  return { status, reason: '', headers, body };
}
