import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { GENESIS, formatLine, hashLine, parseLine } from './line.ts';
import { closed, decision } from './testdata/sample.ts';

const at = Date.UTC(2026, 0, 2, 3, 4, 5, 6);

test('a decision becomes one line with its fields in a fixed order', () => {
  expect(formatLine(decision('c1', { reason: undefined }), at, 7, GENESIS.hash)).toBe(
    `{"time":"2026-01-02T03:04:05.006Z","seq":7,"type":"decision","id":"c1","service":"orders","connector":"http",` +
      `"principal":{"agent":"builder","run":"nightly","attested":"listener"},"rule":"read-orders","result":"allow",` +
      `"upstream":"https://orders.example","method":"GET","path":"/v1/orders","credentials":{"token":"v1"},` +
      `"prev":"${GENESIS.hash}"}`,
  );
});

test('the query of a path is never written, since it may hold a secret', () => {
  for (const path of ['/a?key=canary', '/a#canary', '/a?x#canary']) {
    const line = formatLine(decision('c1', { path }), at, 1, GENESIS.hash);
    expect(line).toContain('"path":"/a"');
    expect(line).not.toContain('canary');
  }
});

test('a duration is written to a thousandth, and one that is not finite as null', () => {
  expect(formatLine({ ...closed('c1'), ms: 1.23456 }, at, 1, GENESIS.hash)).toContain('"ms":1.235,');
  expect(formatLine({ ...closed('c1'), ms: Number.NaN }, at, 1, GENESIS.hash)).toContain('"ms":null,');
});

test('any text comes back from the line as it went in, and the line stays one line', () => {
  const unit = fc.string({ unit: 'binary' });
  fc.assert(
    fc.property(unit, unit, fc.dictionary(unit, unit), (id, reason, credentials) => {
      const line = formatLine(decision(id, { reason, credentials }), at, 3, GENESIS.hash);
      expect(line).not.toMatch(/[\n\r]/);
      const back = JSON.parse(Buffer.from(line).toString()) as Record<string, unknown>;
      expect(back).toMatchObject({ id, reason });
      expect(Object.entries(back['credentials'] as object)).toEqual(Object.entries(credentials));
      expect(parseLine(line)).toEqual({ seq: 3, prev: GENESIS.hash, type: 'decision', lost: undefined });
    }),
    { numRuns: 500 },
  );
});

test('the hash of a line is the SHA-256 of its bytes', () => {
  expect(hashLine('grün')).toBe(createHash('sha256').update('grün', 'utf8').digest('hex'));
  expect(hashLine(Buffer.from('grün'))).toBe(hashLine('grün'));
});

test('what is not a line of a ledger is not read as one', () => {
  const good = formatLine(decision('c1'), at, 1, GENESIS.hash);
  expect(parseLine(good)).toBeDefined();
  for (const bad of [
    '',
    '{}',
    '[]',
    'null',
    '1',
    good.slice(1),
    good.replace('"seq":1', '"seq":0'),
    good.replace('"prev":"0', '"prev":"x'),
  ]) {
    expect(parseLine(bad)).toBeUndefined();
  }
});
