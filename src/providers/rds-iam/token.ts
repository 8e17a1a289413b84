import { createHash, createHmac } from 'node:crypto';
import { Secret } from '../../credential/secret.ts';
import type { Fetched } from '../../credential/store.ts';
import { SidecarError } from '../../error.ts';
import { textOf } from '../aws-credentials/sdk.ts';
import type { Database } from './database.ts';

/** What RDS takes at most (RDS User Guide, IAM database authentication). */
const EXPIRES_SECONDS = 900;
const SERVICE = 'rds-db';
const EMPTY_SHA256 = createHash('sha256').digest('hex');

/**
 * A token that logs `user` in at `host:port`: the URL of `GET /?Action=connect&DBUser=user`, presigned for the service
 * `rds-db`, without its scheme (IAM User Guide, Signature Version 4, query parameters). `keys` are AWS credentials.
 */
export function presignLogin({ user, host, port }: Database, region: string, keys: Fetched, now: Date): Secret {
  const { accessKeyId, secretAccessKey, sessionToken } = keys.fields ?? {};
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw new SidecarError('credential-unavailable', { detail: 'there are no AWS credentials to sign with' });
  }
  const timestamp = now.toISOString().replace(/[-:]|\.\d{3}/g, '');
  const scope = [timestamp.slice(0, 8), region, SERVICE, 'aws4_request'];
  const parameters: [string, string][] = [
    ['Action', 'connect'],
    ['DBUser', user],
    ['X-Amz-Algorithm', 'AWS4-HMAC-SHA256'],
    ['X-Amz-Credential', [textOf(accessKeyId), ...scope].join('/')],
    ['X-Amz-Date', timestamp],
    ['X-Amz-Expires', String(EXPIRES_SECONDS)],
    ...(sessionToken === undefined ? [] : [['X-Amz-Security-Token', textOf(sessionToken)] as [string, string]]),
    ['X-Amz-SignedHeaders', 'host'],
  ];
  // The names are in the order that the canonical query asks for.
  const query = parameters.map(([name, value]) => `${name}=${encode(value)}`).join('&');
  const canonical = ['GET', '/', query, `host:${host}:${port}`, '', 'host', EMPTY_SHA256].join('\n');
  const hashed = createHash('sha256').update(canonical).digest('hex');
  const toSign = ['AWS4-HMAC-SHA256', timestamp, scope.join('/'), hashed].join('\n');
  return new Secret(`${host}:${port}/?${query}&X-Amz-Signature=${signature(secretAccessKey, scope, toSign)}`);
}

function signature(secretAccessKey: Secret, scope: readonly string[], toSign: string): string {
  const seed = secretAccessKey.expose((bytes) => Buffer.concat([Buffer.from('AWS4'), bytes]));
  const keys = [seed];
  for (const part of scope) keys.push(createHmac('sha256', keys.at(-1)!).update(part).digest());
  const signed = createHmac('sha256', keys.at(-1)!).update(toSign).digest('hex');
  for (const key of keys) key.fill(0);
  return signed;
}

/** RFC 3986 section 2.3: everything but unreserved characters. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
