import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { amzDateOf, timeOfAmzDate } from './string-to-sign.ts';

const FIRST = new Date('0000-01-01T00:00:00Z');
const LAST = new Date('9999-12-31T23:59:59Z');

describe('dates of a signature', () => {
  test('are those of ISO 8601 without its marks', () => {
    fc.assert(
      fc.property(fc.date({ min: FIRST, max: LAST, noInvalidDate: true }), (time) => {
        const iso = time.toISOString();
        const written = amzDateOf(time);
        expect(written).toBe(`${iso.slice(0, 19).replace(/[-:]/g, '')}Z`);
        expect(timeOfAmzDate(written).toISOString()).toBe(`${iso.slice(0, 19)}.000Z`);
      }),
    );
  });

  test('hold at both ends, in leap years and in the first century', () => {
    for (const text of [
      '00000101T000000Z',
      '00000229T000000Z',
      '00990228T235959Z',
      '20240229T120000Z',
      '99991231T235959Z',
    ])
      expect(amzDateOf(timeOfAmzDate(text))).toBe(text);
  });

  test.each([
    '20230229T000000Z',
    '20230001T000000Z',
    '20231301T000000Z',
    '20230132T000000Z',
    '20230101T240000Z',
    '20230101T006000Z',
    '20230101T000060Z',
    '20230101T000000',
    '2023-01-01T00:00:00Z',
    '+020230101T0000Z',
    '２０２３0101T000000Z',
    '',
  ])('%j is none', (text) => {
    expect(() => timeOfAmzDate(text)).toThrow('the date is not of the form');
  });

  test.each([new Date(Number.NaN), new Date(FIRST.getTime() - 1), new Date(LAST.getTime() + 1000)])(
    '%s cannot be written',
    (time) => {
      expect(() => amzDateOf(time)).toThrow('outside the years');
    },
  );
});
