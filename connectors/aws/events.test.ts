import { hash } from 'node:crypto';
import type { ChangedBody, RequestHead } from 'secretless-sidecar/connector';
import { credentialsOf, requestHead } from 'secretless-sidecar/connector/testing';
import { expect, test } from 'vitest';
import { decodeFrame, encodeFrame } from './body/event-stream.ts';
import { WELL_KNOWN_KEY } from './config.ts';
import { aws } from './index.ts';
import { readAuthentication, type V4Authentication } from './sign/authentication.ts';
import { dateHeader, daysOfEvents, EventChain } from './sign/event-chain.ts';
import { SigningKey } from './sign/key.ts';
import {
  agentSigns,
  agentSigns4a,
  begin,
  codeOf,
  LOCAL,
  NOW,
  REAL,
  scopeOf,
  send,
  verified,
} from './testdata/agent.ts';
import { presignTarget } from './testdata/presign.ts';

const EVENTS = 'STREAMING-AWS4-HMAC-SHA256-EVENTS';
const HOST = 'transcribestreaming.eu-west-1.amazonaws.com';
const scope = scopeOf('transcribe');
const inner = encodeFrame([], Buffer.from('audio'));

function upload(headers: Record<string, string> = {}): RequestHead {
  return requestHead('POST', '/stream-transcription', { Host: HOST, ...headers });
}

const origin = { scheme: 'https', host: HOST, port: 443 } as const;
const through = { origin, bound: true };

function chainOf(secret: string, { time, signature }: V4Authentication): EventChain {
  const keys = daysOfEvents(time).map((date) => SigningKey.derive(Buffer.from(secret), { ...scope, date }));
  return new EventChain(keys, signature);
}

function frameOf(chain: EventChain, time: Date, payload: Buffer): Buffer {
  const signature = Buffer.from(chain.sign(time, hash('sha256', payload, 'hex'))!, 'hex');
  const date = { name: ':date', type: 8, value: dateHeader(time).subarray(7) };
  return encodeFrame([date, { name: ':chunk-signature', type: 6, value: signature }], payload);
}

function agents(head: RequestHead): Buffer[] {
  const chain = chainOf(WELL_KNOWN_KEY.secretAccessKey, readAuthentication(head) as V4Authentication);
  return [inner, Buffer.alloc(0)].map((payload) => frameOf(chain, NOW, payload));
}

async function passed(body: ChangedBody | undefined, frames: readonly Buffer[]): Promise<Buffer[]> {
  async function* source(): AsyncGenerator<Buffer> {
    yield* frames;
  }
  const out: Buffer[] = [];
  for await (const frame of body!.transform(source())) out.push(Buffer.from(frame));
  return out;
}

/** Fails unless the holder of the real secret signed each, after the head that is sent. */
function proven(head: RequestHead, frames: readonly Buffer[]): Buffer[] {
  const chain = chainOf(REAL.secretAccessKey, verified(head, origin));
  return frames.map((frame) => {
    const { headers, payload } = decodeFrame(frame);
    const time = new Date(Number(headers[0]!.value.readBigInt64BE()));
    expect(frameOf(chain, time, payload).equals(frame)).toBe(true);
    return Buffer.from(payload);
  });
}

test('the events of an upload are signed anew after its head', async () => {
  const head = agentSigns(upload(), { scope, payloadHash: EVENTS });
  const sent = await send(begin(head, {}, through));
  expect(sent.head.headers).toContain(EVENTS);
  expect(sent.body).toMatchObject({ bytes: undefined });
  expect(proven(sent.head, await passed(sent.body, agents(head)))).toEqual([inner, Buffer.alloc(0)]);
});

test('an endpoint leads them to their service, of those that sign with its name', () => {
  const head = requestHead('POST', '/_aws/transcribestreaming/stream-transcription', { Host: LOCAL });
  const begun = begin(agentSigns(head, { scope, payloadHash: EVENTS }));
  expect([begun.origin.host, begun.head.target]).toEqual([HOST, '/stream-transcription']);
});

test('a length that is announced stays', async () => {
  const head = agentSigns(upload({ 'content-length': '187' }), { scope, payloadHash: EVENTS });
  expect((await send(begin(head, {}, through))).body).toMatchObject({ bytes: 187 });
});

test('an upload keeps the credentials of its head after these are gone', async () => {
  const service = aws.open({});
  const head = agentSigns(upload(), { scope, payloadHash: EVENTS });
  const begun = service.begin!({ head, basePath: '', now: NOW, ...through });
  const headers = begun.head.headers.filter((_, at, all) => all[at - (at % 2)]!.toLowerCase() !== 'host');
  const credentials = credentialsOf(REAL);
  const sent = await begun.authenticate({ ...begun.head, headers }, credentials, { origin, now: NOW, version: 'v1' });
  service.close!();
  expect(proven(sent.head, await passed(sent.body, agents(head)))).toHaveLength(2);
});

test('what the agent did not sign ends the body before it is out', async () => {
  const head = agentSigns(upload(), { scope, payloadHash: EVENTS });
  const forged = { ...(readAuthentication(head) as V4Authentication), signature: 'b'.repeat(64) };
  const chain = chainOf(WELL_KNOWN_KEY.secretAccessKey, forged);
  const { body } = await send(begin(head, {}, through));
  const frames = [inner, Buffer.alloc(0)].map((payload) => frameOf(chain, NOW, payload));
  await expect(passed(body, frames)).rejects.toMatchObject({
    code: 'body-malformed',
    detail: expect.stringContaining('signature') as string,
  });
});

test('events of somebody unknown are signed where the configuration says so', async () => {
  const key = { accessKeyId: 'AKIASOMEBODYELSE', secretAccessKey: 'a-secret-of-theirs' };
  const head = agentSigns(upload(), { scope, payloadHash: EVENTS, key });
  expect(codeOf(() => begin(head, {}, through))).toBe('foreign-credential');
  const sent = await send(begin(head, { foreign: 'sign' }, through));
  const chain = chainOf(key.secretAccessKey, readAuthentication(head) as V4Authentication);
  const frames = [inner, Buffer.alloc(0)].map((payload) => frameOf(chain, NOW, payload));
  expect(proven(sent.head, await passed(sent.body, frames))).toEqual([inner, Buffer.alloc(0)]);
});

test('a seed that is no signature by header with an HMAC key is refused', () => {
  const set = agentSigns4a(upload(), 'transcribe', { payloadHash: EVENTS, regionSet: '*' });
  const config = { region: 'eu-west-1' };
  expect(codeOf(() => begin(set, config, through))).toBe('payload-unsupported');
  expect(codeOf(() => begin(set, {}, through))).toBe('payload-unsupported');
  const signer = SigningKey.derive(Buffer.from(WELL_KNOWN_KEY.secretAccessKey), scope);
  const { accessKeyId } = WELL_KNOWN_KEY;
  const head = upload({ 'x-amz-content-sha256': EVENTS });
  const target = presignTarget(head, { signer, accessKeyId, time: NOW, expiresSeconds: 300, payloadHash: EVENTS });
  expect(codeOf(() => begin({ ...head, target }, config, through))).toBe('payload-unsupported');
});
