import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { uploadHttp2, type EventUpload } from './aws-event-agent.ts';
import { over, pingPong, rest, setStage, upload, WORDS } from './aws-event-stage.ts';
import { openSession } from './http2-kit.ts';
import { eventually } from './rig.ts';

/** How uploads in event streams end before their last frame, whoever ends them. */

type Fault = (agent: EventUpload) => Promise<void>;

const WHOLE_MS = 24 * 3_600_000;
const FAULTS: readonly (readonly [string, Fault])[] = [
  [
    'a wrong signature',
    async (agent) => {
      const frame = await agent.frame(WORDS[2]!);
      const other = Buffer.from(frame);
      // The signature, and both checksums right.
      other[60]! ^= 1;
      agent.write(withChecksum(other));
    },
  ],
  [
    'another payload under its signature',
    async (agent) => {
      const frame = await agent.frame(WORDS[2]!);
      frame[frame.length - 6]! ^= 1;
      agent.write(withChecksum(frame));
    },
  ],
  [
    'a wrong checksum',
    async (agent) => {
      const frame = await agent.frame(WORDS[2]!);
      frame[frame.length - 1]! ^= 1;
      agent.write(frame);
    },
  ],
  ['a length beyond all frames', async (agent) => agent.write(prelude(25 * 1024 * 1024, 67))],
  ['a length that is shorter than its headers', async (agent) => agent.write(prelude(70, 67))],
  ['a frame without a signature', async (agent) => agent.write(WORDS[2]!)],
  ['a date of tomorrow, signed', async (agent) => agent.send(WORDS[2]!, new Date(Date.now() + WHOLE_MS))],
  ['a date of an hour ago, signed', async (agent) => agent.send(WORDS[2]!, new Date(Date.now() - 3_600_000))],
  ['the end, without the empty frame', async (agent) => agent.stop()],
  [
    'the end in the middle of a frame',
    async (agent) => {
      agent.write((await agent.frame(WORDS[2]!)).subarray(0, 50));
      agent.stop();
    },
  ],
  [
    'an event after the empty one',
    async (agent) => {
      agent.write(await agent.frame(new Uint8Array()));
      await agent.send(WORDS[2]!);
    },
  ],
];

test.each(FAULTS)('%s cuts the upload, and no further frame goes out', async (_, fault) => {
  const stage = await setStage();
  const agent = await upload(stage);
  await pingPong(agent, WORDS.slice(0, 2));
  await fault(agent);
  await expect(rest(agent)).rejects.toThrow();
  const seen = await over(stage);
  expect(seen.end).not.toBe('whole');
  expect(seen.events).toEqual(WORDS.slice(0, 2));
  const ended = (): unknown => stage.rig.events('exchange.ended')[0];
  await eventually(() => ended() !== undefined);
  expect(ended()).toMatchObject({ result: 'error', reason: 'body-malformed', status: 200 });
});

test.each(FAULTS)('%s is told in the dialect of the service where nothing was answered yet', async (_, fault) => {
  const stage = await setStage({ late: true });
  const agent = await upload(stage);
  await fault(agent);
  const { status, headers } = await agent.answered;
  expect([status, headers['x-secretless-error']]).toEqual([400, 'body-malformed']);
  expect(headers['x-amzn-errortype']).toBe('ValidationException');
  expect(JSON.parse(await agent.text())).toMatchObject({ __type: 'ValidationException' });
  await eventually(() => stage.server.uploads.every(({ end }) => end !== 'running'));
  expect(stage.server.uploads.flatMap(({ events }) => events)).toEqual([]);
});

test('an agent that goes away cuts the upload', async () => {
  const stage = await setStage();
  const agent = await upload(stage);
  await pingPong(agent, WORDS);
  agent.destroy();
  expect((await over(stage)).end).not.toBe('whole');
  expect(stage.server.uploads[0]!.events).toEqual(WORDS);
});

test('a service that resets the stream in the middle cuts the answer, and the next upload goes well', async () => {
  const stage = await setStage({
    answer: (one, response, { events }) => {
      if (events.length < 2) response.write(one);
      else response.destroy();
    },
  });
  const session = openSession(stage.port);
  const agent = await uploadHttp2(session, stage);
  await pingPong(agent, WORDS.slice(0, 1));
  await agent.send(WORDS[1]!);
  await expect(rest(agent)).rejects.toThrow();
  const second = await uploadHttp2(session, stage);
  await pingPong(second, WORDS.slice(0, 1));
  second.destroy();
});

test('a service that ends its answer first ends the upload', async () => {
  const stage = await setStage({
    answer: (one, response) => {
      response.end(one);
    },
  });
  const agent = await upload(stage);
  await agent.send(WORDS[0]!);
  expect(await rest(agent)).toEqual(WORDS.slice(0, 1));
});

function prelude(length: number, headers: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32BE(length, 0);
  bytes.writeUInt32BE(headers, 4);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 8)), 8);
  return bytes;
}

function withChecksum(frame: Buffer): Buffer {
  frame.writeUInt32BE(crc32(frame.subarray(0, -4)), frame.length - 4);
  return frame;
}
