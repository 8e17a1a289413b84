import { createHmac } from 'node:crypto';
import { expect, test, vi } from 'vitest';
import { type LendSecret, SigningKey, SigningKeys } from './key.ts';
import { SigningProblem } from './problem.ts';

const scope = { date: '20150830', region: 'us-east-1', service: 'iam' };
const secret = Buffer.from('wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY');
const lend: LendSecret = (use) => use(secret);

/** IAM User Guide, "Create a signed AWS API request", step 3, with nothing of ours. */
function reference(text: string): string {
  let key: Buffer | string = `AWS4${secret.toString()}`;
  for (const part of ['20150830', 'us-east-1', 'iam', 'aws4_request']) {
    key = createHmac('sha256', key).update(part).digest();
  }
  return createHmac('sha256', key).update(text).digest('hex');
}

test('a key is derived as the guide derives it', () => {
  expect(SigningKey.derive(secret, scope).signHex('text')).toBe(reference('text'));
});

test('deriving leaves the secret as it was', () => {
  const before = Buffer.from(secret);
  SigningKey.derive(secret, scope);
  expect(secret.equals(before)).toBe(true);
});

test('P3: keys of other scopes and versions do not meet', () => {
  const keys = new SigningKeys();
  const one = keys.key('1', scope, lend).signHex('text');
  const other = keys.key('1', { ...scope, service: 's3' }, lend).signHex('text');
  expect(keys.key('1', scope, lend).signHex('text')).toBe(one);
  expect(other).not.toBe(one);
  expect(keys.key('2', scope, (use) => use(Buffer.from('rotated'))).signHex('text')).not.toBe(one);
  expect(keys.size).toBe(3);
});

test('the secret is lent once for a version and scope', () => {
  const keys = new SigningKeys();
  let lent = 0;
  const counting: LendSecret = (use) => {
    lent += 1;
    return use(secret);
  };
  for (let time = 0; time < 5; time += 1) keys.key('1', scope, counting);
  expect(lent).toBe(1);
});

test('the least recently used key is overwritten past the limit', () => {
  const keys = new SigningKeys(2);
  const first = keys.key('1', scope, lend);
  const second = keys.key('2', scope, lend);
  keys.key('1', scope, lend);
  keys.key('3', scope, lend);
  expect([first.wiped, second.wiped, keys.size]).toEqual([false, true, 2]);
  expect(() => second.signHex('text')).toThrow('wiped');
});

test('keys of a version that is no longer in use are overwritten, and all at the end', () => {
  const keys = new SigningKeys();
  const old = keys.key('1', scope, lend);
  const current = keys.key('11', scope, lend);
  keys.forget('1');
  expect([old.wiped, current.wiped]).toEqual([true, false]);
  const copy = current.copy();
  keys.close();
  expect([current.wiped, copy.wiped, keys.size]).toEqual([true, false, 0]);
  expect(copy.signHex('text')).toBe(reference('text'));
});

test('P13: no key is derived for a scope that is none', () => {
  expect(() => new SigningKeys().key('1', { ...scope, region: 'evil.com' }, lend)).toThrow(SigningProblem);
});

test('deriving overwrites its copy of the secret and every key on the way', () => {
  const allocate = vi.spyOn(Buffer, 'allocUnsafeSlow');
  const key = SigningKey.derive(secret, scope);
  const buffers = allocate.mock.results.map(({ value }) => value as Buffer);
  allocate.mockRestore();
  const kept = buffers.filter((buffer) => buffer.some((byte) => byte !== 0));
  expect(buffers).toHaveLength(11);
  expect(kept).toHaveLength(2);
  key.wipe();
  expect(kept.filter((buffer) => buffer.some((byte) => byte !== 0))).toEqual([]);
});
