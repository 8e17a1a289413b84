import { timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { medianCallMs } from './aws-agent.ts';
import { sha256, signatureOf, type AwsKey } from './aws-signature.ts';
import type { Seen } from './upstream.ts';

/** As much of AWS as the demo needs: an object store and a table, which take nothing that is not signed. */
export interface AwsUpstream {
  readonly port: number;
  readonly seen: readonly Seen[];
  /** Median of a call with the real key and without the sidecar, in milliseconds. */
  readonly directMs: number;
  close(): void;
}

const BODY_BYTES_MAX = 64 * 1024;
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 Credential=([^/, ]+)\/(\d{8})\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})$/;
/** AWS refuses a clock that is further off. */
const SKEW_MS_MAX = 900_000;

/** Signatures in a header only, over bodies with a hash: what the demo's agent sends. */
export async function openAwsUpstream(key: AwsKey): Promise<AwsUpstream> {
  const seen: Seen[] = [];
  const objects = new Map<string, Buffer>();
  const server = createServer((request, response) => {
    void bodyOf(request).then((body) => {
      const signed = body === undefined ? undefined : verified(request, body, key);
      const row = request.headers['x-demo'] ?? request.headers['x-amz-meta-demo'];
      if (row !== undefined) {
        const credential = signed === undefined ? 'none' : `SigV4 of the real key (${signed.service})`;
        seen.push({ row: String(row), method: request.method!, path: request.url!, credential });
      }
      if (signed === undefined) response.writeHead(403, { 'content-type': 'text/plain' }).end('not your signature\n');
      else if (signed.service === 's3') answerStore(objects, request, body!, response);
      else answerTable(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  return { port, seen, directMs: await medianCallMs(`http://127.0.0.1:${port}`, key), close };
}

/** Undefined for one that is too long or cut. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of request as AsyncIterable<Buffer>) {
      bytes += part.length;
      if (bytes > BODY_BYTES_MAX) return undefined;
      parts.push(part);
    }
  } catch {
    return undefined;
  }
  return Buffer.concat(parts);
}

/** The service that a request is signed for; undefined where the signature is not that of the real key. */
function verified(request: IncomingMessage, body: Buffer, key: AwsKey): { readonly service: string } | undefined {
  const found = AUTHORIZATION.exec(request.headers.authorization ?? '');
  if (found === null) return undefined;
  const [, accessKeyId, day, region, service, names, signature] = found as unknown as string[];
  const amzDate = String(request.headers['x-amz-date']);
  const payloadHash = sha256(body);
  const announced = request.headers['x-amz-content-sha256'];
  if (accessKeyId !== key.accessKeyId || !amzDate.startsWith(`${day}T`) || !isNow(amzDate)) return undefined;
  // S3 insists on the hash of the body; the others take it out of the signature alone.
  if (announced === undefined ? service === 's3' : announced !== payloadHash) return undefined;
  const signedNames = names!.split(';');
  if (!coversAll(request, signedNames)) return undefined;
  const fields = signedNames.map((name) => [name, String(request.headers[name] ?? '')] as const);
  const parts = { method: request.method!, target: request.url!, fields, payloadHash, amzDate };
  const right = signatureOf({ ...parts, region: region!, service: service! }, key.secretAccessKey);
  if (!timingSafeEqual(Buffer.from(signature!), Buffer.from(right))) return undefined;
  return { service: service! };
}

/** The host and every field of AWS must be under the signature. */
function coversAll({ headers }: IncomingMessage, signedNames: readonly string[]): boolean {
  return Object.keys(headers).every(
    (name) => (name !== 'host' && !name.startsWith('x-amz-')) || signedNames.includes(name),
  );
}

function isNow(amzDate: string): boolean {
  const iso = amzDate.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z');
  return Math.abs(Date.parse(iso) - Date.now()) <= SKEW_MS_MAX;
}

function answerStore(
  objects: Map<string, Buffer>,
  { method, url }: IncomingMessage,
  body: Buffer,
  response: ServerResponse,
): void {
  const [path = ''] = url!.split('?');
  if (method === 'PUT') {
    objects.set(path, body);
    response.writeHead(200, { etag: '"demo"' }).end();
    return;
  }
  const object = objects.get(path);
  if (object === undefined) response.writeHead(404).end();
  else response.writeHead(200, { 'content-type': 'text/plain', 'content-length': object.length }).end(object);
}

function answerTable({ headers }: IncomingMessage, response: ServerResponse): void {
  const known = headers['x-amz-target'] === 'DynamoDB_20120810.PutItem';
  response.writeHead(known ? 200 : 400, { 'content-type': 'application/x-amz-json-1.0' }).end('{}');
}
