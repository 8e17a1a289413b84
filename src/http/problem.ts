import type { ResponseHead } from '../connector/head.ts';
import type { SidecarError } from '../error.ts';

/**
 * Our own answers: RFC 9457 problem details. Fixed sentences only: no host, no provider text, no secret.
 * `id` is the correlation id under which the log and the ledger hold the details.
 */
export function problemResponse(error: SidecarError, id: string): ResponseHead & { readonly body: Uint8Array } {
  const body = Buffer.from(
    `${JSON.stringify({
      type: `urn:secretless:problem:${error.code}`,
      title: error.sentence,
      status: error.status,
      code: error.code,
      detail: error.next,
      ...(error.rule === undefined ? {} : { rule: error.rule }),
      id,
    })}\n`,
  );
  const headers = [
    'Content-Type',
    'application/problem+json',
    'Content-Length',
    String(body.length),
    'Cache-Control',
    'no-store',
    'Date',
    new Date().toUTCString(),
  ];
  // RFC 9110 section 15.5.6: a 405 names what is allowed.
  if (error.status === 405) headers.push('Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS');
  // RFC 9110 section 15.5.8: a 407 names the way to log in.
  if (error.status === 407) headers.push('Proxy-Authenticate', 'Basic realm="secretless"');
  if (error.retryAfterSeconds !== undefined) headers.push('Retry-After', String(Math.ceil(error.retryAfterSeconds)));
  return { status: error.status, reason: '', headers, body };
}
