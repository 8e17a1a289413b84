import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Secret } from '../credential/secret.ts';
import { SidecarError } from '../error.ts';
import { printable } from './printable.ts';

const CANARY = 'canary-51f0';

test('a secret prints as its mask wherever it lies', () => {
  const secret = new Secret(CANARY);
  expect(printable({ deep: { list: [secret] } })).toEqual({ deep: { list: ['[secret]'] } });
});

test('bytes print as their count', () => {
  expect(printable({ body: Buffer.from(CANARY) })).toEqual({ body: '[11 bytes]' });
});

test('a URL prints without user, query and fragment', () => {
  expect(printable(new URL(`https://user:${CANARY}@api.example:8443/a/b?key=${CANARY}#x`))).toBe(
    'https://api.example:8443/a/b',
  );
});

test('a sidecar error prints as code, fault, detail and the messages of its causes', () => {
  const root = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  const error = new SidecarError('upstream-unreachable', {
    detail: 'api.example',
    cause: new Error('dial', { cause: root }),
  });
  expect(printable({ error })).toEqual({
    error: {
      code: 'upstream-unreachable',
      fault: 'upstream',
      detail: 'api.example',
      causes: ['dial', 'connect ECONNREFUSED'],
    },
  });
});

test('an error prints none of its other fields and no stack', () => {
  const error = Object.assign(new Error('failed'), { options: { password: CANARY }, code: `${CANARY} text` });
  expect(printable(error)).toEqual({ detail: 'failed' });
});

test('something thrown that is no error prints as its type alone', () => {
  expect(printable(new Error('failed', { cause: CANARY }))).toEqual({ detail: 'failed', causes: ['[string]'] });
});

test('a chain of causes that bites its tail ends', () => {
  const error = new Error('round');
  error.cause = error;
  expect(printable(error)).toEqual({ detail: 'round', causes: Array(5).fill('round') });
});

test('an instance of a class prints as the name of the class', () => {
  class Pool {
    readonly password = CANARY;
  }
  expect(printable({ pool: new Pool(), map: new Map([[CANARY, 1]]) })).toEqual({ pool: '[Pool]', map: '[Map]' });
});

test('long text, long lists and cycles are bounded', () => {
  const cycle: Record<string, unknown> = { text: 'x'.repeat(10_000), list: Array(1000).fill(1) };
  cycle['self'] = cycle;
  expect(JSON.stringify(printable(cycle)).length).toBeLessThan(30_000);
});

test('whatever is logged can be written as JSON', () => {
  fc.assert(
    fc.property(fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true }), (value) => {
      expect(() => JSON.stringify(printable({ value }))).not.toThrow();
    }),
  );
});
