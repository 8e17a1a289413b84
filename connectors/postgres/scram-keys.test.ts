import { pbkdf2Sync } from 'node:crypto';
import { Secret } from 'secretless-sidecar/connector';
import { describe, expect, test } from 'vitest';
import { ScramKeyCache } from './scram-keys.ts';
import { scramKeys } from './scram.ts';

const password = new Secret('pencil');
const first = { salt: Buffer.from('salt of the server'), iterations: 4096 };
const expected = () => scramKeys(pbkdf2Sync('pencil', first.salt, first.iterations, 32, 'sha256'));

describe('the cache of SCRAM keys', () => {
  test('derives what RFC 5802 says, and has it at hand the next time', async () => {
    const cache = new ScramKeyCache();
    expect(cache.held('v1', first)).toBeUndefined();
    expect(await cache.derive({ version: 'v1', password, ...first })).toEqual(expected());
    expect(cache.held('v1', first)).toEqual(expected());
  });

  test('keeps apart versions, salts and iterations', async () => {
    const cache = new ScramKeyCache();
    await cache.derive({ version: 'v1', password, ...first });
    expect(cache.held('v2', first)).toBeUndefined();
    expect(cache.held('v1', { ...first, iterations: 4097 })).toBeUndefined();
    expect(cache.held('v1', { ...first, salt: Buffer.from('another') })).toBeUndefined();
  });

  test('overwrites the keys of a version once there is another', async () => {
    const cache = new ScramKeyCache();
    await cache.derive({ version: 'v1', password, ...first });
    const held = cache.held('v1', first)!;
    await cache.derive({ version: 'v2', password: new Secret('newer'), ...first });
    expect(held).toEqual({ clientKey: Buffer.alloc(32), serverKey: Buffer.alloc(32) });
    expect(cache.held('v1', first)).toBeUndefined();
  });

  test('overwrites everything when it is closed, and keeps nothing after', async () => {
    const cache = new ScramKeyCache();
    await cache.derive({ version: 'v1', password, ...first });
    const held = cache.held('v1', first)!;
    cache.close();
    expect(held.clientKey).toEqual(Buffer.alloc(32));
    expect(await cache.derive({ version: 'v1', password, ...first })).toEqual(expected());
    expect(cache.held('v1', first)).toBeUndefined();
  });

  test('holds a handful: the oldest is overwritten', async () => {
    const cache = new ScramKeyCache();
    const salts = Array.from({ length: 9 }, (_, at) => Buffer.from(`salt ${at}`));
    await cache.derive({ version: 'v1', password, salt: salts[0]!, iterations: 4096 });
    const held = cache.held('v1', { salt: salts[0]!, iterations: 4096 })!;
    for (const salt of salts.slice(1)) await cache.derive({ version: 'v1', password, salt, iterations: 4096 });
    expect(held.clientKey).toEqual(Buffer.alloc(32));
    expect(cache.held('v1', { salt: salts[8]!, iterations: 4096 })).toBeDefined();
  });

  test('derives once for all who ask at the same time, and gives each a copy', async () => {
    const cache = new ScramKeyCache();
    const all = await Promise.all([1, 2, 3].map(() => cache.derive({ version: 'v1', password, ...first })));
    all[0]!.clientKey.fill(0);
    expect(all[1]).toEqual(expected());
    expect(cache.held('v1', first)).toEqual(expected());
  });

  test('the password may be wiped as soon as the derivation has begun', async () => {
    const lent = new Secret('pencil');
    const derived = new ScramKeyCache().derive({ version: 'v1', password: lent, ...first });
    lent.wipe();
    expect(await derived).toEqual(expected());
  });
});
