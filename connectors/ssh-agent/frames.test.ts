import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { strings, uint32, WireError } from 'secretless-sidecar/connector/ssh';
import { messagesOf } from './frames.ts';
import { MESSAGE_BYTES_MAX } from './messages.ts';
import {
  answersTo,
  bindRequest,
  keyPair,
  loginBytes,
  signRequest,
  sshsigBytes,
  TestHolder,
} from './testdata/agent-kit.ts';

const SEED = Number(process.env['SECRETLESS_FUZZ_SEED'] ?? 20_261_122);
const MUTATIONS = 100_000;

async function* stream(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

async function collected(chunks: Iterable<Uint8Array>): Promise<Buffer[]> {
  const messages: Buffer[] = [];
  for await (const message of messagesOf(stream(chunks))) messages.push(message);
  return messages;
}

function bytewise(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (byte) => Buffer.of(byte));
}

test('messages are the same however the stream is cut', async () => {
  const messages = [1, 2, 5, 300, 4000].map((size) => randomBytes(size));
  const bytes = strings(...messages);
  expect(await collected([bytes])).toEqual(messages);
  expect(await collected(bytewise(bytes))).toEqual(messages);
  for (let cut = 0; cut <= 320; cut += 1) {
    expect(await collected([bytes.subarray(0, cut), Buffer.alloc(0), bytes.subarray(cut)])).toEqual(messages);
  }
});

test('a message stays what it was when the next one has come', async () => {
  const iterator = messagesOf(stream([strings('first', 'sec'), Buffer.concat([strings('third')])]));
  const { value: first } = await iterator.next();
  const { value: second } = await iterator.next();
  await iterator.next();
  expect([first?.toString(), second?.toString()]).toEqual(['first', 'sec']);
});

test('the largest message passes, and one byte more is refused at its length', async () => {
  const largest = randomBytes(MESSAGE_BYTES_MAX);
  expect(await collected([strings(largest)])).toEqual([largest]);
  for (const length of [0, MESSAGE_BYTES_MAX + 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
    const refused = `a message of ${length} bytes`;
    await expect(collected([uint32(length)])).rejects.toThrow(refused);
    await expect(collected(bytewise(uint32(length)))).rejects.toThrow(refused);
  }
});

test('whoever waits hears each time whether a message has begun', async () => {
  const heard: boolean[] = [];
  const [one, two] = [strings('one'), strings('two')];
  const chunks = [one.subarray(0, 2), Buffer.concat([one.subarray(2), two.subarray(0, 5)]), two.subarray(5)];
  for await (const message of messagesOf(stream(chunks), (isInside) => heard.push(isInside)))
    expect(message).toHaveLength(3);
  expect(heard).toEqual([false, true, true, false]);
});

test('a length takes no memory before its bytes are there', async () => {
  const waiting: AsyncGenerator<Buffer, void>[] = [];
  const before = process.memoryUsage().arrayBuffers;
  for (let client = 0; client < 2000; client += 1) {
    const messages = messagesOf(
      (async function* () {
        yield uint32(MESSAGE_BYTES_MAX);
        await new Promise(() => undefined);
      })(),
    );
    void messages.next();
    waiting.push(messages);
  }
  await new Promise(setImmediate);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * 1024 * 1024);
  expect(waiting).toHaveLength(2000);
});

test('a stream that ends inside a message is an error, and between two it is not', async () => {
  const bytes = strings('one', 'two');
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const isWhole = cut === 0 || cut === 7 || cut === bytes.length;
    const ending = collected([bytes.subarray(0, cut)]);
    if (isWhole) await ending;
    else await expect(ending).rejects.toThrow(WireError);
  }
});

test('a client of single bytes is answered as any other', async () => {
  const holder = new TestHolder().add(keyPair());
  const answers: Buffer[] = [];
  const questions = bytewise(strings(Buffer.of(11), Buffer.of(19), Buffer.of(11)));
  for await (const answer of answersTo(stream(questions), holder)) answers.push(answer);
  expect(answers.map((answer) => answer[4])).toEqual([12, 5, 12]);
});

test('a client that takes no answers is not read from', async () => {
  let read = 0;
  const questions = (function* () {
    for (;;) {
      read += 1;
      yield strings(Buffer.of(11));
    }
  })();
  const answers = answersTo(stream(questions), new TestHolder());
  await answers.next();
  await new Promise((done) => setTimeout(done, 20));
  expect(read).toBe(1);
  await answers.return();
});

/** A generator of numbers that a seed names (mulberry32). */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % sides;
  };
}

function mutated(message: Buffer, roll: (sides: number) => number): Buffer {
  let bytes = Buffer.from(message);
  for (let change = roll(3); change >= 0; change -= 1) {
    const at = roll(bytes.length);
    const kind = roll(5);
    if (kind === 0) bytes[at]! ^= 1 << roll(8);
    else if (kind === 1) bytes[at] = [0, 1, 0x7f, 0x80, 0xff][roll(5)]!;
    else if (kind === 2 && at > 0) bytes = bytes.subarray(0, at);
    else if (kind === 3) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(roll(bytes.length))]);
    else if (at + 4 <= bytes.length) bytes.writeUInt32BE([0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff][roll(5)]!, at);
    if (bytes.length === 0) bytes = Buffer.of(roll(256));
  }
  return bytes;
}

test(`${MUTATIONS} mutated messages crash nothing, and nothing is signed but a login or an SSHSIG of the key`, async () => {
  const roll = dice(SEED);
  const [key, rsa, host] = [keyPair(), keyPair('rsa'), keyPair()];
  const sessionId = randomBytes(32);
  const blob = key.publicBlob;
  const originals = [
    Buffer.of(11),
    await bindRequest(host, sessionId),
    await bindRequest(host, sessionId, true),
    signRequest(blob, loginBytes({ sessionId, blob })),
    signRequest(blob, loginBytes({ sessionId, blob, hostKey: host.publicBlob })),
    signRequest(rsa.publicBlob, loginBytes({ sessionId, blob: rsa.publicBlob, algorithm: 'rsa-sha2-512' }), 4),
    signRequest(blob, sshsigBytes('git', randomBytes(64))),
  ];
  let [asked, signed] = [0, 0];
  const problems: string[] = [];
  const holder = new TestHolder().add(key).add(rsa);
  // What is signed is looked at and not signed: a signature for each would take minutes.
  holder.sign = async ({ blob, bytes, algorithm, signing }) => {
    if (!holder.keys.some(({ identity }) => identity.blob.equals(blob))) throw new Error('another key');
    signed += 1;
    const isLogin = signing.kind === 'login' && bytes.includes('ssh-connection');
    const isDocument = signing.kind === 'document' && bytes.subarray(0, 6).toString() === 'SSHSIG';
    if (!isLogin && !isDocument) problems.push('something else was to be signed');
    if (!['ssh-ed25519', 'rsa-sha2-512', 'rsa-sha2-256'].includes(algorithm)) problems.push(algorithm);
    return Buffer.from('signature');
  };
  while (asked < MUTATIONS) {
    const messages = Array.from({ length: 5 }, () => {
      const original = originals[roll(originals.length)]!;
      return roll(6) === 0 ? original : mutated(original, roll);
    });
    asked += messages.length;
    const answers: Buffer[] = [];
    for await (const answer of answersTo(stream([strings(...messages)]), holder)) answers.push(answer);
    if (answers.length !== messages.length) throw new Error(`SECRETLESS_FUZZ_SEED=${SEED}: an answer is missing`);
    for (const answer of answers) {
      if (answer.readUInt32BE() !== answer.length - 4 || ![5, 6, 12, 14, 28].includes(answer[4]!)) {
        throw new Error(`SECRETLESS_FUZZ_SEED=${SEED}: an answer that is none`);
      }
    }
  }
  // Enough of it got through to say anything.
  expect(signed).toBeGreaterThan(1000);
  expect({ seed: SEED, problems }).toEqual({ seed: SEED, problems: [] });
}, 120_000);

test('mutated framing ends in an error of ours, or in answers', async () => {
  const roll = dice(SEED + 1);
  const holder = new TestHolder().add(keyPair());
  const bytes = strings(Buffer.of(11), signRequest(randomBytes(51), randomBytes(90)), Buffer.of(17));
  let errors = 0;
  for (let round = 0; round < 20_000; round += 1) {
    try {
      for await (const answer of answersTo(stream([mutated(bytes, roll)]), holder))
        expect(answer.length).toBeGreaterThan(4);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      errors += 1;
    }
  }
  expect(errors).toBeGreaterThan(1000);
}, 60_000);
