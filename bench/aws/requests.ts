import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { WELL_KNOWN_KEY } from '../../connectors/aws/config.ts';
import { SigningKey } from '../../connectors/aws/sign/key.ts';
import { signHead, type SignedHead } from '../../connectors/aws/sign/sigv4.ts';
import type { Framing } from './framing.ts';

/** Requests as an SDK sends them, signed with the key that everybody knows. */

export const REGION = 'eu-central-1';
export const BUCKET = 'bench';

/** How a client of DynamoDB tells the hash of its body: as the SDK for JavaScript in a field, or as boto not at all. */
export const CALL_SHAPES = ['hash', 'no-hash'] as const;
export type CallShape = (typeof CALL_SHAPES)[number];

/** What the client announces of a body, and where the sidecar is configured to change it, how. */
export const BODY_MODES = ['hash', 'unsigned', 'trailer', 'trailer-strip', 'chunks', 'chunks-unsigned', 'get'] as const;
export type BodyMode = (typeof BODY_MODES)[number];

const ITEM_BYTES = 1024;

/** A whole PutItem of 1 KiB, as text. */
export function callRequest(port: number, shape: CallShape): string {
  const frame = JSON.stringify({ TableName: 'bench', Item: { id: { S: '1' }, text: { S: '' } } });
  const body = frame.replace('"text":{"S":""}', `"text":{"S":"${'x'.repeat(ITEM_BYTES - frame.length)}"}`);
  const headers = [
    ...['Host', `127.0.0.1:${port}`, 'Content-Type', 'application/x-amz-json-1.0'],
    ...['X-Amz-Target', 'DynamoDB_20120810.PutItem', 'Content-Length', String(body.length)],
    ...['User-Agent', 'aws-sdk-js/3.1162.0 ua/2.1 os/linux lang/js md/nodejs#24.21.0 api/dynamodb#3.1162.0'],
    ...['amz-sdk-invocation-id', '5a1a6bd2-9a5c-4d6f-9a39-2bfb5a9a5d21', 'amz-sdk-request', 'attempt=1; max=3'],
  ];
  const payloadHash = createHash('sha256').update(body).digest('hex');
  const { head } = signed('dynamodb', { method: 'POST', target: '/', headers }, payloadHash, shape === 'hash');
  return `${textOf(head)}\r\n${body}`;
}

/** An upload or a download, as the head of its request without the blank line, and how its body is framed. */
export interface Transfer {
  readonly head: string;
  readonly uploadBytes: number;
  readonly framing: Framing;
}

/** What the bodies are made of. */
export const FILLING = 'x';
/** Of the SDK for Java, which signs chunks; of streams in Node, which come with a checksum behind them. */
const SIGNED_CHUNK_BYTES = 128 * 1024;
const STREAM_CHUNK_BYTES = 64 * 1024;

export function transferOf(port: number, mode: BodyMode, bytes: number): Transfer {
  const target = `/${BUCKET}/object`;
  const host = ['Host', `127.0.0.1:${port}`, 'User-Agent', 'aws-sdk-js/3.1162.0'];
  const put = (payloadHash: string, more: readonly string[] = []): SignedHead =>
    signed('s3', { method: 'PUT', target, headers: [...host, 'Content-Type', 'text/plain', ...more] }, payloadHash);
  const coding = ['Content-Encoding', 'aws-chunked', 'X-Amz-Decoded-Content-Length', String(bytes)];
  const plain = (head: SignedHead): Transfer => ({ head: textOf(head.head), uploadBytes: bytes, framing: 'plain' });
  switch (mode) {
    case 'get': {
      const { head } = signed(
        's3',
        { method: 'GET', target: `${target}?bytes=${bytes}`, headers: host },
        sumOf(0).sha256,
      );
      return { head: textOf(head), uploadBytes: 0, framing: 'none' };
    }
    case 'hash':
      return plain(put(sumOf(bytes).sha256));
    case 'unsigned':
      return plain(put('UNSIGNED-PAYLOAD'));
    case 'trailer':
    case 'trailer-strip': {
      const { head } = put('STREAMING-UNSIGNED-PAYLOAD-TRAILER', [...coding, 'X-Amz-Trailer', 'x-amz-checksum-crc32']);
      const trailer = `x-amz-checksum-crc32:${sumOf(bytes).crc32}\r\n`;
      return { head: textOf(head), uploadBytes: bytes, framing: { chunkBytes: STREAM_CHUNK_BYTES, trailer } };
    }
    case 'chunks':
    case 'chunks-unsigned': {
      const { head, amzDate, signature } = put('STREAMING-AWS4-HMAC-SHA256-PAYLOAD', coding);
      const chain = { amzDate, seed: signature };
      return { head: textOf(head), uploadBytes: bytes, framing: { chunkBytes: SIGNED_CHUNK_BYTES, chain } };
    }
    default:
      return mode satisfies never;
  }
}

/** The key that a client signs with on the day of `amzDate`. */
export function clientKey(service: string, amzDate: string): SigningKey {
  const secret = Buffer.from(WELL_KNOWN_KEY.secretAccessKey);
  return SigningKey.derive(secret, { date: amzDate.slice(0, 8), region: REGION, service });
}

interface Head {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly string[];
}

function signed(service: string, head: Head, payloadHash: string, sendsPayloadHash = true): SignedHead {
  const time = new Date();
  const signer = clientKey(service, time.toISOString().replaceAll('-', ''));
  return signHead(head, { signer, ...WELL_KNOWN_KEY, time, payloadHash, sendsPayloadHash });
}

function textOf({ method, target, headers }: Head): string {
  let text = `${method} ${target} HTTP/1.1\r\n`;
  for (let at = 0; at < headers.length; at += 2) text += `${headers[at]!}: ${headers[at + 1]!}\r\n`;
  return text;
}

interface Sums {
  readonly sha256: string;
  /** Base64, big-endian, as `x-amz-checksum-crc32` has it. */
  readonly crc32: string;
}

const sums = new Map<number, Sums>();
const SUM_BLOCK = Buffer.alloc(1024 * 1024, FILLING);

/** Of so many bytes of the filling; taken once for each length. */
function sumOf(bytes: number): Sums {
  const known = sums.get(bytes);
  if (known !== undefined) return known;
  const hash = createHash('sha256');
  const checksum = Buffer.alloc(4);
  let crc = 0;
  for (let left = bytes; left > 0; left -= SUM_BLOCK.length) {
    const block = SUM_BLOCK.subarray(0, Math.min(left, SUM_BLOCK.length));
    hash.update(block);
    crc = crc32(block, crc);
  }
  checksum.writeUInt32BE(crc);
  const sum = { sha256: hash.digest('hex'), crc32: checksum.toString('base64') };
  sums.set(bytes, sum);
  return sum;
}
