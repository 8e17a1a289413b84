import { numberText, table } from './table.ts';

/** A limit that a result is held to. */
export interface Limit<Result> {
  readonly bar: string;
  readonly limit: number;
  readonly unit: string;
  /** Absent: the value may not exceed the limit. */
  readonly atLeast?: true;
  /** Undefined: its phase did not run, or the system does not tell. */
  readonly value: (result: Result) => number | undefined;
}

export interface Bar {
  readonly bar: string;
  readonly limit: string;
  readonly measured: string;
  /** Missing where nothing was measured. */
  readonly met: boolean | undefined;
}

export function judgeLimits<Result>(limits: readonly Limit<Result>[], result: Result): Bar[] {
  return limits.map(({ bar, limit, unit, atLeast, value }) => {
    const measured = value(result);
    const met = measured === undefined ? undefined : atLeast === true ? measured >= limit : measured <= limit;
    return {
      bar,
      limit: `${atLeast === true ? '≥' : '≤'} ${limit} ${unit}`,
      measured: measured === undefined ? 'not measured' : `${numberText(measured)} ${unit}`,
      met,
    };
  });
}

export function barsText(bars: readonly Bar[]): string {
  const rows = bars.map(({ bar, limit, measured, met }) => [
    bar,
    limit,
    measured,
    met === undefined ? '-' : met ? 'met' : 'MISSED',
  ]);
  return table(['bar', 'limit', 'measured', ''], rows);
}
