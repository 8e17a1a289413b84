import { connect as connectTcp } from 'node:net';
import { onTestFinished } from 'vitest';
import type { Random } from './smuggling/random.ts';

/** One of the texts, with up to four edits: characters of `alphabet` put in, taken out, doubled, or parts exchanged. */
export function mutatedText(random: Random, seeds: readonly string[], alphabet: readonly string[]): string {
  let text = random.pick(seeds);
  for (let edits = 1 + random.below(4); edits > 0; edits -= 1) {
    const at = random.below(text.length + 1);
    const to = at + random.below(4);
    switch (random.below(5)) {
      case 0:
        text = text.slice(0, at) + random.pick(alphabet) + text.slice(at);
        break;
      case 1:
        text = text.slice(0, at) + text.slice(to);
        break;
      case 2:
        text = text.slice(0, at) + random.pick(alphabet) + text.slice(at + 1);
        break;
      case 3:
        text = text.slice(0, to) + text.slice(at);
        break;
      default:
        text = text.slice(0, at) + random.pick(seeds).slice(random.below(8));
    }
  }
  return text;
}

const EDGES = [0, 1, 2, 3, 22, 127, 128, 254, 255];

/** The bytes with up to six edits, which know nothing of what they mean. */
export function mutatedBytes(random: Random, seed: Buffer): Buffer {
  let bytes = Buffer.from(seed);
  for (let edits = 1 + random.below(6); edits > 0; edits -= 1) {
    const at = random.below(bytes.length);
    const to = Math.min(bytes.length, at + 1 + random.below(16));
    switch (random.below(5)) {
      case 0:
        bytes[at] = random.pick(EDGES);
        break;
      case 1:
        bytes[at] = bytes[at]! ^ (1 << random.below(8));
        break;
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)]);
        break;
      default:
        bytes = bytes.subarray(0, Math.max(1, at));
    }
  }
  return bytes;
}

/**
 * Writes, in two parts where there is a `cut`, and reads until the other side has closed. Ends at once, or `endMs` later;
 * sooner where `enough` came.
 */
export function throwAt(
  port: number,
  bytes: Buffer,
  cut: number | undefined,
  endMs = 0,
  enough = '\0',
): Promise<Buffer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connectTcp(port, '127.0.0.1', () => {
      const end = (last: Buffer): void => {
        if (endMs === 0) socket.end(last);
        else socket.write(last, () => setTimeout(() => socket.end(), endMs));
      };
      if (cut === undefined) end(bytes);
      else {
        socket.write(bytes.subarray(0, cut));
        setImmediate(() => end(bytes.subarray(cut)));
      }
    });
    socket.setNoDelay(true);
    socket
      .on('error', () => undefined)
      .on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        if (endMs > 0 && chunk.includes(enough)) socket.end();
      });
    // What is left open for a moment after a refusal is not waited for.
    socket.once('end', () => socket.destroy());
    socket.setTimeout(8_000, () => socket.destroy(new Error('hung')));
    socket.once('close', () => resolve(Buffer.concat(chunks)));
  });
}

/** Runs `count` times `one`, so many at a time. */
export async function inParallel(count: number, width: number, one: (at: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (next < count) await one(next++);
    }),
  );
}

/** Failures that nobody waited for, until the end of the test. */
export function watchStrays(): readonly unknown[] {
  const strays: unknown[] = [];
  const note = (reason: unknown): void => void strays.push(reason);
  process.on('unhandledRejection', note).on('uncaughtException', note);
  onTestFinished(() => void process.off('unhandledRejection', note).off('uncaughtException', note));
  return strays;
}
