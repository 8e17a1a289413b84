import { type Facts, SidecarError, type SshFacts } from 'secretless-sidecar/connector';
import { describe, expect, test } from 'vitest';
import { relay } from '../relay/index.ts';
import { FakeSide, say } from '../relay/testdata/fake-side.ts';
import type { WireField } from '../transport/wire.ts';
import { SessionWatcher } from './watcher.ts';

const u32 = (uint32: number): WireField => ({ uint32 });
const origin = ['127.0.0.1', u32(4711)] as const;

/** Joined under the eyes of policy that waits for the test: `decide` answers the question that was asked first. */
class Held {
  readonly down = new FakeSide();
  readonly up = new FakeSide();
  readonly asked: SshFacts[] = [];
  readonly ended: SshFacts[] = [];
  readonly watcher: SessionWatcher;
  readonly #waiting: ((yes: boolean) => void)[] = [];

  constructor() {
    this.watcher = new SessionWatcher({
      id: 'c0ffee',
      user: 'deploy',
      takesVariable: (name) => Buffer.from(name).equals(Buffer.from('LANG')),
      admit: async ({ ssh }: Facts) => {
        this.asked.push(ssh!);
        const yes = await new Promise<boolean>((resolve) => this.#waiting.push(resolve));
        if (!yes) throw new SidecarError('policy-denied', { rule: 'no' });
        return { end: () => void this.ended.push(ssh!) };
      },
    });
    void relay(this.down, this.up, { watcher: this.watcher });
  }

  async decide(yes: boolean): Promise<void> {
    this.#waiting.shift()!(yes);
    await turn();
  }

  /** Channel 0 of ours, that both sides know as 7 and 9. */
  session(number = 0): void {
    this.down.says(...say.open(7 + number));
    this.up.says(...say.confirm(number, 9 + number));
    this.forget();
  }

  forget(): void {
    this.down.take();
    this.up.take();
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const pty = (number: number): WireField[] =>
  say.request(number, 'pty-req', true, 'vt100', u32(80), u32(24), u32(0), u32(0), Buffer.of(0));

describe('while a command is being decided', () => {
  test('nothing of what comes behind it passes, and on a no nothing of it ever does', async () => {
    const held = new Held();
    held.session();
    held.down.says(...say.request(0, 'exec', true, 'rm -rf /'));
    held.down.says(...say.bytes(0, 'yes'));
    held.down.says(...say.request(0, 'exec', true, 'id'));
    held.down.says(...say.request(0, 'shell', true));
    held.down.says(...say.request(0, 'env', true, 'LANG', 'C'));
    held.down.says({ byte: 93 }, u32(0), u32(1000));
    held.down.says(...say.eof(0));
    await turn();
    expect(held.up.types()).toEqual([]);
    await held.decide(false);
    expect(held.up.types()).toEqual([97]);
    expect(held.asked).toHaveLength(1);
    expect(held.down.types().slice(0, 5)).toEqual([99, 95, 98, 96, 97]);
  });

  test('what comes behind it passes on a yes, in order and once', async () => {
    const held = new Held();
    held.session();
    held.down.says(...say.request(0, 'exec', true, 'cat'));
    held.down.says(...say.bytes(0, 'all'));
    held.down.says(...say.eof(0));
    held.down.says(...say.close(0));
    await held.decide(true);
    expect(held.up.types()).toEqual([98, 94, 96, 97]);
  });

  test('an upstream that closes the channel meanwhile starts nothing, and holds nobody up', async () => {
    const held = new Held();
    held.session();
    held.down.says(...say.request(0, 'exec', true, 'cat'));
    held.up.says(...say.close(0));
    expect(held.down.types()).toEqual([97]);
    await held.decide(true);
    held.down.says(...say.close(0));
    expect(held.ended).toMatchObject([{ command: 'cat' }]);
    held.session(1);
    held.down.says(...say.request(1, 'env', true, 'LANG', 'C'));
    expect(held.up.types()).toEqual([98]);
  });

  test('the end of the connection makes the yes come too late', async () => {
    const held = new Held();
    held.session();
    held.down.says(...say.request(0, 'exec', true, 'cat'));
    held.down.end({ fault: 'closed' } as never);
    await turn();
    held.watcher.end();
    await held.decide(true);
    expect(held.up.types()).not.toContain(98);
    expect(held.ended).toMatchObject([{ command: 'cat' }]);
  });

  test('other channels of the same downstream wait too, and none is answered before its turn', async () => {
    const held = new Held();
    for (const number of [0, 1, 2]) held.session(number);
    for (const number of [0, 1, 2]) held.down.says(...say.request(number, 'exec', true, `echo ${number}`));
    await turn();
    expect(held.asked.map(({ command }) => command)).toEqual(['echo 0']);
    await held.decide(true);
    await held.decide(false);
    await held.decide(true);
    expect(held.up.take().map((message) => [message[0], message.readUInt32BE(1)])).toEqual([
      [98, 9],
      [97, 10],
      [98, 11],
    ]);
  });
});

describe('a channel', () => {
  test.each([
    ['exec', ['id']],
    ['shell', []],
    ['subsystem', ['sftp']],
  ])('that was refused a command starts no %s either', async (kind, rest) => {
    const held = new Held();
    held.session();
    held.down.says(...say.request(0, 'exec', true, 'rm'));
    await held.decide(false);
    held.forget();
    held.down.says(...say.request(0, kind, true, ...rest));
    await turn();
    expect([held.up.types(), held.asked.length]).toEqual([[], 1]);
  });

  test.each([
    ['exec', ['id']],
    ['subsystem', ['sftp']],
    ['shell', []],
  ])('that has a shell starts no %s beside it', async (kind, rest) => {
    const held = new Held();
    held.session();
    held.down.says(...say.request(0, 'shell', true));
    await held.decide(true);
    held.forget();
    held.down.says(...say.request(0, kind, true, ...rest));
    await turn();
    expect([held.up.types(), held.asked.length]).toEqual([[], 1]);
  });

  test.each(['EXEC', 'Exec', 'exec ', ' exec', 'exec@openssh.com', 'shell@x', 'simple@putty.projects.tartarus.org'])(
    'that asks for `%s` asks for nothing that is known',
    async (kind) => {
      const held = new Held();
      held.session();
      held.down.says(...say.request(0, kind, true, 'id'));
      await turn();
      expect(held.up.types()).toEqual([]);
      expect(held.down.types()).toEqual([100]);
      expect(held.asked).toEqual([]);
    },
  );

  test.each<[string, WireField[]]>([
    ['a name with NUL', say.request(0, 'exec\0', true, 'id')],
    ['a name with an escape', say.request(0, 'exec\u001b[2J', true, 'id')],
    ['a shell with more behind it', say.request(0, 'shell', true, 'x')],
    ['a subsystem with more behind it', say.request(0, 'subsystem', true, 'sftp', 'x')],
    ['a subsystem with NUL', say.request(0, 'subsystem', true, 'sftp\0')],
    ['a command that is cut off', say.request(0, 'exec', true, u32(5))],
    ['a command without end', say.request(0, 'exec', true, u32(0xffffffff))],
    ['a socket with NUL', say.open(3, 'direct-streamlocal@openssh.com', '/run/x\0y', '', u32(0))],
    ['a host with a line break', say.open(3, 'direct-tcpip', 'db\n', u32(22), ...origin)],
    ['a listener with NUL', say.global('tcpip-forward', true, 'a\0b', u32(80))],
  ])('ends with its connection at %s', async (_, fields) => {
    const held = new Held();
    held.session();
    held.down.says(...fields);
    await turn();
    expect(held.down.ended?.fault).toBe('protocol');
    expect([held.up.types(), held.asked]).toEqual([[], []]);
  });

  test.each(['LD_PRELOAD', 'BASH_ENV', 'PATH', 'GIT_SSH_COMMAND', 'LANG\0', 'LANG\n', 'lang', 'LANG=C', ''])(
    'passes no variable `%j` on',
    async (name) => {
      const held = new Held();
      held.session();
      held.down.says(...say.request(0, 'env', true, name, 'C'));
      await turn();
      expect([held.up.types(), held.down.types()]).toEqual([[], [100]]);
    },
  );

  test('has its own answers in order, whatever was refused in between', async () => {
    const held = new Held();
    held.session();
    held.down.says(...pty(0));
    await held.decide(true);
    held.down.says(...say.request(0, 'env', true, 'LD_PRELOAD', 'x'));
    held.down.says(...say.request(0, 'env', true, 'LANG', 'C'));
    expect(held.down.types()).toEqual([]);
    held.up.says(...say.failure(0));
    expect(held.down.types()).toEqual([100, 100]);
    held.up.says(...say.success(0));
    expect(held.down.types()).toEqual([99]);
  });
});

describe('a listener', () => {
  const listens = (host: string, port: number): WireField[] => say.global('tcpip-forward', true, host, u32(port));
  const cancels = (host: string, port: number): WireField[] =>
    say.global('cancel-tcpip-forward', true, host, u32(port));
  const opens = (host: string, port: number): WireField[] =>
    say.open(40, 'forwarded-tcpip', host, u32(port), ...origin);

  test.each([
    ['another case', 'DB.internal', 8080],
    ['a dot behind it', 'db.internal.', 8080],
    ['another port', 'db.internal', 8081],
    ['a port that only looks like it', 'db.internal', 8080 + 65_536],
    ['every address', '', 8080],
  ])('of one address serves none that is spelled with %s', async (_, host, port) => {
    const held = new Held();
    held.down.says(...listens('db.internal', 8080));
    await held.decide(true);
    held.up.says({ byte: 81 });
    held.forget();
    held.up.says(...opens(host, port));
    await turn();
    expect([held.down.types(), held.up.types()]).toEqual([[], [92]]);
  });

  test('that is cancelled while it is decided is there first and then gone', async () => {
    const held = new Held();
    held.down.says(...listens('db.internal', 8080));
    held.down.says(...cancels('db.internal', 8080));
    await held.decide(true);
    expect(held.up.types()).toEqual([80, 80]);
    held.up.says({ byte: 81 });
    held.up.says({ byte: 81 });
    held.forget();
    held.up.says(...opens('db.internal', 8080));
    await turn();
    expect([held.down.types(), held.up.types()]).toEqual([[], [92]]);
    expect(held.ended).toHaveLength(1);
  });

  test('that was denied cannot be cancelled, and serves nothing', async () => {
    const held = new Held();
    held.down.says(...listens('db.internal', 8080));
    await held.decide(false);
    held.down.says(...cancels('db.internal', 8080));
    held.up.says(...opens('db.internal', 8080));
    await turn();
    expect(held.down.types()).toEqual([82, 82]);
    expect(held.up.types()).toEqual([92]);
  });

  test('on a port that the upstream has not told yet serves no port', async () => {
    const held = new Held();
    held.down.says(...listens('db.internal', 0));
    await held.decide(true);
    held.forget();
    for (const port of [0, 22, 4000]) held.up.says(...opens('db.internal', port));
    expect([held.down.types(), held.up.types()]).toEqual([[], [92, 92, 92]]);
    held.up.says({ byte: 81 });
    held.up.says(...opens('db.internal', 22));
    expect(held.up.types()).toEqual([92]);
  });

  test('twice on one port ends once for each that is cancelled', async () => {
    const held = new Held();
    for (const answer of [81, 82]) {
      held.down.says(...listens('db.internal', 8080));
      await held.decide(true);
      held.up.says({ byte: answer });
    }
    expect(held.ended).toHaveLength(1);
    held.forget();
    held.up.says(...opens('db.internal', 8080));
    expect(held.down.types()).toEqual([90]);
    held.down.says(...cancels('db.internal', 8080));
    held.up.says({ byte: 81 });
    expect(held.ended).toHaveLength(2);
    held.up.says(...opens('db.internal', 8080));
    expect(held.up.types().at(-1)).toBe(92);
  });
});

describe('an upstream', () => {
  test.each(['auth-agent@openssh.com', 'x11'])('gets no %s that was denied', async (kind) => {
    const held = new Held();
    held.session();
    const asks = { 'auth-agent@openssh.com': 'auth-agent-req@openssh.com', x11: 'x11-req' }[kind]!;
    held.down.says(...say.request(0, asks, true, { boolean: false }, 'c', 'k', u32(0)));
    await held.decide(false);
    held.forget();
    held.up.says(...say.open(3, kind, ...origin));
    await turn();
    expect([held.down.types(), held.up.types()]).toEqual([[], [92]]);
  });

  test.each(['exec', 'shell', 'pty-req', 'env', 'subsystem', 'auth-agent-req@openssh.com', 'signal', 'EXEC', 'x'])(
    'cannot ask the downstream for %s on a channel that it was lent',
    async (kind) => {
      const held = new Held();
      held.session();
      held.down.says(...say.request(0, 'auth-agent-req@openssh.com', true));
      await held.decide(true);
      held.up.says(...say.open(3, 'auth-agent@openssh.com'));
      held.down.says(...say.confirm(1, 4));
      held.forget();
      const rest = kind === 'shell' ? [] : ['x', u32(1), u32(1), u32(1), u32(1), ''];
      held.up.says(...say.request(1, kind, true, ...(['exec', 'subsystem'].includes(kind) ? ['x'] : rest)));
      await turn();
      expect(held.down.types()).toEqual([]);
    },
  );

  test('that floods with channels and requests nobody asked for gets its answers and nothing else', async () => {
    const held = new Held();
    for (let each = 0; each < 5000; each += 1) {
      held.up.says(...say.open(each));
      held.up.says(...say.global('hostkeys-prove-00@openssh.com', true));
    }
    await turn();
    expect(held.down.types()).toEqual([]);
    expect(new Set(held.up.types())).toEqual(new Set([92, 82]));
    expect(held.watcher.openChannels).toBe(0);
  });
});
