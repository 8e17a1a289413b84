import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RateWindows } from './rate.ts';

/** Lets a use through and counts it, or says how long to wait. */
function use(
  rates: RateWindows,
  perMinute: number,
  at: number,
  agent = 'agent',
  rule = 'rule',
  service = 'service',
): number {
  const wait = rates.waitMilliseconds(rule, agent, service, perMinute, at);
  if (wait === 0) rates.count(rule, agent, service, perMinute, at);
  return wait;
}

test('N uses fit, the next waits until the first has left the window', () => {
  const rates = new RateWindows();
  expect([use(rates, 2, 0), use(rates, 2, 10_000), use(rates, 2, 20_000)]).toEqual([0, 0, 40_000]);
  expect([use(rates, 2, 59_999), use(rates, 2, 60_000), use(rates, 2, 60_000)]).toEqual([1, 0, 10_000]);
});

test('asking counts nothing', () => {
  const rates = new RateWindows();
  for (let asked = 0; asked < 10; asked += 1) expect(rates.waitMilliseconds('r', 'a', 's', 1, 0)).toBe(0);
  expect(rates.keys).toBe(0);
});

test('a burst over the edge of a minute is not allowed twice, as a fixed window would', () => {
  const rates = new RateWindows();
  const allowed = [59_000, 59_500, 60_000, 60_500].filter((at) => use(rates, 2, at) === 0);
  expect(allowed).toEqual([59_000, 59_500]);
});

test('each rule, agent and service has its own window, however the names are cut', () => {
  const rates = new RateWindows();
  const names = [
    ['a', 'bc', 'd'],
    ['ab', 'c', 'd'],
    ['a', 'b', 'cd'],
    ['a', 'bc', 'e'],
    ['1 1', 'a', 'b'],
    ['1', ' 1a', 'b'],
  ];
  for (const [rule, agent, service] of names) expect(use(rates, 1, 0, agent, rule, service)).toBe(0);
  for (const [rule, agent, service] of names) expect(use(rates, 1, 1, agent, rule, service)).toBeGreaterThan(0);
});

test('a clock that goes back opens nothing', () => {
  const rates = new RateWindows();
  expect([use(rates, 1, 100_000), use(rates, 1, 10_000), use(rates, 1, 159_999), use(rates, 1, 160_000)]).toEqual([
    0, 60_000, 1, 0,
  ]);
});

describe('any sequence of moments', () => {
  const steps = fc.array(fc.oneof(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 0, max: 40_000 })), {
    maxLength: 300,
  });

  test('lets through exactly what a brute force over all earlier uses does, and never more than N in 60 s', () => {
    const property = fc.property(steps, fc.integer({ min: 1, max: 20 }), (gaps, perMinute) => {
      const rates = new RateWindows();
      const allowed: number[] = [];
      let at = 0;
      for (const gap of gaps) {
        at += gap;
        const recent = allowed.filter((time) => at - time < 60_000);
        const expected = recent.length < perMinute ? 0 : recent.at(-perMinute)! + 60_000 - at;
        expect(use(rates, perMinute, at)).toBe(expected);
        if (expected === 0) allowed.push(at);
      }
      for (const start of allowed) {
        const inside = allowed.filter((time) => start <= time && time < start + 60_000);
        expect(inside.length).toBeLessThanOrEqual(perMinute);
      }
    });
    fc.assert(property, { numRuns: 300 });
  });

  test('and any change of N on the way: what is let through obeys the N of its own moment', () => {
    const property = fc.property(
      fc.array(fc.tuple(fc.integer({ min: 0, max: 9_000 }), fc.integer({ min: 1, max: 30 })), { maxLength: 300 }),
      (moments) => {
        const rates = new RateWindows();
        const allowed: number[] = [];
        let at = 0;
        for (const [gap, perMinute] of moments) {
          at += gap;
          const fits = allowed.filter((time) => at - time < 60_000).length < perMinute;
          expect(use(rates, perMinute, at) === 0).toBe(fits);
          if (fits) allowed.push(at);
        }
      },
    );
    fc.assert(property, { numRuns: 300 });
  });

  test('and fractions of milliseconds: whoever waits as told is let through', () => {
    const moments = fc.array(fc.double({ min: 0, max: 20_000, noNaN: true }), { minLength: 1, maxLength: 60 });
    const property = fc.property(moments, fc.integer({ min: 1, max: 5 }), (gaps, perMinute) => {
      const rates = new RateWindows();
      let at = 0;
      for (const gap of gaps) {
        at += gap;
        const wait = use(rates, perMinute, at);
        if (wait === 0) continue;
        const later = at + Math.ceil(wait / 1000) * 1000;
        expect(rates.waitMilliseconds('rule', 'agent', 'service', perMinute, later)).toBeLessThan(0.001);
      }
    });
    fc.assert(property, { numRuns: 300 });
  });
});

describe('memory', () => {
  test('grows with what is used, not with what is allowed', () => {
    const rates = new RateWindows();
    expect(use(rates, 1_000_000, 0)).toBe(0);
    expect(rates.times).toBeLessThan(100);
    for (let at = 0; at < 1_000_000; at += 100) expect(use(rates, 1_000_000, at)).toBe(0);
    expect(rates.times).toBeLessThan(2_000);
  });

  test('is given back when keys are idle for a minute', () => {
    const rates = new RateWindows();
    for (let agent = 0; agent < 100; agent += 1) use(rates, 5, agent, `agent ${agent}`);
    expect(rates.keys).toBe(100);
    use(rates, 5, 60_050, 'late');
    expect(rates.keys).toBe(50);
    use(rates, 5, 200_000, 'later');
    expect(rates.keys).toBe(1);
    expect(rates.times).toBe(5);
  });

  test('full of keys, refuses new ones and serves those it has; idle ones make room', () => {
    const rates = new RateWindows({ keysMax: 2 });
    expect([use(rates, 3, 0, 'a'), use(rates, 3, 30_000, 'b'), use(rates, 3, 31_000, 'c')]).toEqual([0, 0, 60_000]);
    expect([use(rates, 3, 31_000, 'a'), use(rates, 3, 31_000, 'b')]).toEqual([0, 0]);
    expect(use(rates, 3, 92_000, 'c')).toBe(0);
    expect(rates.keys).toBe(1);
  });

  test('without the limit the third key would be let through', () => {
    const rates = new RateWindows({ keysMax: 3 });
    expect([use(rates, 3, 0, 'a'), use(rates, 3, 0, 'b'), use(rates, 3, 0, 'c')]).toEqual([0, 0, 0]);
  });

  test('full of times, a key gets no more than fit, and never stops for good', () => {
    const rates = new RateWindows({ timesMax: 8 });
    const allowed = Array.from({ length: 20 }, (_, at) => use(rates, 100, at)).filter((wait) => wait === 0);
    expect(allowed).toHaveLength(8);
    expect(use(rates, 100, 59_999)).toBe(1);
    expect(use(rates, 100, 60_000)).toBe(0);
    expect(rates.times).toBe(8);
  });
});
