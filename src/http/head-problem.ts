import type { IncomingMessage } from 'node:http';
import type { ErrorCode } from '../error.ts';

/**
 * Heads that node's parser takes and another reader may frame or route otherwise: HTTP/1.1 without Host (RFC 9112
 * section 3.2), HTTP/1.0 with Transfer-Encoding, any coding besides one `chunked` (section 6.1).
 */
export function headProblem({ headers, httpVersion }: IncomingMessage): ErrorCode | undefined {
  const coding = headers['transfer-encoding'];
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') return 'header-refused';
  // node's parser takes HTTP/0.9 and 2.0 lines too.
  if (httpVersion !== '1.0' && httpVersion !== '1.1') return 'request-malformed';
  if (httpVersion === '1.0') return coding === undefined ? undefined : 'request-malformed';
  return headers.host === undefined ? 'request-malformed' : undefined;
}

/** What to answer to a fault that node's parser or its clocks report; undefined: nothing. */
export function clientErrorCode(code = ''): ErrorCode | undefined {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return 'headers-too-large';
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return 'request-timeout';
    case 'ECONNRESET':
    case 'EPIPE':
      return undefined;
    default:
      return 'request-malformed';
  }
}
