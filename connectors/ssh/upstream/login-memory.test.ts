import { generateKeyPairSync } from 'node:crypto';
import { PrivateKey, publicKeyOf } from 'secretless-sidecar/connector/ssh';
import { afterEach, expect, test, vi } from 'vitest';
import { HostTrust } from './host-trust.ts';
import { LoginMemory } from './index.ts';

afterEach(() => void vi.useRealTimers());

function made(): PrivateKey {
  const { privateKey } = generateKeyPairSync('ed25519');
  return new PrivateKey(privateKey, publicKeyOf(privateKey));
}

test('many logins at once cost one reading of the key', async () => {
  const memory = new LoginMemory();
  const read = vi.fn(() => Promise.resolve(made()));
  const keys = await Promise.all(Array.from({ length: 20 }, () => memory.key('v1', read)));
  expect([read.mock.calls.length, new Set(keys).size]).toEqual([1, 1]);
  memory.close();
});

test('another version is read anew, and the one before is gone', async () => {
  const memory = new LoginMemory();
  const first = await memory.key('v1', () => Promise.resolve(made()));
  const second = await memory.key('v2', () => Promise.resolve(made()));
  expect(await memory.key('v2', () => Promise.reject(new Error('read again')))).toBe(second);
  expect(await memory.key('v1', () => Promise.resolve(made()))).not.toBe(first);
  memory.close();
});

test('a key that could not be read is tried again', async () => {
  const memory = new LoginMemory();
  await expect(memory.key('v1', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await memory.key('v1', () => Promise.resolve(made()))).toBeInstanceOf(PrivateKey);
  memory.close();
});

test('a key is dropped when it was not used for five minutes, or the service ends', async () => {
  vi.useFakeTimers();
  const memory = new LoginMemory();
  const read = vi.fn(() => Promise.resolve(made()));
  await memory.key('v1', read);
  vi.advanceTimersByTime(299_000);
  await memory.key('v1', read);
  vi.advanceTimersByTime(299_000);
  await memory.key('v1', read);
  expect(read).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(301_000);
  await memory.key('v1', read);
  expect(read).toHaveBeenCalledTimes(2);
  memory.close();
  await memory.key('v1', read);
  expect(read).toHaveBeenCalledTimes(3);
  memory.close();
});

test('host keys are read once for a version and a host', () => {
  const memory = new LoginMemory();
  const trust = (): HostTrust =>
    new HostTrust({ host: 'db', port: 22, user: 'x', name: 'ssh://db:22' }, [], undefined, true);
  const first = memory.trust('v1', 'ssh://db:22', trust);
  expect(memory.trust('v1', 'ssh://db:22', trust)).toBe(first);
  expect(memory.trust('v1', 'ssh://web:22', trust)).not.toBe(first);
  expect(memory.trust('v2', 'ssh://db:22', trust)).not.toBe(first);
});
