import { describe, expect, test } from 'vitest';
import type { TimeWindow } from './rules.ts';
import { compileWindow } from './time-window.ts';

function isOpen(time: TimeWindow, instant: string): boolean {
  return compileWindow(time)(new Date(instant));
}

/** Every stretch of minutes in which the window is open, as `HH:MM` of UTC, end exclusive. */
function openings(time: TimeWindow, start: string, hours: number): string[] {
  const window = compileWindow(time);
  const first = Date.parse(start);
  const clock = (minute: number): string => new Date(first + minute * 60_000).toISOString().slice(11, 16);
  const stretches: string[] = [];
  let since: number | undefined;
  for (let minute = 0; minute <= hours * 60; minute += 1) {
    const open = minute < hours * 60 && window(new Date(first + minute * 60_000));
    if (open) since ??= minute;
    else if (since !== undefined) {
      stretches.push(`${clock(since)}-${clock(minute)}`);
      since = undefined;
    }
  }
  return stretches;
}

describe('a window within one day', () => {
  const office: TimeWindow = { from: '09:00', to: '18:00', zone: 'Europe/Zurich', days: ['mon', 'fri'] };
  test.each<[string, boolean]>([
    ['2026-01-05T07:59:59.999Z', false],
    ['2026-01-05T08:00:00Z', true],
    ['2026-01-05T16:59:59.999Z', true],
    ['2026-01-05T17:00:00Z', false],
    ['2026-07-06T07:00:00Z', true],
    ['2026-07-06T16:00:00Z', false],
    ['2026-01-06T12:00:00Z', false],
    ['2026-01-09T12:00:00Z', true],
  ])('office hours at %s: %s', (instant, expected) => {
    expect(isOpen(office, instant)).toBe(expected);
  });

  test('the day is that of the zone, not of UTC', () => {
    // Sunday 20:00 UTC is Monday 09:00 in Auckland (summer time).
    expect(isOpen({ days: ['mon'], zone: 'Pacific/Auckland' }, '2026-01-04T20:00:00Z')).toBe(true);
    expect(isOpen({ days: ['sun'], zone: 'Pacific/Auckland' }, '2026-01-04T20:00:00Z')).toBe(false);
  });
});

describe('what is left out', () => {
  test.each<[TimeWindow, string, boolean]>([
    [{}, '2026-01-05T00:00:00Z', true],
    [{ from: '12:00' }, '2026-01-05T11:59:00Z', false],
    [{ from: '12:00' }, '2026-01-05T23:59:59Z', true],
    [{ to: '12:00' }, '2026-01-05T00:00:00Z', true],
    [{ to: '12:00' }, '2026-01-05T12:00:00Z', false],
    [{ to: '24:00' }, '2026-01-05T23:59:00Z', true],
    [{ days: ['mon'] }, '2026-01-05T23:59:59Z', true],
    [{ days: ['mon'] }, '2026-01-06T00:00:00Z', false],
    [{ from: '22:00', to: '00:00', days: ['mon'] }, '2026-01-05T23:59:00Z', true],
    [{ from: '22:00', to: '00:00', days: ['mon'] }, '2026-01-06T00:00:00Z', false],
  ])('%j at %s: %s', (time, instant, expected) => {
    expect(isOpen(time, instant)).toBe(expected);
  });
});

describe('an overnight window belongs to the day it begins on', () => {
  const nights: TimeWindow = { from: '22:00', to: '06:00', days: ['fri', 'sun'] };
  test.each<[string, string, boolean]>([
    ['Friday morning', '2026-01-09T05:00:00Z', false],
    ['Friday before', '2026-01-09T21:59:00Z', false],
    ['Friday night', '2026-01-09T22:00:00Z', true],
    ['Saturday morning', '2026-01-10T05:59:59Z', true],
    ['Saturday at its end', '2026-01-10T06:00:00Z', false],
    ['Saturday night', '2026-01-10T23:00:00Z', false],
    ['Sunday morning', '2026-01-11T03:00:00Z', false],
    ['Sunday night', '2026-01-11T23:00:00Z', true],
    ['Monday morning, over the end of the week', '2026-01-12T05:00:00Z', true],
  ])('%s', (_name, instant, expected) => {
    expect(isOpen(nights, instant)).toBe(expected);
  });
});

describe('daylight saving', () => {
  const zurich = 'Europe/Zurich';
  const newYork = 'America/New_York';
  const lordHowe = 'Australia/Lord_Howe';

  test.each<[string, TimeWindow, string, number, string[]]>([
    // Zurich, 2026-03-29: 01:00 UTC is 02:00 → 03:00.
    [
      'Zurich skips: a window around it is an hour shorter',
      { from: '01:00', to: '04:00', zone: zurich },
      '2026-03-28T22:00:00Z',
      12,
      ['00:00-02:00'],
    ],
    [
      'Zurich skips: a window inside never opens',
      { from: '02:00', to: '03:00', zone: zurich },
      '2026-03-28T22:00:00Z',
      12,
      [],
    ],
    [
      'Zurich skips: a window from inside opens after',
      { from: '02:30', to: '04:00', zone: zurich },
      '2026-03-28T22:00:00Z',
      12,
      ['01:00-02:00'],
    ],
    [
      'Zurich skips: a window to inside ends at the jump',
      { from: '01:00', to: '02:30', zone: zurich },
      '2026-03-28T22:00:00Z',
      12,
      ['00:00-01:00'],
    ],
    [
      'Zurich skips: a night is an hour shorter',
      { from: '22:00', to: '06:00', zone: zurich, days: ['sat'] },
      '2026-03-28T12:00:00Z',
      24,
      ['21:00-04:00'],
    ],
    // Zurich, 2026-10-25: 01:00 UTC is 03:00 → 02:00.
    [
      'Zurich doubles: a window around it is an hour longer',
      { from: '01:00', to: '04:00', zone: zurich },
      '2026-10-24T20:00:00Z',
      12,
      ['23:00-03:00'],
    ],
    [
      'Zurich doubles: the hour itself counts twice',
      { from: '02:00', to: '03:00', zone: zurich },
      '2026-10-24T20:00:00Z',
      12,
      ['00:00-02:00'],
    ],
    [
      'Zurich doubles: a window to inside opens twice',
      { from: '01:00', to: '02:30', zone: zurich },
      '2026-10-24T20:00:00Z',
      12,
      ['23:00-00:30', '01:00-01:30'],
    ],
    [
      'Zurich doubles: a window from inside opens twice',
      { from: '02:30', to: '04:00', zone: zurich },
      '2026-10-24T20:00:00Z',
      12,
      ['00:30-01:00', '01:30-03:00'],
    ],
    // New York, 2026-03-08: 07:00 UTC is 02:00 → 03:00; 2026-11-01: 06:00 UTC is 02:00 → 01:00.
    ['New York skips', { from: '01:30', to: '03:30', zone: newYork }, '2026-03-08T00:00:00Z', 24, ['06:30-07:30']],
    [
      'New York doubles',
      { from: '00:30', to: '01:30', zone: newYork },
      '2026-11-01T00:00:00Z',
      24,
      ['04:30-05:30', '06:00-06:30'],
    ],
    [
      'New York doubles: a night of Saturday',
      { from: '23:00', to: '05:00', zone: newYork, days: ['sat'] },
      '2026-10-31T12:00:00Z',
      36,
      ['03:00-10:00'],
    ],
    // Lord Howe moves by half an hour. 2026-04-04: 15:00 UTC is 02:00 → 01:30; 2026-10-03: 15:30 UTC is 02:00 → 02:30.
    [
      'Lord Howe doubles half an hour',
      { from: '01:30', to: '02:00', zone: lordHowe },
      '2026-04-04T06:00:00Z',
      18,
      ['14:30-15:30'],
    ],
    [
      'Lord Howe skips half an hour',
      { from: '01:00', to: '03:00', zone: lordHowe },
      '2026-10-03T06:00:00Z',
      18,
      ['14:30-16:00'],
    ],
    [
      'Lord Howe: a window inside the skip never opens',
      { from: '02:00', to: '02:30', zone: lordHowe },
      '2026-10-03T06:00:00Z',
      18,
      [],
    ],
  ])('%s', (_name, time, start, hours, expected) => {
    expect(openings(time, start, hours)).toEqual(expected);
  });
});

test('the answer is right in any order of moments, though the last minute is remembered', () => {
  const window = compileWindow({ from: '09:00', to: '10:00' });
  const at = (text: string): boolean => window(new Date(`2026-01-05T${text}Z`));
  expect([at('09:59:59'), at('10:00:00'), at('09:59:30'), at('08:59:59'), at('09:00:00')]).toEqual([
    true,
    false,
    true,
    false,
    true,
  ]);
});

test('an invalid date throws instead of falling into or out of a window', () => {
  expect(() => compileWindow({})(new Date(Number.NaN))).toThrow(RangeError);
});

test.each<[string, TimeWindow]>([
  ['an hour past the day', { from: '25:00' }],
  ['one digit', { from: '9:00' }],
  ['a minute past the hour', { to: '09:60' }],
  ['24:01', { to: '24:01' }],
  ['from 24:00', { from: '24:00' }],
  ['a line break after', { from: '09:00\n' }],
  ['nothing between from and to', { from: '09:00', to: '09:00' }],
  ['an unknown zone', { zone: 'Europe/Zürich' }],
  ['no days', { days: [] }],
  ['an unknown day', { days: ['monday' as never] }],
])('%s is refused', (_name, time) => {
  expect(() => compileWindow(time)).toThrow();
});
