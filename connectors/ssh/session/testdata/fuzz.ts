import { type Facts, SidecarError, type SshFacts } from 'secretless-sidecar/connector';
import { relay } from '../../relay/index.ts';
import { Dice } from '../../relay/testdata/dice.ts';
import { FakeSide, say } from '../../relay/testdata/fake-side.ts';
import { wire, type WireField } from '../../transport/wire.ts';
import { commandText } from '../command-text.ts';
import { SessionWatcher } from '../watcher.ts';

const zero: WireField = { uint32: 0 };
const u32 = (uint32: number): WireField => ({ uint32 });
const from = ['127.0.0.1', u32(4711)] as const;
const message = (fields: readonly WireField[]): Buffer => wire(...fields);

/** What a downstream says: some of it may pass, some of it may not. */
const DOWN = [
  say.open(7),
  say.open(8, 'direct-tcpip', 'db.internal', u32(22), ...from),
  say.open(8, 'direct-tcpip', 'db.internal', u32(25), ...from),
  say.open(9, 'direct-streamlocal@openssh.com', '/run/docker.sock', '', zero),
  say.request(0, 'pty-req', true, 'vt100', u32(80), u32(24), zero, zero, Buffer.of(0)),
  say.request(0, 'env', false, 'LANG', 'C'),
  say.request(0, 'env', true, 'LD_PRELOAD', '/tmp/x.so'),
  say.request(0, 'exec', true, 'true'),
  say.request(0, 'exec', true, 'false'),
  say.request(0, 'shell', true),
  say.request(0, 'subsystem', true, 'sftp'),
  say.request(0, 'auth-agent-req@openssh.com', true),
  say.request(0, 'x11-req', true, { boolean: false }, 'MIT-MAGIC-COOKIE-1', 'ab', zero),
  say.request(0, 'window-change', false, zero, zero, zero, zero),
  say.bytes(0, 'some input'),
  [{ byte: 93 }, zero, u32(100)],
  say.eof(0),
  say.close(0),
  say.success(0),
  say.confirm(1, 5),
  say.global('keepalive@openssh.com', true),
  say.global('tcpip-forward', true, 'localhost', u32(8080)),
  say.global('tcpip-forward', true, '', u32(9090)),
  say.global('cancel-tcpip-forward', true, 'localhost', u32(8080)),
  say.global('streamlocal-forward@openssh.com', true, '/run/x.sock'),
  say.global('no-more-sessions@openssh.com', false),
].map(message);

/** What an upstream says. */
const UP = [
  say.confirm(0, 900),
  [{ byte: 92 }, zero, u32(1), 'no', ''] as WireField[],
  say.success(0),
  say.failure(0),
  say.bytes(0, 'some output'),
  [{ byte: 95 }, zero, u32(1), 'some stderr'] as WireField[],
  [{ byte: 93 }, zero, u32(2 ** 31)] as WireField[],
  say.request(0, 'exit-status', false, u32(1)),
  say.request(0, 'exit-signal', false, 'TERM', { boolean: false }, '', ''),
  say.request(0, 'exec', true, 'true'),
  say.eof(0),
  say.close(0),
  say.global('hostkeys-00@openssh.com', false, 'key'),
  say.global('tcpip-forward', true, 'localhost', u32(8080)),
  [{ byte: 81 }] as WireField[],
  [{ byte: 82 }] as WireField[],
  say.open(5),
  say.open(5, 'auth-agent@openssh.com'),
  say.open(5, 'x11', ...from),
  say.open(5, 'forwarded-tcpip', 'localhost', u32(8080), ...from),
  say.open(5, 'forwarded-tcpip', 'localhost', u32(9090), ...from),
].map(message);

/** Of other types and of no bytes a transport hands nothing over. */
function isHandedOver([type = 0]: Buffer): boolean {
  return (type >= 80 && type <= 82) || (type >= 90 && type <= 100);
}

function isAllowed({ request, command, subsystem, destination }: SshFacts): boolean {
  if (request === 'exec') return command === 'true';
  if (request === 'subsystem') return subsystem === 'sftp';
  if (request === 'forward') return destination === 'db.internal:22';
  if (request === 'listen') return destination === 'localhost:8080';
  return request === 'pty';
}

const stringAt = (bytes: Buffer, at: number): Buffer => bytes.subarray(at + 4, at + 4 + bytes.readUInt32BE(at));

/** What somebody would do for this message that `isAllowed` says no to; read in another way than the connector does. */
function harm(to: 'up' | 'down', bytes: Buffer): string | undefined {
  const type = bytes[0]!;
  if (type !== 80 && type !== 90 && type !== 98) return undefined;
  const at = type === 98 ? 5 : 1;
  const name = stringAt(bytes, at).toString('latin1');
  const rest = at + 4 + name.length + (type === 90 ? 12 : 1);
  return harmOf(to, name, bytes, rest) ? `${to} ${name} ${bytes.toString('latin1')}` : undefined;
}

function harmOf(to: 'up' | 'down', name: string, bytes: Buffer, rest: number): boolean {
  const text = (): string => stringAt(bytes, rest).toString('latin1');
  const destination = (): string => `${text()}:${bytes.readUInt32BE(rest + 4 + text().length)}`;
  if (/^(?:keepalive|eow)@openssh\.com$/.test(name)) return false;
  if (to === 'down') {
    if (name === 'forwarded-tcpip') return destination() !== 'localhost:8080';
    return !/^(?:exit-status|exit-signal|xon-xoff)$/.test(name);
  }
  if (name === 'exec') return commandText(stringAt(bytes, rest)) !== 'true';
  if (name === 'subsystem') return text() !== 'sftp';
  if (name === 'env') return text() !== 'LANG';
  if (name === 'direct-tcpip') return destination() !== 'db.internal:22';
  if (/^(?:cancel-)?tcpip-forward$/.test(name)) return destination() !== 'localhost:8080';
  return !/^(?:session|pty-req|window-change|signal|break|no-more-sessions@openssh\.com)$/.test(name);
}

export interface Fuzzed {
  /** Messages that were mutated. */
  readonly mutated: number;
  readonly passed: number;
  readonly faults: ReadonlySet<string>;
  /** The first of those that must not have passed. */
  readonly harm: string | undefined;
  /** Of all that policy said yes to, what was not ended with its connection. */
  readonly left: number;
}

/** Joined connections one after the other, in which `bent` says mutated messages and the other side right ones. */
export async function fuzz(bent: 'down' | 'up', times: number, seed: number): Promise<Fuzzed> {
  const dice = new Dice(seed);
  // Most of the time would go into traces that nobody reads.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  const faults = new Set<string>();
  let [mutated, passed, left] = [0, 0, 0];
  let harmful: string | undefined;
  while (mutated < times) {
    const { down, up, end } = begin();
    const look = (): void => {
      for (const [to, side] of [['down', down], ['up', up]] as const) {
        for (const sent of side.take()) {
          passed += 1;
          if (side.ended === undefined) harmful ??= harm(to, sent);
        }
      }
    };
    for (let each = dice.roll(60); each > 0 && down.ended === undefined && up.ended === undefined; each--) {
      const isDown = dice.roll(4) === 0 ? bent !== 'down' : bent === 'down';
      const whole = dice.pick(isDown ? DOWN : UP);
      const isBent = isDown === (bent === 'down') && dice.roll(4) > 0;
      if (isBent) mutated += 1;
      const said = isBent ? dice.mutate(whole) : Buffer.from(whole);
      if (isHandedOver(said)) (isDown ? down : up).saysBytes(said);
      // Verdicts are promises.
      if (dice.roll(3) === 0) for (let turn = 0; turn < 6; turn++) await Promise.resolve();
      look();
    }
    for (let turn = 0; turn < 12; turn++) await Promise.resolve();
    look();
    faults.add(down.ended?.fault ?? up.ended?.fault ?? 'none');
    left += await end();
  }
  Error.stackTraceLimit = stackTraceLimit;
  return { mutated, passed, faults, harm: harmful, left };
}

function begin() {
  const [down, up] = [new FakeSide(), new FakeSide()];
  let open = 0;
  const admit = ({ ssh }: Facts): Promise<{ end: () => void }> => {
    if (ssh === undefined || !isAllowed(ssh)) return Promise.reject(new SidecarError('policy-denied', { rule: 'no' }));
    open += 1;
    let isOver = false;
    return Promise.resolve({ end: () => void (isOver ||= (open -= 1) >= 0) });
  };
  const takesVariable = (name: Uint8Array): boolean => Buffer.from(name).equals(Buffer.from('LANG'));
  const watcher = new SessionWatcher({ id: 'c0ffee', user: 'me', admit, takesVariable });
  const joined = relay(down, up, { watcher, keepalive: { seconds: 3600, count: 1 } });
  down.says(...say.open(7));
  up.says(...say.confirm(0, 900));
  const end = async (): Promise<number> => {
    down.end({ fault: 'closed' } as never);
    await joined;
    watcher.end();
    for (let turn = 0; turn < 12; turn++) await Promise.resolve();
    return open;
  };
  return { down, up, end };
}
