import { createHmac } from 'node:crypto';
import { askRaw, type RawAnswer } from './ask.ts';
import { canonicalRequest, sha256Hex } from './canonical-form.ts';
import { openChecksum } from './checksum.ts';
import type { Door } from './door.ts';
import { cutAt } from './received-head.ts';

/** A client that signs whatever it is told to, as clients do that are not made with an SDK. */

export interface RawRequest {
  readonly method: string;
  /** As it goes over the wire. */
  readonly target: string;
  /** Signed, in the order given; one byte a character. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** `x-amz-content-sha256`; default the hash of `body`. */
  readonly payload?: string;
  readonly body?: string | Uint8Array;
  /** Header lines that are sent and not signed. */
  readonly loose?: readonly string[];
}

export interface RawSigned {
  readonly lines: readonly string[];
  readonly signature: string;
  /** Signs a text with the key of the request. */
  readonly sign: (text: string) => string;
  readonly timestamp: string;
  readonly scope: string;
}

export function signRaw(door: Door, { method, target, headers = [], payload, body = '' }: RawRequest): RawSigned {
  const timestamp = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const day = timestamp.slice(0, 8);
  const scope = `${day}/${door.region}/s3/aws4_request`;
  const { accessKeyId, secretAccessKey, sessionToken } = door.credentials;
  const hash = payload ?? sha256Hex(body);
  const lines: (readonly [string, string])[] = [
    ['host', new URL(door.endpoints.s3).host],
    ['x-amz-content-sha256', hash],
    ['x-amz-date', timestamp],
    ...(sessionToken === undefined ? [] : [['x-amz-security-token', sessionToken] as const]),
    ...headers,
  ];
  const [path, query = ''] = cutAt(target, '?');
  const names = lines.map(([name]) => name).sort();
  const canonical = canonicalRequest({ method, path, query, lines }, 's3', names, hash);
  const hmac = (key: string | Uint8Array, text: string): Buffer => createHmac('sha256', key).update(text).digest();
  const key = [day, door.region, 's3', 'aws4_request'].reduce<string | Uint8Array>(hmac, `AWS4${secretAccessKey}`);
  const sign = (text: string): string => hmac(key, text).toString('hex');
  const signature = sign(['AWS4-HMAC-SHA256', timestamp, scope, sha256Hex(canonical)].join('\n'));
  const authorization = `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope},SignedHeaders=${names.join(';')},Signature=${signature}`;
  return { lines: [...lines.flat(), 'authorization', authorization], signature, sign, timestamp, scope };
}

export function askSigned(door: Door, request: RawRequest): Promise<RawAnswer> {
  const { lines } = signRaw(door, request);
  const { method, target, body = '', loose = [] } = request;
  const length = ['content-length', String(body.length)];
  return askRaw(portOf(door), method, target, [...lines, ...loose, ...length], body);
}

function portOf(door: Door): number {
  return Number(new URL(door.endpoints.s3).port);
}

export interface ChunkedPut {
  readonly key: string;
  readonly body: Buffer;
  readonly chunkBytes: number;
  /** `crc32`: sent behind the body, signed. */
  readonly checksum?: string;
  /** Changes the text of the body before it is sent. */
  readonly spoil?: (framed: Buffer) => Buffer;
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** True: what stands behind the data is sent when all of the data has gone upstream. */
  readonly lateEnd?: boolean;
  /** True: sent in HTTP chunks, without a length. */
  readonly withoutLength?: boolean;
}

/** PUT in signed chunks, as older SDKs do it (`STREAMING-AWS4-HMAC-SHA256-PAYLOAD`). */
export function putChunked(door: Door, { key, body, chunkBytes, checksum, ...more }: ChunkedPut): Promise<RawAnswer> {
  const trailer = checksum === undefined ? undefined : `x-amz-checksum-${checksum}`;
  const request: RawRequest = {
    method: 'PUT',
    target: `/${door.bucket}/${key}`,
    payload: `STREAMING-AWS4-HMAC-SHA256-PAYLOAD${trailer === undefined ? '' : '-TRAILER'}`,
    headers: [
      ['content-encoding', 'aws-chunked'],
      ['x-amz-decoded-content-length', String(body.length)],
      ...(trailer === undefined ? [] : [['x-amz-trailer', trailer] as const]),
      ...(more.headers ?? []),
    ],
  };
  const signed = signRaw(door, request);
  const framed = frame(signed, body, chunkBytes, trailer);
  const sent = more.spoil?.(framed) ?? framed;
  const end = sent.lastIndexOf('\r\n0;chunk-signature=') + 2;
  const cut = more.lateEnd === true ? end : sent.length;
  const pieces = [sent.subarray(0, cut), sent.subarray(cut)].filter((piece) => piece.length > 0);
  const length = more.withoutLength === true ? ['transfer-encoding', 'chunked'] : ['content-length', `${sent.length}`];
  return askRaw(portOf(door), 'PUT', request.target, [...signed.lines, ...length], pieces);
}

function frame(signed: RawSigned, body: Buffer, chunkBytes: number, trailer: string | undefined): Buffer {
  const { timestamp, scope, sign } = signed;
  const pieces: Buffer[] = [];
  let previous = signed.signature;
  for (let at = 0; at <= body.length; at += chunkBytes) {
    const data = body.subarray(at, at + chunkBytes);
    if (data.length === 0) break;
    pieces.push(...chunk(data));
  }
  pieces.push(...chunk(Buffer.alloc(0)).slice(0, 1));
  if (trailer !== undefined) {
    const checksum = openChecksum(trailer.slice('x-amz-checksum-'.length))!;
    checksum.update(body);
    const line = `${trailer}:${checksum.digest()}`;
    const signature = sign(['AWS4-HMAC-SHA256-TRAILER', timestamp, scope, previous, sha256Hex(`${line}\n`)].join('\n'));
    pieces.push(Buffer.from(`${line}\r\nx-amz-trailer-signature:${signature}\r\n`));
  }
  return Buffer.concat([...pieces, Buffer.from('\r\n')]);

  function chunk(data: Buffer): Buffer[] {
    const text = ['AWS4-HMAC-SHA256-PAYLOAD', timestamp, scope, previous, sha256Hex(''), sha256Hex(data)].join('\n');
    previous = sign(text);
    return [Buffer.from(`${data.length.toString(16)};chunk-signature=${previous}\r\n`), data, Buffer.from('\r\n')];
  }
}
