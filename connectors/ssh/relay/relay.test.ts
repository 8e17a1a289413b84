import { describe, expect, test } from 'vitest';
import { SshError } from '../transport/ssh-error.ts';
import { REFUSE, relay, type RelayEnd, type RelayOptions, type Verdict, type Watcher } from './index.ts';
import { PENDING_BYTES_MAX } from './leg.ts';
import { FakeSide, say } from './testdata/fake-side.ts';
import { sessionWatcher } from './testdata/session-watcher.ts';

function setUp(options: Partial<RelayOptions> = {}): { down: FakeSide; up: FakeSide; end: Promise<RelayEnd> } {
  const down = new FakeSide();
  const up = new FakeSide();
  return { down, up, end: relay(down, up, { watcher: sessionWatcher(), ...options }) };
}

/** With one session: the downstream knows it as 70, the upstream as 900, we as 0. */
function withSession(options: Partial<RelayOptions> = {}): ReturnType<typeof setUp> {
  const sides = setUp(options);
  sides.down.says(...say.open(70));
  sides.up.says(...say.confirm(0, 900));
  sides.down.take();
  sides.up.take();
  return sides;
}

function recipient(message: Buffer | undefined): number | undefined {
  return message?.readUInt32BE(1);
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function watching(part: Partial<Watcher>): RelayOptions {
  return { watcher: { ...sessionWatcher(), ...part } };
}

describe('channels', () => {
  test('are known to each side by a number of ours, and by theirs in what they get', () => {
    const { down, up } = setUp();
    down.says(...say.open(70));
    const [opened] = up.take();
    expect(opened?.readUInt32BE(1 + 4 + 7)).toBe(0);
    up.says(...say.confirm(0, 900));
    const [confirmed] = down.take();
    expect([recipient(confirmed), confirmed?.readUInt32BE(5)]).toEqual([70, 0]);
    down.says(...say.bytes(0, 'in'));
    expect(recipient(up.take()[0])).toBe(900);
    up.says(...say.bytes(0, 'out'));
    expect(recipient(down.take()[0])).toBe(70);
  });

  test('take packets of 32 KiB at most, whatever a side offers', () => {
    const { down, up } = setUp();
    down.says(...say.open(1));
    expect(up.take()[0]?.readUInt32BE(1 + 4 + 7 + 8)).toBe(32768);
    up.says(...say.confirm(0, 2));
    expect(down.take()[0]?.readUInt32BE(13)).toBe(32768);
  });

  test('keep their bytes as they are', () => {
    const { down, up } = withSession();
    const command = Buffer.from([0x65, 0xe9, 0, 0xff]);
    down.says(...say.request(0, 'exec', true, command));
    expect(up.take()[0]?.subarray(5)).toEqual(
      Buffer.from([...[0, 0, 0, 4], ...Buffer.from('exec'), 1, 0, 0, 0, 4, ...command]),
    );
  });

  test('pass an exit status on to a side that has already closed', () => {
    const { down, up } = withSession();
    down.says(...say.request(0, 'exec', true, 'true'));
    up.says(...say.success(0));
    down.says(...say.eof(0));
    down.says(...say.close(0));
    down.take();
    up.says(...say.request(0, 'exit-status', false, { uint32: 7 }));
    up.says(...say.close(0));
    expect(down.types()).toEqual([98, 97]);
  });

  test('end for both when both have said so, and their totals are told', () => {
    const closed: unknown[] = [];
    const { down, up } = withSession(
      watching({ channelClosed: (channel, totals) => void closed.push([channel.number, totals]) }),
    );
    down.says(...say.request(0, 'exec', false, 'true'));
    down.says(...say.bytes(0, 'four'));
    up.says(...say.bytes(0, 'seven77'));
    up.says(...say.request(0, 'exit-status', false, { uint32: 3 }));
    up.says(...say.close(0));
    expect(closed).toEqual([]);
    down.says(...say.close(0));
    expect(closed).toEqual([[0, { bytesUp: 4, bytesDown: 7, exitStatus: 3 }]]);
    down.says(...say.bytes(0, 'late'));
    expect(down.ended?.fault).toBe('protocol');
  });

  test('have one program each', () => {
    const asked: string[] = [];
    const base = sessionWatcher();
    const { down, up } = withSession(
      watching({
        channelRequest: (from, channel, request) => {
          asked.push(request.ask.kind);
          return base.channelRequest(from, channel, request);
        },
      }),
    );
    down.says(...say.request(0, 'exec', true, 'first'));
    down.says(...say.request(0, 'shell', true));
    expect(asked).toEqual(['exec']);
    expect(up.types()).toEqual([98]);
    expect(down.types()).toEqual([]);
    up.says(...say.success(0));
    expect(down.types()).toEqual([99, 100]);
  });

  test('are limited in number', () => {
    const { down, up } = setUp();
    for (let sender = 0; sender < 300; sender++) down.says(...say.open(sender));
    expect(up.take().length).toBe(256);
    expect(down.types()).toEqual(Array.from({ length: 44 }, () => 92));
  });

  test.each<[string, (down: FakeSide, up: FakeSide) => void]>([
    ['bytes for a channel that there is not', (down) => down.says(...say.bytes(5, 'x'))],
    [
      'bytes with a wrong length',
      (down) => down.says({ byte: 94 }, { uint32: 0 }, { uint32: 9 }, { raw: Buffer.from('x') }),
    ],
    ['bytes behind the end of file', (down) => (down.says(...say.eof(0)), down.says(...say.bytes(0, 'x')))],
    ['a message behind CLOSE', (down) => (down.says(...say.close(0)), down.says(...say.eof(0)))],
    ['a second confirmation', (_down, up) => up.says(...say.confirm(0, 4))],
    ['a confirmation by the opener', (down) => (down.says(...say.open(9)), down.says(...say.confirm(1, 4)))],
    ['bytes before the confirmation', (down) => (down.says(...say.open(9)), down.says(...say.bytes(1, 'x')))],
    ['a reply that nobody asked for', (_down, up) => up.says(...say.success(0))],
    ['a reply to the connection that nobody asked for', (_down, up) => up.says({ byte: 82 })],
    ['an EOF with more behind it', (down) => down.says(...say.eof(0), { byte: 0 })],
    ['a command with more behind it', (down) => down.says(...say.request(0, 'exec', true, 'a', 'b'))],
    ['a number that is cut off', (down) => down.says({ byte: 98 }, { byte: 0 })],
  ])('end the connection at %s', async (_name, act) => {
    const { down, up, end } = withSession();
    act(down, up);
    expect((await end).error.fault).toBe('protocol');
    expect(down.ended).toBeDefined();
    expect(up.ended).toBeDefined();
  });
});

describe('refusals', () => {
  const noCommands = watching({
    channelRequest: (from, channel, request): Verdict =>
      request.ask.kind === 'exec'
        ? { do: 'refuse', say: 'no\u001b[2J\nreally' }
        : (sessionWatcher().channelRequest(from, channel, request) as Verdict),
  });

  test('of a command wait for the replies before them and then say why', () => {
    const { down, up } = withSession(noCommands);
    down.says(
      ...say.request(0, 'pty-req', true, 'vt100', { uint32: 80 }, { uint32: 24 }, { uint32: 0 }, { uint32: 0 }, ''),
    );
    down.says(...say.request(0, 'exec', true, 'rm'));
    expect(down.types()).toEqual([]);
    expect(up.types()).toEqual([98, 97]);
    up.says(...say.failure(0));
    const sent = down.take();
    expect(sent.map((message) => message[0])).toEqual([100, 99, 95, 98, 96, 97]);
    expect(sent[2]?.toString('latin1', 13)).toBe('no [2J really\r\n');
    expect(sent[3]?.readUInt32BE(sent[3].length - 4)).toBe(126);
    expect(sent.map(recipient)).toEqual([70, 70, 70, 70, 70, 70]);
  });

  test('of a command let nothing more of it through, and free the channel', () => {
    const { down, up } = withSession(noCommands);
    down.says(...say.request(0, 'exec', true, 'rm'));
    up.take();
    down.says(...say.bytes(0, 'input'));
    down.says(...say.eof(0));
    down.says(...say.request(0, 'shell', true));
    up.says(...say.bytes(0, 'output'));
    up.says(...say.close(0));
    down.says(...say.close(0));
    expect(up.types()).toEqual([]);
    expect(down.types()).toEqual([99, 95, 98, 96, 97]);
    down.says(...say.open(71));
    expect(up.types()).toEqual([90]);
  });

  test('of a variable are answered only when an answer is wanted', () => {
    const { down, up } = withSession();
    down.says(...say.request(0, 'env', false, 'LD_PRELOAD', 'x'));
    down.says(...say.request(0, 'env', true, 'LD_PRELOAD', 'x'));
    expect(up.types()).toEqual([]);
    expect(down.types()).toEqual([100]);
  });

  test.each([
    'direct-tcpip',
    'direct-streamlocal@openssh.com',
    'x11',
    'auth-agent@openssh.com',
    'forwarded-tcpip',
    'unheard-of',
  ])('meet %s from downstream', (kind) => {
    const { down, up } = setUp();
    down.says(...say.open(3, kind, 'host', { uint32: 22 }, 'from', { uint32: 1 }));
    expect(up.types()).toEqual([]);
    const [answer] = down.take();
    expect([answer?.[0], recipient(answer), answer?.readUInt32BE(5)]).toEqual([92, 3, 1]);
  });

  test.each(['session', 'x11', 'auth-agent@openssh.com', 'forwarded-tcpip', 'forwarded-streamlocal@openssh.com'])(
    'meet %s from upstream',
    (kind) => {
      const { down, up } = setUp();
      up.says(...say.open(3, kind, 'host', { uint32: 22 }, 'from', { uint32: 1 }));
      expect(down.types()).toEqual([]);
      expect(up.types()).toEqual([92]);
    },
  );

  test.each(['auth-agent-req@openssh.com', 'x11-req', 'unheard-of'])('meet %s on a channel', (kind) => {
    const { down, up } = withSession();
    down.says(...say.request(0, kind, true));
    expect(up.types()).toEqual([]);
    expect(down.types()).toEqual([100]);
  });

  test('an upstream that wants to run something downstream', () => {
    const { down, up } = withSession();
    up.says(...say.request(0, 'exec', true, 'rm -rf ~'));
    expect(down.types()).toEqual([]);
    expect(up.types()).toEqual([100]);
  });
});

describe('requests to the connection', () => {
  test('are answered in the order in which they came', () => {
    const { down, up } = setUp();
    down.says(...say.global('keepalive@openssh.com', true));
    down.says(...say.global('tcpip-forward', true, '', { uint32: 0 }));
    down.says(...say.global('keepalive@openssh.com', true));
    expect(up.types()).toEqual([80, 80]);
    expect(down.types()).toEqual([]);
    up.says({ byte: 81 });
    expect(down.types()).toEqual([81, 82]);
    up.says({ byte: 82 });
    expect(down.types()).toEqual([82]);
  });

  test('that teach the upstream’s host keys go no further', () => {
    const { down, up } = setUp();
    up.says(...say.global('hostkeys-00@openssh.com', false, 'key'));
    expect([down.types(), up.types()]).toEqual([[], []]);
  });

  test('of our own are seen by nobody else', async () => {
    const { down, up } = setUp({ keepalive: { seconds: 0.05, count: 20 } });
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(up.types()).toEqual([80]);
    down.take();
    down.says(...say.global('keepalive@openssh.com', true));
    up.says({ byte: 82 });
    expect(down.types()).toEqual([]);
    up.says({ byte: 82 });
    expect(down.types()).toEqual([82]);
  });

  test('that stay without an answer end a dead connection', async () => {
    const { end } = setUp({ keepalive: { seconds: 0.02, count: 2 } });
    expect((await end).error.fault).toBe('timeout');
  });
});

describe('a watcher that thinks', () => {
  test('holds that side’s messages back, and no other', async () => {
    const verdict = Promise.withResolvers<Verdict>();
    const base = sessionWatcher();
    const { down, up } = withSession(
      watching({
        channelRequest: (from, channel, request) =>
          request.ask.kind === 'exec' ? verdict.promise : base.channelRequest(from, channel, request),
      }),
    );
    down.says(...say.request(0, 'exec', true, 'x'));
    down.says(...say.bytes(0, 'behind'));
    up.says(...say.bytes(0, 'other way'));
    expect([down.paused, up.paused, up.types(), down.types()]).toEqual([true, false, [], [94]]);
    verdict.resolve({ do: 'forward' });
    await turn();
    expect([down.paused, up.types()]).toEqual([false, [98, 94]]);
  });

  test('that fails ends the connection', async () => {
    const { down, end } = withSession(watching({ channelRequest: () => Promise.reject(new Error('ledger')) }));
    down.says(...say.request(0, 'exec', true, 'x'));
    expect((await end).error.fault).toBe('aborted');
  });
});

describe('backpressure', () => {
  test('stops the one side while too much waits for the other', () => {
    const { down, up } = withSession();
    down.pending = PENDING_BYTES_MAX + 1;
    up.says(...say.bytes(0, 'more'));
    expect([up.paused, down.paused]).toEqual([true, false]);
    down.drain();
    expect(up.paused).toBe(false);
  });

  test('stops a side that asks and does not read the answers', () => {
    const { down } = withSession();
    down.pending = 2 * PENDING_BYTES_MAX + 1;
    down.says(...say.global('unheard-of', true));
    expect(down.paused).toBe(true);
    down.drain();
    expect(down.paused).toBe(false);
  });

  test('does not start reading again while a verdict is awaited', () => {
    const { down, up } = withSession(watching({ globalRequest: () => new Promise<Verdict>(() => undefined) }));
    up.pending = PENDING_BYTES_MAX + 1;
    down.says(...say.bytes(0, 'more'));
    down.says(...say.global('x', true));
    up.drain();
    expect(down.paused).toBe(true);
  });
});

test('a signal ends both sides', async () => {
  const control = new AbortController();
  const { down, up, end } = setUp({ signal: control.signal });
  control.abort();
  expect(await end).toMatchObject({ side: 'relay', error: { fault: 'aborted' } });
  expect([down.ended?.fault, up.ended?.fault]).toEqual(['aborted', 'aborted']);
});

test('the end of one side is the end of the other', async () => {
  const { down, up, end } = setUp(watching({ channelOpen: () => REFUSE }));
  up.end(new SshError('closed', 'gone'));
  expect(await end).toMatchObject({ side: 'upstream' });
  expect(down.ended).toBeDefined();
});
