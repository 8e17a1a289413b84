import { hash } from 'node:crypto';
import { expect, test } from 'vitest';
import { SignatureChain } from '../sign/chain.ts';
import { SigningKey } from '../sign/key.ts';
import { AwsChunkedReader, decodeAwsChunked, type ReadOptions } from './aws-chunked-reader.ts';
import { encodeAwsChunked } from './aws-chunked-writer.ts';
import { BodyProblem } from './body-problem.ts';

/** More by `FUZZ_RUNS=200000`. */
const RUNS = Number(process.env['FUZZ_RUNS'] ?? 4000);
const DATE = '20260102T030405Z';
const SEED = '5'.repeat(64);
const key = SigningKey.derive(Buffer.from('not the real one'), {
  date: '20260102',
  region: 'eu-west-1',
  service: 's3',
});
const chain = (): SignatureChain => new SignatureChain(key, DATE, SEED);

/** A generator that a failure can be repeated with (Numerical Recipes' constants). */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A body with client chunks of any size, made without the writer under test. */
function body(pick: (below: number) => number, signed: boolean, trailers: readonly string[] | undefined) {
  const signer = chain();
  const payloads = Array.from({ length: pick(5) }, () => Buffer.alloc(1 + pick(300), 97 + pick(26)));
  const frames = [...payloads, Buffer.alloc(0)].map((payload) => {
    const signature = signed ? `;chunk-signature=${signer.extend('PAYLOAD', chunkHashes(payload))}` : '';
    const head = Buffer.from(`${payload.length.toString(16)}${signature}\r\n`);
    return Buffer.concat([head, payload, payload.length > 0 ? Buffer.from('\r\n') : Buffer.alloc(0)]);
  });
  let tail = '';
  for (let at = 0; at < (trailers ?? []).length; at += 2) tail += `${trailers![at]!}:${trailers![at + 1]!}\r\n`;
  if (signed && trailers !== undefined)
    tail += `x-amz-trailer-signature:${signer.extend('TRAILER', trailerHash(trailers))}\r\n`;
  frames.push(Buffer.from(`${tail}\r\n`));
  return { frames, payload: Buffer.concat(payloads) };
}

function mutate(frames: readonly Buffer[], pick: (below: number) => number): Buffer {
  const parts = [...frames];
  if (pick(4) === 0) parts.splice(pick(parts.length), 1);
  if (pick(4) === 0) parts.splice(pick(parts.length), 0, parts[pick(parts.length)] ?? Buffer.alloc(0));
  if (pick(4) === 0) parts.reverse();
  let bytes = Buffer.concat(parts);
  for (let times = pick(4); times > 0 && bytes.length > 0; times -= 1) {
    const at = pick(bytes.length);
    const insert = Buffer.from(['\r\n', '\n', ';', '0', 'f', ':', ' ', '\0', '0\r\n', '\r\n\r\n'][pick(10)]!);
    const cut = pick(3);
    bytes = [
      Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + cut)]),
      Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + pick(90))]),
      bytes.subarray(0, at),
      Buffer.concat([bytes.subarray(0, at), Buffer.from([bytes[at]! ^ (1 << pick(8))]), bytes.subarray(at + 1)]),
    ][pick(4)]!;
  }
  return bytes;
}

/** Runs the reader over the bytes in pieces; the payload, or the code it failed with. */
function read(bytes: Buffer, options: ReadOptions, pick: (below: number) => number): Buffer | string {
  const reader = new AwsChunkedReader(options);
  const slices: Uint8Array[] = [];
  try {
    for (let at = 0; at < bytes.length;) {
      const piece = bytes.subarray(at, at + 1 + pick(120));
      at += piece.length;
      slices.push(...reader.feed(piece));
    }
    reader.end();
    return Buffer.concat(slices);
  } catch (error) {
    if (error instanceof BodyProblem) return error.code;
    throw error;
  } finally {
    reader.close();
  }
}

/** The grammar once more, over the whole body at once, for the unsigned coding without oddities in its trailer. */
function plainly(text: string, decodedLength: number, trailers: readonly string[] | undefined): string | undefined {
  let [rest, payload] = [text, ''];
  for (;;) {
    const [line, digits] = /^([0-9A-Fa-f]{1,16})\r\n/.exec(rest) ?? [];
    if (line === undefined) return undefined;
    const size = Number.parseInt(digits!, 16);
    rest = rest.slice(line.length);
    if (size === 0) break;
    if (rest.length < size + 2 || rest.slice(size, size + 2) !== '\r\n') return undefined;
    payload += rest.slice(0, size);
    rest = rest.slice(size + 2);
  }
  const wanted =
    trailers === undefined
      ? /^\r\n$/
      : /^x-amz-checksum-crc32:[ \t]*[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?[ \t]*\r\n\r\n$/i;
  return wanted.test(rest) && payload.length === decodedLength ? payload : undefined;
}

test('P1: no mutated body is accepted with other bytes than those signed', () => {
  let accepted = 0;
  for (let run = 0; run < RUNS; run += 1) {
    const pick = random(run);
    const trailers = pick(2) === 0 ? undefined : ['x-amz-checksum-crc32', 'AAAAAA=='];
    const { frames, payload } = body(pick, true, trailers);
    const names = trailers === undefined ? {} : { trailers: ['x-amz-checksum-crc32'] };
    const options: ReadOptions = { signatures: 'hmac', decodedLength: payload.length, chain: chain(), ...names };
    const result = read(mutate(frames, pick), options, pick);
    if (typeof result === 'string') continue;
    accepted += 1;
    expect(result.equals(payload), `seed ${run}`).toBe(true);
  }
  expect(accepted).toBeGreaterThan(0);
  expect(accepted).toBeLessThan(RUNS);
});

test('the reader takes exactly the unsigned bodies that the grammar takes', () => {
  for (let run = 0; run < RUNS; run += 1) {
    const pick = random(run + 1_000_000);
    const trailers = pick(2) === 0 ? undefined : ['x-amz-checksum-crc32', 'AAAAAA=='];
    const { frames, payload } = body(pick, false, trailers);
    const names = trailers === undefined ? {} : { trailers: ['x-amz-checksum-crc32'] };
    const bytes = mutate(frames, pick);
    const result = read(bytes, { signatures: 'none', decodedLength: payload.length, ...names }, pick);
    const text = bytes.toString('latin1');
    // A bare newline in the trailer is taken by the reader, as minio-go writes it.
    const oddity = /[^\r]\n|^\n/.test(text);
    const expected = plainly(text, payload.length, trailers);
    const found = typeof result === 'string' ? undefined : result.toString('latin1');
    if (!oddity || expected !== undefined) expect(found, `seed ${run}`).toBe(expected);
  }
});

test('what the writer encodes the reader decodes, whatever the pieces', async () => {
  for (let run = 0; run < Math.min(RUNS / 100, 400); run += 1) {
    const pick = random(run + 2_000_000);
    const payload = Buffer.alloc([0, 1, 65535, 65536, 65537, 131072, pick(300_000)][pick(7)]!, run);
    const pieces = async function* (bytes: Buffer): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length;) {
        const piece = bytes.subarray(at, at + 1 + pick([10, 5000, 100_000][pick(3)]!));
        at += piece.length;
        yield piece;
      }
    };
    const decodedLength = payload.length;
    const encoded: Uint8Array[] = [];
    for await (const part of encodeAwsChunked(pieces(payload), { decodedLength, chain: chain() })) encoded.push(part);
    const reader = new AwsChunkedReader({ signatures: 'hmac', decodedLength, chain: chain() });
    const decoded: Uint8Array[] = [];
    for await (const part of decodeAwsChunked(pieces(Buffer.concat(encoded)), reader)) decoded.push(part);
    expect(Buffer.concat(decoded).equals(payload), `seed ${run}`).toBe(true);
  }
});

function chunkHashes(payload: Uint8Array): string {
  return `${hash('sha256', '', 'hex')}\n${hash('sha256', payload, 'hex')}`;
}

function trailerHash(trailers: readonly string[]): string {
  let text = '';
  for (let at = 0; at < trailers.length; at += 2) text += `${trailers[at]!}:${trailers[at + 1]!}\n`;
  return hash('sha256', text, 'hex');
}
