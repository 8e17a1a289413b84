import { createHmac, randomBytes } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { HmacKey } from './hmac.ts';

test('is HMAC-SHA256 for keys and messages of every length', () => {
  for (const keyBytes of [0, 1, 32, 63, 64, 65, 200]) {
    const key = randomBytes(keyBytes);
    const ours = new HmacKey(key);
    for (const length of [0, 1, 55, 56, 64, 1023, 1024, 1025, 3000]) {
      const message = randomBytes(length).toString('latin1');
      const wanted = createHmac('sha256', key).update(message, 'latin1').digest('hex');
      expect(ours.signHex(message), `${keyBytes} and ${length}`).toBe(wanted);
      expect(ours.sign(message).toString('hex')).toBe(wanted);
      expect(ours.copy().signHex(message)).toBe(wanted);
    }
  }
});

test('a wiped key signs nothing, and neither does a copy of it', () => {
  const key = new HmacKey(Buffer.from('key'));
  const copy = key.copy();
  key.wipe();
  expect(key.wiped).toBe(true);
  expect(() => key.signHex('text')).toThrow('wiped');
  expect(() => key.copy()).toThrow('wiped');
  expect(copy.signHex('text')).toBe(createHmac('sha256', 'key').update('text').digest('hex'));
});

test('wiping overwrites all that was derived from the key', () => {
  const allocate = vi.spyOn(Buffer, 'allocUnsafeSlow');
  const key = new HmacKey(Buffer.from('a key of some bytes'));
  key.signHex('x'.repeat(2000));
  const buffers = allocate.mock.results.map(({ value }) => value as Buffer);
  allocate.mockRestore();
  expect(buffers.map(({ length }) => length)).toEqual([1088, 96, 2064]);
  expect(buffers[2]!.subarray(0, 64).every((byte) => byte === 0)).toBe(true);
  expect(buffers[0]!.some((byte) => byte !== 0)).toBe(true);
  key.wipe();
  for (const buffer of buffers.slice(0, 2)) expect(buffer.every((byte) => byte === 0)).toBe(true);
});
