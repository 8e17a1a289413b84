import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { boundedJson } from './bounded.ts';
import { GENESIS, formatLine } from './line.ts';
import { closed, decision } from './testdata/sample.ts';

const LONG = { bytesMax: 512, kept: 400 };
const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12);

test('a text is whole up to its bound, and beyond it a beginning with the digest of the whole', () => {
  expect(boundedJson('x'.repeat(512), LONG)).toBe(`"${'x'.repeat(512)}"`);
  const long = `/${'x'.repeat(512)}`;
  expect(JSON.parse(boundedJson(long, LONG))).toBe(`${long.slice(0, 400)}…sha256:${digestOf(long)}`);
});

test('any text takes no more than its bound, and is cut between characters', () => {
  const text = fc.string({
    unit: fc.constantFrom('a', '"', '\u0001', 'é', '€', '\u{1F600}'),
    maxLength: 900,
    size: 'max',
  });
  fc.assert(
    fc.property(text, (given) => {
      const json = boundedJson(given, LONG);
      expect(Buffer.byteLength(json)).toBeLessThanOrEqual(514);
      const back = JSON.parse(json) as string;
      expect(back.isWellFormed()).toBe(true);
      if (back === given) return;
      const [, beginning, digest] = /^(.*)…sha256:([0-9a-f]{12})$/su.exec(back)!;
      expect(given.startsWith(beginning!)).toBe(true);
      expect(digest).toBe(digestOf(given));
    }),
  );
});

test('a line stays under 2 KiB whatever a client sends', () => {
  const fillers = ['x', '"', '\u0001', '€', '\u{1F600}'];
  for (const filler of fillers) {
    const long = filler.repeat(30_000);
    const principal = { agent: 'a', attested: 'listener' } as const;
    const event = decision('c1-1', { method: long, path: `/${long}?${long}`, upstream: long, principal });
    expect(Buffer.byteLength(formatLine(event, 0, 1, GENESIS.hash))).toBeLessThan(2048);
    const refused = decision('c1-1', { method: long, path: long, reason: long, result: 'deny', principal });
    expect(Buffer.byteLength(formatLine(refused, 0, 1, GENESIS.hash))).toBeLessThan(2048);
  }
});

test('names and principals are bounded too', () => {
  const long = 'x'.repeat(30_000);
  const principal = {
    agent: long,
    tenant: long,
    run: long,
    tool: long,
    attested: 'listener',
    attributes: { [long]: long },
  } as const;
  const event = decision(long, { service: long, connector: long, rule: long, principal });
  expect(Buffer.byteLength(formatLine(event, 0, 1, GENESIS.hash))).toBeLessThan(3072);
  expect(formatLine({ ...closed('c'), listener: long }, 0, 1, GENESIS.hash).length).toBeLessThan(1024);
});

test('the digest of a long path is that of the path without its query', () => {
  const path = `/${'x'.repeat(600)}`;
  const line = formatLine(decision('c', { path: `${path}?key=canary` }), 0, 1, GENESIS.hash);
  expect(line).toContain(`sha256:${digestOf(path)}`);
  expect(line).not.toContain('canary');
});
