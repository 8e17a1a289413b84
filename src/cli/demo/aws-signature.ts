import { createHash, createHmac } from 'node:crypto';

export interface AwsKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** What a signature covers. */
export interface SignedParts {
  readonly method: string;
  /** Path and query, percent-encoded as they are sent. */
  readonly target: string;
  /** Names in lower case, ascending; each with its value. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** Hex SHA-256 of the body. */
  readonly payloadHash: string;
  /** `20260102T030405Z`. */
  readonly amzDate: string;
  readonly region: string;
  readonly service: string;
}

/**
 * The signature as the specification has it (IAM User Guide, "Create a signed AWS API request"), hex, for targets that
 * are in canonical form but for the order of the parameters: all that the demo sends.
 */
export function signatureOf(
  { method, target, fields, payloadHash, amzDate, region, service }: SignedParts,
  secretAccessKey: string,
): string {
  const [path = '', query = ''] = target.split('?');
  const names = fields.map(([name]) => name).join(';');
  const lines = fields.map(([name, value]) => `${name}:${value.trim().replace(/ +/g, ' ')}\n`).join('');
  const parameters = query.split('&').sort().join('&');
  const canonical = [method, path, parameters, lines, names, payloadHash].join('\n');
  const scope = [amzDate.slice(0, 8), region, service, 'aws4_request'];
  const text = ['AWS4-HMAC-SHA256', amzDate, scope.join('/'), sha256(canonical)].join('\n');
  const key = scope.reduce((last: string | Buffer, part) => hmac(last, part), `AWS4${secretAccessKey}`);
  return hmac(key, text).toString('hex');
}

/** Hex. */
export function sha256(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
