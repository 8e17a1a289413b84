import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { Readable } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { SidecarError } from '../error.ts';
import { HeldBudget, hold, NOTHING_SHA256, refuseToHold, type HeldBody, type HoldOptions } from './held-body.ts';

const KIB = 1024;
const MIB = KIB * KIB;

function sha256(...parts: Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

async function contentOf(held: HeldBody): Promise<Buffer> {
  const body = held.open();
  if (body === undefined) return Buffer.alloc(0);
  if (body instanceof Uint8Array) return Buffer.from(body);
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Open descriptors of this process whose file has no name any more, as links to `/proc` show them. */
function unnamed(): string[] {
  return readdirSync('/proc/self/fd').flatMap((each) => {
    try {
      const link = readlinkSync(`/proc/self/fd/${each}`);
      return link.includes('secretless-') && link.endsWith(' (deleted)') ? [each] : [];
    } catch {
      return [];
    }
  });
}

async function closed(): Promise<void> {
  for (let round = 0; round < 200 && unnamed().length > 0; round += 1) await new Promise((done) => setTimeout(done, 5));
  expect(unnamed()).toEqual([]);
}

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => undefined,
    (thrown: unknown) => (thrown instanceof SidecarError ? thrown.code : String(thrown)),
  );
}

const linux = process.platform === 'linux';
const IN_MEMORY: HoldOptions = { memory: MIB, disk: 0 };

describe('in memory', () => {
  test.each([0, 1, 64 * KIB, 64 * KIB + 1, 300 * KIB])(
    '%i bytes are held, hashed and can be sent twice',
    async (bytes) => {
      const budget = new HeldBudget(MIB);
      const content = randomBytes(bytes);
      const held = await hold(Readable.from([content]), { ...IN_MEMORY, budget });
      expect([held.bytes, held.sha256]).toEqual([bytes, sha256(content)]);
      for (let round = 0; round < 2; round += 1) expect((await contentOf(held)).equals(content)).toBe(true);
      held.release();
      held.release();
      expect(budget.freeBytes).toBe(MIB);
    },
  );

  test('a body in chunks of one byte takes no more memory than its bytes', async () => {
    const budget = new HeldBudget(MIB);
    const content = randomBytes(100 * KIB);
    const held = await hold(Readable.from([...content].map((byte) => Buffer.of(byte))), { ...IN_MEMORY, budget });
    expect(held.sha256).toBe(sha256(content));
    expect(MIB - budget.freeBytes).toBe(128 * KIB);
    held.release();
  });

  test('a body that announces its length takes no more than that', async () => {
    const budget = new HeldBudget(MIB);
    const held = await hold(Readable.from([Buffer.from('hello')]), { ...IN_MEMORY, budget, expectedBytes: 5 });
    expect(MIB - budget.freeBytes).toBe(5);
    held.release();
  });

  test('the hash of nothing is that of SHA-256', () => {
    expect(NOTHING_SHA256).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  });
});

describe('on disk', () => {
  const options = { memory: 100 * KIB, disk: 8 * MIB };

  test('all bodies share what they may have, and give it back', async () => {
    const [budget, diskBudget] = [new HeldBudget(MIB), new HeldBudget(3 * MIB)];
    const body = (): Readable => Readable.from(slices(randomBytes(2 * MIB), 10_007));
    const first = await hold(body(), { ...options, budget, diskBudget });
    expect(diskBudget.freeBytes).toBe(MIB);
    await expect(hold(body(), { ...options, budget, diskBudget })).rejects.toMatchObject({ code: 'body-too-large' });
    expect(diskBudget.freeBytes).toBe(MIB);
    first.release();
    expect(diskBudget.freeBytes).toBe(3 * MIB);
    (await hold(body(), { ...options, budget, diskBudget })).release();
  });

  test.skipIf(!linux)('what is beyond memory goes to a file without a name that only its owner may read', async () => {
    const budget = new HeldBudget(MIB);
    const content = randomBytes(3 * MIB + 17);
    const held = await hold(Readable.from(slices(content, 10_007)), { ...options, budget });
    expect(budget.freeBytes).toBe(MIB);
    const [descriptor] = unnamed();
    expect(unnamed()).toHaveLength(1);
    expect(statSync(`/proc/self/fd/${descriptor}`).mode & 0o777).toBe(0o600);
    expect(readFileSync(`/proc/self/fd/${descriptor}`).equals(content)).toBe(true);
    expect([held.bytes, held.sha256]).toEqual([content.length, sha256(content)]);
    for (let round = 0; round < 2; round += 1) expect((await contentOf(held)).equals(content)).toBe(true);
    held.release();
    await closed();
  });

  test.skipIf(!linux)('a release while the file is being sent cuts that and closes it', async () => {
    const held = await hold(Readable.from([randomBytes(MIB)]), options);
    const body = held.open() as Readable;
    const sent = contentOfStream(body);
    held.release();
    expect(await sent).not.toBe('whole');
    await closed();
  });

  test.skipIf(!linux)('a body that fails while it is spooled leaves neither file nor memory taken', async () => {
    const budget = new HeldBudget(MIB);
    const failing = Readable.from(
      (async function* () {
        yield randomBytes(512 * KIB);
        throw new SidecarError('request-malformed');
      })(),
    );
    expect(await codeOf(hold(failing, { ...options, budget }))).toBe('request-malformed');
    expect(budget.freeBytes).toBe(MIB);
    await closed();
  });

  test.skipIf(!linux)('with the budget of all bodies spent, even a small one goes to disk', async () => {
    const budget = new HeldBudget(64 * KIB);
    const first = await hold(Readable.from([randomBytes(64 * KIB)]), { ...options, budget });
    expect(unnamed()).toHaveLength(0);
    const content = randomBytes(10);
    const second = await hold(Readable.from([content]), { ...options, budget });
    expect(unnamed()).toHaveLength(1);
    expect((await contentOf(second)).equals(content)).toBe(true);
    expect(await codeOf(hold(Readable.from([content]), { memory: KIB, disk: 0, budget }))).toBe('body-too-large');
    first.release();
    second.release();
    expect(budget.freeBytes).toBe(64 * KIB);
    await closed();
  });

  test('a writer that is faster than the disk waits', async () => {
    let produced = 0;
    let slack = 0;
    const content = randomBytes(64 * KIB);
    const source = new Readable({
      highWaterMark: 64 * KIB,
      read() {
        produced += content.length;
        slack = Math.max(slack, this.readableLength);
        this.push(produced > 4 * MIB ? null : content);
      },
    });
    const held = await hold(source, options);
    expect(held.bytes).toBe(4 * MIB);
    expect(slack).toBeLessThanOrEqual(128 * KIB);
    held.release();
  });
});

describe('limits', () => {
  test('a length beyond both limits is refused before a byte is read', () => {
    const refusal = (memory: number, disk: number, expectedBytes?: number) => () =>
      refuseToHold({ memory, disk, expectedBytes });
    expect(refusal(10, 0, 11)).toThrow(SidecarError);
    expect(refusal(10, 20, 21)).toThrow(SidecarError);
    expect(refusal(10, 20, 20)).not.toThrow();
    expect(refusal(10, 5, 10)).not.toThrow();
    expect(refusal(10, 5)).not.toThrow();
  });

  test.each([
    ['memory alone', { memory: 100, disk: 0 }, 100],
    ['the file', { memory: 10, disk: 1000 }, 1000],
  ])('a body without a length is refused once it is beyond %s', async (_, limits, most) => {
    const budget = new HeldBudget(MIB);
    const held = await hold(Readable.from(slices(randomBytes(most), 7)), { ...limits, budget });
    held.release();
    expect(await codeOf(hold(Readable.from(slices(randomBytes(most + 1), 7)), { ...limits, budget }))).toBe(
      'body-too-large',
    );
    expect(budget.freeBytes).toBe(MIB);
    if (linux) await closed();
  });
});

function slices(content: Buffer, bytes: number): Buffer[] {
  return Array.from({ length: Math.ceil(content.length / bytes) }, (_, at) =>
    content.subarray(at * bytes, (at + 1) * bytes),
  );
}

async function contentOfStream(body: Readable): Promise<string> {
  try {
    for await (const chunk of body) void chunk;
    return 'whole';
  } catch {
    return 'cut';
  }
}
