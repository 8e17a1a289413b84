import { type Facts, type Outcome, SidecarError, type SshFacts } from 'secretless-sidecar/connector';
import { describe, expect, test } from 'vitest';
import { relay } from '../relay/index.ts';
import { FakeSide, say } from '../relay/testdata/fake-side.ts';
import { WireReader, type WireField } from '../transport/wire.ts';
import { SessionWatcher } from './watcher.ts';

const u32 = (uint32: number): WireField => ({ uint32 });
const DENIED = 'secretless: policy does not allow this use; ask (rule no, c0ffee)';

interface Asked {
  readonly facts: SshFacts;
  ended?: Outcome | 'nothing';
}

/** Two sides that are joined under the eyes of the watcher; `deny` names what policy says no to. */
class Joined {
  readonly down = new FakeSide();
  readonly up = new FakeSide();
  readonly asked: Asked[] = [];
  readonly denied: SshFacts[] = [];
  readonly watcher: SessionWatcher;
  rests = 0;
  /** Held back until it is called, where it is there. */
  hold: Promise<void> | undefined;

  constructor(deny: (facts: SshFacts) => boolean = () => false) {
    this.watcher = new SessionWatcher({
      id: 'c0ffee',
      user: 'deploy',
      takesVariable: (name) => Buffer.from(name).equals(Buffer.from('LANG')),
      admit: async ({ ssh: facts }: Facts) => {
        await this.hold;
        if (facts === undefined) throw new Error('nothing of ssh was asked');
        if (deny(facts)) {
          this.denied.push(facts);
          throw new SidecarError('policy-denied', { rule: 'no', next: 'ask', detail: 'canary' });
        }
        const asked: Asked = { facts };
        this.asked.push(asked);
        return { end: (outcome) => void (asked.ended ??= outcome ?? 'nothing') };
      },
    });
    this.watcher.onRest = () => (this.rests += 1);
    void relay(this.down, this.up, { watcher: this.watcher });
  }

  /** Says it, and what came of it on both sides. */
  async after(side: 'down' | 'up', ...fields: readonly WireField[]): Promise<{ down: Buffer[]; up: Buffer[] }> {
    if (fields.length > 0) this[side].says(...fields);
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    return { down: this.down.take(), up: this.up.take() };
  }

  /** A session channel, number 0 of ours, that both sides know as 7 and 9. */
  async session(): Promise<void> {
    await this.after('down', ...say.open(7));
    await this.after('up', ...say.confirm(0, 9));
  }
}

const types = (messages: readonly Buffer[]): number[] => messages.map((message) => message[0] ?? -1);
const textAt = (message: Buffer | undefined, at: number): string =>
  new WireReader(message ?? Buffer.alloc(0), at).string(4096).toString();
const address = (host: string, port: number): WireField[] => [host, u32(port), '127.0.0.1', u32(4711)];

describe('a session', () => {
  test.each([
    ['exec', [Buffer.from('uptime')], { request: 'exec', command: 'uptime' }],
    ['exec', [Buffer.from([0x63, 0xe9])], { request: 'exec', command: 'c\udce9' }],
    [
      'exec',
      [Buffer.from("git-upload-pack 'Acme/api.git'")],
      { request: 'exec', command: "git-upload-pack 'Acme/api.git'", git: { repository: 'acme/api', push: false } },
    ],
    ['exec', [Buffer.from('git gc')], { request: 'exec', command: 'git gc', git: 'unclear' }],
    ['shell', [], { request: 'shell' }],
    ['subsystem', ['sftp'], { request: 'subsystem', subsystem: 'sftp' }],
  ] as const)('asks policy for %s %j and passes it on', async (kind, rest, facts) => {
    const joined = new Joined();
    await joined.session();
    const { down, up } = await joined.after('down', ...say.request(0, kind, true, ...rest));
    expect(types(up)).toEqual([98]);
    expect(down).toEqual([]);
    expect(joined.asked.map(({ facts }) => facts)).toEqual([{ user: 'deploy', ...facts }]);
  });

  test.each(['exec', 'shell', 'subsystem'])('that is denied %s sees why, and the upstream nothing', async (kind) => {
    const joined = new Joined(() => true);
    await joined.session();
    const rest = kind === 'shell' ? [] : ['x'];
    const { down, up } = await joined.after('down', ...say.request(0, kind, true, ...rest));
    expect(types(down)).toEqual([99, 95, 98, 96, 97]);
    expect(textAt(down[1], 9)).toBe(`${DENIED}\r\n`);
    expect(down[2]?.readUInt32BE(down[2].length - 4)).toBe(126);
    expect(types(up)).toEqual([97]);
    expect(JSON.stringify(down.map(String))).not.toContain('canary');
  });

  test('ends what it was admitted with exit status and bytes when its channel closes', async () => {
    const joined = new Joined();
    await joined.session();
    const modes = [Buffer.from('vt'), u32(80), u32(24), u32(0), u32(0), Buffer.alloc(0)];
    await joined.after('down', ...say.request(0, 'pty-req', true, ...modes));
    await joined.after('down', ...say.request(0, 'exec', true, 'cat'));
    await joined.after('down', ...say.bytes(0, 'four'));
    await joined.after('up', ...say.bytes(0, 'sixsix'));
    await joined.after('up', ...say.request(0, 'exit-status', false, u32(3)));
    await joined.after('up', ...say.close(0));
    expect(joined.asked.map(({ ended }) => ended)).toEqual([undefined, undefined]);
    await joined.after('down', ...say.close(0));
    expect(joined.asked).toEqual([
      { facts: { request: 'pty', user: 'deploy' }, ended: { bytesUp: 0, bytesDown: 0 } },
      { facts: { request: 'exec', user: 'deploy', command: 'cat' }, ended: { status: 3, bytesUp: 4, bytesDown: 6 } },
    ]);
    expect(joined.rests).toBe(1);
    expect(joined.watcher.carried).toEqual({ bytesUp: 4, bytesDown: 6 });
  });

  test('passes the variables on that it may, and is silent about the others', async () => {
    const joined = new Joined();
    await joined.session();
    expect(types((await joined.after('down', ...say.request(0, 'env', false, 'LANG', 'C'))).up)).toEqual([98]);
    const { down, up } = await joined.after('down', ...say.request(0, 'env', false, 'LD_PRELOAD', 'x'));
    expect([down, up]).toEqual([[], []]);
    expect(joined.asked).toEqual([]);
  });

  test.each(['pty-req', 'auth-agent-req@openssh.com', 'x11-req'])(
    'that is denied %s goes on without it',
    async (kind) => {
      const joined = new Joined(({ request }) => request !== 'shell');
      await joined.session();
      const modes = [Buffer.from('vt'), u32(80), u32(24), u32(0), u32(0), Buffer.alloc(0)];
      const { down, up } = await joined.after(
        'down',
        ...say.request(0, kind, true, ...(kind === 'pty-req' ? modes : [])),
      );
      expect([types(down), types(up)]).toEqual([[100], []]);
      expect(joined.denied).toHaveLength(1);
      expect(types((await joined.after('down', ...say.request(0, 'shell', true))).up)).toEqual([98]);
    },
  );

  test.each(['whatever@example.com', 'exit-status', 'xon-xoff'])('does not pass %s upwards', async (kind) => {
    const joined = new Joined();
    await joined.session();
    const { down, up } = await joined.after('down', ...say.request(0, kind, true, u32(0)));
    expect([types(down), types(up)]).toEqual([[100], []]);
  });

  test.each(['exec', 'shell', 'pty-req', 'env', 'auth-agent-req@openssh.com', 'signal'])(
    'takes no %s from the upstream',
    async (kind) => {
      const joined = new Joined();
      await joined.session();
      const modes = [Buffer.from('vt'), u32(80), u32(24), u32(0), u32(0), Buffer.alloc(0)];
      const rest = { 'pty-req': modes, env: ['LANG', 'C'], exec: ['id'], signal: ['TERM'] }[kind] ?? [];
      const { down, up } = await joined.after('up', ...say.request(0, kind, true, ...rest));
      expect([types(down), types(up)]).toEqual([[], [100]]);
      expect(joined.asked).toEqual([]);
    },
  );

  test('keeps nothing that was admitted after its channel had closed', async () => {
    const joined = new Joined();
    await joined.session();
    const answer = Promise.withResolvers<void>();
    joined.hold = answer.promise;
    await joined.after('down', ...say.request(0, 'exec', true, 'cat'));
    joined.watcher.end();
    answer.resolve();
    const { up } = await joined.after('down');
    expect(types(up)).not.toContain(98);
    expect(joined.asked.map(({ ended }) => ended)).toEqual([{ bytesUp: 0, bytesDown: 0 }]);
  });
});

describe('a forward', () => {
  test.each([
    ['direct-tcpip', address('db.internal', 5432), 'db.internal:5432'],
    ['direct-tcpip', address('::1', 22), '[::1]:22'],
    ['direct-streamlocal@openssh.com', ['/run/x.sock', '', u32(0)], '/run/x.sock'],
  ] as const)('by %s is asked for by its destination', async (kind, rest, destination) => {
    const joined = new Joined();
    const { down, up } = await joined.after('down', ...say.open(7, kind, ...rest));
    expect([types(down), types(up)]).toEqual([[], [90]]);
    expect(joined.asked.map(({ facts }) => facts)).toEqual([{ request: 'forward', user: 'deploy', destination }]);
    await joined.after('up', ...say.confirm(0, 9));
    await joined.after('down', ...say.bytes(0, 'hello'));
    await joined.after('down', ...say.close(0));
    await joined.after('up', ...say.close(0));
    expect(joined.asked[0]?.ended).toEqual({ bytesUp: 5, bytesDown: 0 });
  });

  test('that is denied is not opened, and says why', async () => {
    const joined = new Joined(() => true);
    const { down, up } = await joined.after('down', ...say.open(7, 'direct-tcpip', ...address('db', 1)));
    expect([types(down), types(up)]).toEqual([[92], []]);
    expect(down[0]?.readUInt32BE(5)).toBe(1);
    expect(textAt(down[0], 9)).toBe(DENIED);
    expect(joined.watcher.openChannels).toBe(0);
  });

  test.each([
    ['direct-tcpip', address('a b', 1)],
    ['direct-tcpip', address('db', 0)],
    ['direct-streamlocal@openssh.com', ['run/x.sock', '', u32(0)]],
    ['forwarded-tcpip', address('db', 1)],
    ['x11', ['127.0.0.1', u32(1)]],
    ['auth-agent@openssh.com', []],
    ['tun@openssh.com', [u32(1), u32(0)]],
  ] as const)('by %s %j is refused without being asked for', async (kind, rest) => {
    const joined = new Joined();
    const { down, up } = await joined.after('down', ...say.open(7, kind, ...rest));
    expect([types(down), types(up)]).toEqual([[92], []]);
    expect(joined.asked).toEqual([]);
  });

  test('that the upstream cannot connect ends what was admitted', async () => {
    const joined = new Joined();
    await joined.after('down', ...say.open(7, 'direct-tcpip', ...address('db', 1)));
    await joined.after('up', { byte: 92 }, u32(0), u32(2), 'refused', '');
    expect(joined.asked[0]?.ended).toEqual({ bytesUp: 0, bytesDown: 0 });
    expect(joined.watcher.openChannels).toBe(0);
  });

  test('takes no request to start anything', async () => {
    const joined = new Joined();
    await joined.after('down', ...say.open(7, 'direct-tcpip', ...address('db', 1)));
    await joined.after('up', ...say.confirm(0, 9));
    for (const kind of ['auth-agent-req@openssh.com', 'x11-req', 'shell']) {
      const { down, up } = await joined.after('down', ...say.request(0, kind, true));
      expect([types(down), types(up)]).toEqual([[100], []]);
    }
    expect(joined.asked).toHaveLength(1);
  });
});

describe('channels that the upstream opens', () => {
  test.each([
    ['session', []],
    ['direct-tcpip', address('db', 1)],
    ['forwarded-tcpip', address('localhost', 8080)],
    ['forwarded-streamlocal@openssh.com', ['/run/x.sock', '']],
    ['x11', ['127.0.0.1', u32(1)]],
    ['auth-agent@openssh.com', []],
  ] as const)('are refused where nobody asked for them: %s', async (kind, rest) => {
    const joined = new Joined();
    await joined.session();
    const { down, up } = await joined.after('up', ...say.open(3, kind, ...rest));
    expect([types(down), types(up)]).toEqual([[], [92]]);
  });

  test.each([
    ['auth-agent-req@openssh.com', 'auth-agent@openssh.com', [], 'agent-forwarding'],
    ['x11-req', 'x11', ['127.0.0.1', u32(1)], 'x11-forwarding'],
  ] as const)('pass once %s was admitted, and count for it', async (asks, opens, rest, request) => {
    const joined = new Joined();
    await joined.session();
    await joined.after('down', ...say.request(0, asks, true));
    await joined.after('up', ...say.success(0));
    expect(types((await joined.after('up', ...say.open(3, opens, ...rest))).down)).toEqual([90]);
    await joined.after('down', ...say.confirm(1, 5));
    await joined.after('up', ...say.bytes(1, 'sign'));
    await joined.after('up', ...say.close(1));
    await joined.after('down', ...say.close(1));
    expect(joined.asked).toEqual([{ facts: { request, user: 'deploy' } }]);
    joined.watcher.end();
    expect(joined.asked[0]?.ended).toEqual({ bytesUp: 0, bytesDown: 4 });
  });

  test('of one kind do not pass because another was admitted', async () => {
    const joined = new Joined();
    await joined.session();
    await joined.after('down', ...say.request(0, 'x11-req', true));
    expect(types((await joined.after('up', ...say.open(3, 'auth-agent@openssh.com'))).up)).toEqual([92]);
  });
});

describe('a listener upstream', () => {
  const listen = (host: string, port: number, reply = true): WireField[] =>
    say.global('tcpip-forward', reply, host, u32(port));
  const opens = (joined: Joined, host: string, port: number) =>
    joined.after('up', ...say.open(3, 'forwarded-tcpip', ...address(host, port)));

  test('is asked for by its address, and serves what was granted and no other', async () => {
    const joined = new Joined();
    expect(types((await joined.after('down', ...listen('10.0.0.1', 8080))).up)).toEqual([80]);
    expect(types((await opens(joined, '10.0.0.1', 8080)).up)).toEqual([92]);
    await joined.after('up', { byte: 81 });
    expect(joined.asked).toEqual([{ facts: { request: 'listen', user: 'deploy', destination: '10.0.0.1:8080' } }]);
    expect(types((await opens(joined, '10.0.0.1', 8081)).up)).toEqual([92]);
    expect(types((await opens(joined, '10.0.0.2', 8080)).up)).toEqual([92]);
    expect(types((await opens(joined, '10.0.0.1', 8080)).down)).toEqual([90]);
  });

  test('on any port serves the one that the upstream took', async () => {
    const joined = new Joined();
    await joined.after('down', ...listen('', 0));
    await joined.after('up', { byte: 81 }, u32(40_001));
    expect(joined.asked[0]?.facts.destination).toBe(':0');
    expect(types((await opens(joined, '127.0.0.1', 0)).up)).toEqual([92]);
    expect(types((await opens(joined, '127.0.0.1', 40_001)).down)).toEqual([90]);
    // Nobody would hear which port it is.
    expect(types((await joined.after('down', ...listen('', 0, false))).up)).toEqual([]);
  });

  test('that the upstream refuses serves nothing and is over', async () => {
    const joined = new Joined();
    await joined.after('down', ...listen('localhost', 8080));
    expect(types((await joined.after('up', { byte: 82 })).down)).toEqual([82]);
    expect(types((await opens(joined, 'localhost', 8080)).up)).toEqual([92]);
    expect(joined.asked[0]?.ended).toEqual({ bytesUp: 0, bytesDown: 0 });
  });

  test('is cancelled by who asked for it, once', async () => {
    const joined = new Joined();
    const cancel = say.global('cancel-tcpip-forward', true, 'localhost', u32(8080));
    expect(types((await joined.after('down', ...cancel)).down)).toEqual([82]);
    await joined.after('down', ...listen('localhost', 8080));
    await joined.after('up', { byte: 81 });
    expect(types((await joined.after('down', ...cancel)).up)).toEqual([80]);
    await joined.after('up', { byte: 81 });
    expect(joined.asked[0]?.ended).toEqual({ bytesUp: 0, bytesDown: 0 });
    expect(types((await opens(joined, 'localhost', 8080)).up)).toEqual([92]);
    expect(types((await joined.after('down', ...cancel)).down)).toEqual([82]);
  });

  test('that is denied is answered in its turn', async () => {
    const joined = new Joined(() => true);
    await joined.after('down', ...say.global('keepalive@openssh.com', true));
    const { down } = await joined.after('down', ...listen('localhost', 8080));
    expect(down).toEqual([]);
    expect(types((await joined.after('up', { byte: 82 })).down)).toEqual([82, 82]);
  });

  test('on a socket serves that path', async () => {
    const joined = new Joined();
    const path = '/run/back.sock';
    await joined.after('down', ...say.global('streamlocal-forward@openssh.com', true, path));
    const early = await joined.after('up', ...say.open(3, 'forwarded-streamlocal@openssh.com', path, ''));
    expect(types(early.up)).toEqual([92]);
    await joined.after('up', { byte: 81 });
    const other = await joined.after('up', ...say.open(3, 'forwarded-streamlocal@openssh.com', '/run/other', ''));
    expect(types(other.up)).toEqual([92]);
    const own = await joined.after('up', ...say.open(3, 'forwarded-streamlocal@openssh.com', path, ''));
    expect(types(own.down)).toEqual([90]);
  });

  test('that is admitted after the end is over at once', async () => {
    const joined = new Joined();
    const answer = Promise.withResolvers<void>();
    joined.hold = answer.promise;
    await joined.after('down', ...listen('localhost', 8080));
    joined.watcher.end();
    answer.resolve();
    expect(types((await joined.after('down')).up)).toEqual([]);
    expect(joined.asked[0]?.ended).toEqual({ bytesUp: 0, bytesDown: 0 });
  });

  test('is not asked for by the upstream', async () => {
    const joined = new Joined();
    const { down, up } = await joined.after('up', ...listen('localhost', 8080));
    expect([types(down), types(up)]).toEqual([[], [82]]);
    expect(joined.asked).toEqual([]);
  });
});

describe('the upstream’s host keys', () => {
  test('are not shown to the downstream, which would learn them under the sidecar’s name', async () => {
    const joined = new Joined();
    const { down, up } = await joined.after('up', ...say.global('hostkeys-00@openssh.com', false, 'key'));
    expect([down, up]).toEqual([[], []]);
  });
});

describe('a connection that should end', () => {
  const reason = new SidecarError('draining');

  test('opens no channel any more, and says why', async () => {
    const joined = new Joined();
    await joined.session();
    joined.watcher.retire(reason);
    for (const open of [say.open(8), say.open(8, 'direct-tcpip', ...address('db', 1))]) {
      const { down, up } = await joined.after('down', ...open);
      expect([types(down), types(up)]).toEqual([[92], []]);
      expect(textAt(down[0], 9)).toMatch(/^secretless: the sidecar is shutting down; .* \(c0ffee\)$/);
    }
    const { up } = await joined.after('down', ...say.global('tcpip-forward', false, 'localhost', u32(8080)));
    expect(types(up)).toEqual([]);
    expect(types((await joined.after('down', ...say.request(0, 'exec', true, 'id'))).up)).toEqual([98]);
  });

  test('does not open what was being decided', async () => {
    const joined = new Joined();
    const answer = Promise.withResolvers<void>();
    joined.hold = answer.promise;
    await joined.after('down', ...say.open(8, 'direct-tcpip', ...address('db', 1)));
    expect(joined.watcher.openChannels).toBe(1);
    joined.watcher.retire(reason);
    answer.resolve();
    const { down, up } = await joined.after('down');
    expect([types(down), types(up)]).toEqual([[92], []]);
    expect(joined.asked[0]?.ended).toEqual({ bytesUp: 0, bytesDown: 0 });
    expect(joined.watcher.openChannels).toBe(0);
  });
});
