import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Secret } from './secret.ts';
import { combineVersions, versionOf } from './version.ts';

it('two secrets have the same version exactly when their bytes are the same', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 8 }), fc.uint8Array({ maxLength: 8 }), (a, b) => {
      const same = Buffer.from(a).equals(b);
      expect(versionOf(new Secret(a)) === versionOf(new Secret(b))).toBe(same);
    }),
  );
});

it('a version is 12 hex digits and no plain hash of the secret', async () => {
  const { createHash } = await import('node:crypto');
  const version = versionOf(new Secret('hunter2'));
  expect(version).toMatch(/^[0-9a-f]{12}$/);
  expect(createHash('sha256').update('hunter2').digest('hex')).not.toContain(version);
});

it('a version is remembered with the secret, even past its wiping', () => {
  const secret = new Secret('hunter2');
  const version = versionOf(secret);
  secret.wipe();
  expect(versionOf(secret)).toBe(version);
});

it('a combined version follows names and versions and not their order', () => {
  expect(combineVersions({ a: '1', b: '2' })).toBe(combineVersions({ b: '2', a: '1' }));
  expect(combineVersions({ a: '1', b: '2' })).not.toBe(combineVersions({ a: '2', b: '1' }));
  expect(combineVersions({ a: '1' })).not.toBe(combineVersions({ b: '1' }));
});
