import { expect, test } from 'vitest';
import { saslPrep } from './sasl-prep.ts';

test.each([
  ['ASCII as it is', Buffer.from('p w\x07'), Buffer.from('p w\x07')],
  ['U+2168 as its compatible letters', Buffer.from('I\u2168'), Buffer.from('IIX')],
  ['a soft hyphen as nothing', Buffer.from('I\u00adX'), Buffer.from('IX')],
  ['a space that is not ASCII as one', Buffer.from('a\u00a0b'), Buffer.from('a b')],
  ['bytes that are not UTF-8 as they are', Buffer.from([0x61, 0xff]), Buffer.from([0x61, 0xff])],
  ['prohibited text as it is', Buffer.from('\u2168\u0007'), Buffer.from('\u2168\u0007')],
  ['an emoji, unassigned in RFC 3454, as it is', Buffer.from('\u2168\u{1f600}'), Buffer.from('\u2168\u{1f600}')],
  ['what would be empty as it is', Buffer.from('\u00ad'), Buffer.from('\u00ad')],
])('takes %s', async (_, given, expected) => {
  expect(await saslPrep(given)).toEqual(expected);
});

test('answers with a copy, so that the caller may wipe both', async () => {
  const given = Buffer.from('pw');
  const prepared = await saslPrep(given);
  prepared.fill(0);
  expect(given.toString()).toBe('pw');
});
