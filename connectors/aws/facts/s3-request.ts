import { percentDecode } from '../sign/percent.ts';
import { type Parameter, parseQuery, splitTarget } from '../sign/query.ts';
import type { SignableHead } from '../sign/head.ts';
import { SigningProblem } from '../sign/problem.ts';
import { keyText } from './key-text.ts';
import { s3Action } from './s3-action.ts';

/** What a request to an object store is about. A part that the request does not tell, or not clearly, is absent. */
export interface S3Request {
  readonly action?: string;
  readonly bucket?: string;
  readonly key?: string;
}

/** What is known of the host: see `HostFacts`. */
export interface S3Host {
  readonly bucket?: string | undefined;
  readonly control?: boolean | undefined;
}

/** Reads path and query as S3 does: decoded once, nothing normalised. */
export function readS3(head: SignableHead, service: string, host: S3Host): S3Request {
  if (host.control === true) return {};
  const { path, query } = splitTarget(head.target);
  if (service === 's3-object-lambda' && path === '/WriteGetObjectResponse') {
    return head.method === 'POST' ? { action: 'WriteGetObjectResponse' } : {};
  }
  try {
    const { bucket, key } = host.bucket === undefined ? pathStyle(path) : { bucket: host.bucket, key: path.slice(1) };
    // An empty first segment: some stores skip it, some take it for the bucket.
    if (bucket === '' && key !== '') return {};
    const action = s3Action(head, service, levelOf(bucket, key), query === '' ? NONE : parseQuery(query));
    return {
      ...(action === undefined ? {} : { action }),
      ...(bucket === '' ? {} : { bucket: host.bucket ?? keyText(percentDecode(bucket)) }),
      ...(key === '' ? {} : { key: keyText(percentDecode(key)) }),
    };
  } catch (thrown) {
    if (thrown instanceof SigningProblem) return {};
    throw thrown;
  }
}

const NONE: readonly Parameter[] = [];

function pathStyle(path: string): { readonly bucket: string; readonly key: string } {
  const slash = path.indexOf('/', 1);
  return slash < 0 ? { bucket: path.slice(1), key: '' } : { bucket: path.slice(1, slash), key: path.slice(slash + 1) };
}

function levelOf(bucket: string, key: string): 'service' | 'bucket' | 'object' {
  if (bucket === '') return 'service';
  return key === '' ? 'bucket' : 'object';
}
