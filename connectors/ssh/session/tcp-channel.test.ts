import { describe, expect, test } from 'vitest';
import { FakeSide, say } from '../relay/testdata/fake-side.ts';
import type { WireField } from '../transport/wire.ts';
import { TcpChannel } from './tcp-channel.ts';

const u32 = (uint32: number): WireField => ({ uint32 });
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A channel whose upstream is the test: number 0 of ours, 9 of its own. */
function opened(window = 1000, packet = 400): { side: FakeSide; channel: TcpChannel; stop: AbortController } {
  const side = new FakeSide();
  const stop = new AbortController();
  const channel = new TcpChannel(side, { host: 'db', port: 22 }, stop.signal);
  side.take();
  side.says({ byte: 91 }, u32(0), u32(9), u32(window), u32(packet));
  return { side, channel, stop };
}

const sizes = (messages: readonly Buffer[]): number[] => messages.map((message) => message.readUInt32BE(5));

describe('a channel to an address', () => {
  test('is asked for as direct-tcpip, and opened by a yes', async () => {
    const side = new FakeSide();
    const channel = new TcpChannel(side, { host: 'db', port: 22 }, new AbortController().signal);
    expect(side.take().map(String)).toEqual([expect.stringContaining('direct-tcpip')]);
    side.says({ byte: 91 }, u32(0), u32(9), u32(1000), u32(400));
    await expect(channel.opened).resolves.toBeUndefined();
  });

  test('that is not opened is unreachable, and ends the login', async () => {
    const side = new FakeSide();
    const channel = new TcpChannel(side, { host: 'db', port: 22 }, new AbortController().signal);
    side.says({ byte: 92 }, u32(0), u32(2), 'canary', '');
    await expect(channel.opened).rejects.toMatchObject({ code: 'upstream-unreachable' });
    expect(side.ended).toBeDefined();
  });

  test('sends no more than the upstream takes, in no larger parts', async () => {
    const { side, channel } = opened();
    let isDone = false;
    channel.write(Buffer.alloc(1500), () => (isDone = true));
    expect(sizes(side.take())).toEqual([400, 400, 200]);
    expect(isDone).toBe(false);
    side.says({ byte: 93 }, u32(0), u32(600));
    expect(sizes(side.take())).toEqual([400, 100]);
    await turn();
    expect(isDone).toBe(true);
    expect(channel.carried).toEqual({ bytesUp: 1500, bytesDown: 0 });
  });

  test('waits where the socket is full', () => {
    const { side, channel } = opened(1_000_000);
    side.pending = 2 * 1024 * 1024;
    channel.write(Buffer.alloc(100));
    expect(side.take()).toEqual([]);
    side.drain();
    expect(sizes(side.take())).toEqual([100]);
  });

  test('gives back what was read, and nothing that was not', () => {
    const { side, channel } = opened();
    const bytes = 'x'.repeat(32 * 1024);
    for (let each = 0; each < 64; each += 1) side.says(...say.bytes(0, bytes));
    const unread = side.types().filter((type) => type === 93).length;
    expect(side.ended).toBeUndefined();
    side.says(...say.bytes(0, bytes));
    for (let each = 0; each < 200 && side.ended === undefined; each += 1) side.says(...say.bytes(0, bytes));
    // Nobody reads: what may be sent comes to an end.
    expect(side.ended).toMatchObject({ fault: 'protocol' });
    expect(channel.readableLength).toBeLessThanOrEqual(4 * 1024 * 1024);
    expect(unread).toBeLessThanOrEqual(2);
  });

  test('goes on without end where somebody reads', async () => {
    const { side, channel } = opened();
    channel.resume();
    for (let each = 0; each < 500; each += 1) {
      side.says(...say.bytes(0, 'x'.repeat(32 * 1024)));
      await turn();
    }
    expect(side.ended).toBeUndefined();
    expect(channel.carried.bytesDown).toBe(500 * 32 * 1024);
  });

  test('passes both ends on, each by itself', async () => {
    const { side, channel } = opened();
    channel.end();
    await turn();
    expect(side.types()).toEqual([96]);
    side.says(...say.bytes(0, 'late'));
    expect(String(channel.read())).toBe('late');
    channel.resume();
    side.says(...say.eof(0));
    side.says(...say.close(0));
    await turn();
    await turn();
    expect(side.types()).toContain(97);
    expect(side.ended).toBeDefined();
    expect(channel.destroyed).toBe(true);
  });

  test('refuses whatever else the upstream wants', () => {
    const { side } = opened();
    side.says(...say.open(3, 'auth-agent@openssh.com'));
    side.says(...say.global('tcpip-forward', true, 'x', u32(1)));
    side.says(...say.global('hostkeys-00@openssh.com', false));
    side.says(...say.request(0, 'exec', true, 'id'));
    expect(side.types()).toEqual([92, 82, 100]);
  });

  test.each([
    ['bytes for another channel', say.bytes(1, 'x')],
    ['a second yes', say.confirm(0, 4)],
    ['bytes of stderr', [{ byte: 95 }, u32(0), u32(1), 'x']],
    ['a window beyond all bounds', [{ byte: 93 }, u32(0), u32(0xffff_ffff)]],
    ['a packet that is too large', say.bytes(0, 'x'.repeat(33 * 1024))],
  ] as const)('ends with %s', (_, fields) => {
    const { side } = opened();
    side.says(...fields);
    expect(side.ended).toMatchObject({ fault: 'protocol' });
  });

  test('ends bytes behind the end', () => {
    const { side } = opened();
    side.says(...say.eof(0));
    side.says(...say.bytes(0, 'x'));
    expect(side.ended).toMatchObject({ fault: 'protocol' });
  });

  test('ends with the connection', async () => {
    const { side, channel, stop } = opened();
    stop.abort(new Error('over'));
    await turn();
    expect(channel.destroyed).toBe(true);
    expect(side.ended).toBeDefined();
  });
});
