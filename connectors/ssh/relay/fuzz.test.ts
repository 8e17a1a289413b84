import { expect, test } from 'vitest';
import { wire, type WireField } from '../transport/wire.ts';
import { relay } from './index.ts';
import { Dice } from './testdata/dice.ts';
import { FakeSide, say } from './testdata/fake-side.ts';
import { sessionWatcher } from './testdata/session-watcher.ts';

const MESSAGES = 100_000;

const zero: WireField = { uint32: 0 };
const fromDown = [
  say.open(7),
  say.open(8, 'direct-tcpip', 'host', { uint32: 22 }, 'from', { uint32: 1 }),
  say.request(0, 'pty-req', true, 'vt100', { uint32: 80 }, { uint32: 24 }, zero, zero, Buffer.from([0])),
  say.request(0, 'env', false, 'LANG', 'C'),
  say.request(0, 'exec', true, 'true'),
  say.request(0, 'window-change', false, zero, zero, zero, zero),
  say.bytes(0, 'some input'),
  [{ byte: 93 }, zero, { uint32: 100 }] as WireField[],
  say.eof(0),
  say.close(0),
  say.global('keepalive@openssh.com', true),
  say.global('tcpip-forward', true, '', zero),
].map((fields) => wire(...fields));
const fromUp = [
  say.confirm(0, 900),
  [{ byte: 92 }, zero, { uint32: 1 }, 'no', ''] as WireField[],
  say.success(0),
  say.failure(0),
  say.bytes(0, 'some output'),
  [{ byte: 95 }, zero, { uint32: 1 }, 'some stderr'] as WireField[],
  say.request(0, 'exit-status', false, { uint32: 1 }),
  say.request(0, 'exit-signal', false, 'TERM', { boolean: false }, '', ''),
  say.eof(0),
  say.close(0),
  say.global('hostkeys-00@openssh.com', false, 'key'),
  [{ byte: 81 }] as WireField[],
  say.open(5, 'auth-agent@openssh.com'),
].map((fields) => wire(...fields));

test(`${MESSAGES} mutated messages end connections for breaking the protocol and do nothing else`, async () => {
  const dice = new Dice(20_261_122);
  const faults = new Map<string, number>();
  let sides = { down: new FakeSide(), up: new FakeSide() };
  let passed = 0;
  const begin = (): void => {
    sides = { down: new FakeSide(), up: new FakeSide() };
    void relay(sides.down, sides.up, { watcher: sessionWatcher(), keepalive: { seconds: 3600, count: 1 } });
    sides.down.says(...say.open(7));
    sides.up.says(...say.confirm(0, 900));
  };
  begin();
  for (let each = 0; each < MESSAGES; each++) {
    const down = dice.roll(2) === 0;
    const whole = dice.pick(down ? fromDown : fromUp);
    (down ? sides.down : sides.up).saysBytes(dice.roll(4) === 0 ? Buffer.from(whole) : dice.mutate(whole));
    passed += sides.down.take().length + sides.up.take().length;
    const fault = sides.down.ended?.fault ?? sides.up.ended?.fault;
    if (fault === undefined && dice.roll(50) !== 0) continue;
    faults.set(fault ?? 'none', (faults.get(fault ?? 'none') ?? 0) + 1);
    if (fault === undefined) sides.down.end({ fault: 'closed' } as never);
    await Promise.resolve();
    begin();
  }
  expect([...faults.keys()].sort()).toEqual(['none', 'protocol']);
  expect(passed).toBeGreaterThan(MESSAGES / 10);
}, 60_000);
