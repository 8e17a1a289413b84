import type { TimeWindow, Weekday } from './rules.ts';

/** Whether the window is open at that moment. */
export type Window = (now: Date) => boolean;

const WEEK: readonly Weekday[] = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const DAY_MINUTES = 24 * 60;
const MINUTE_MILLISECONDS = 60_000;

/** What a clock on the wall shows. */
interface WallTime {
  /** 0 = Monday. */
  readonly weekday: number;
  /** Minutes since 00:00. */
  readonly minute: number;
}

/**
 * A window is read off the wall clock of its zone: a moment is inside if the clock then shows a time inside. So, where
 * the clock is put forward, the skipped times never come: a window from 02:30 opens at 03:00, and one that lies
 * wholly in the skipped hour does not open that day. Where it is put back, the doubled hour counts both times: a
 * window over it lasts an hour longer, and one that ends within it opens a second time.
 *
 * Throws an Error with the reason.
 */
export function compileWindow(time: TimeWindow): Window {
  const from = time.from === undefined ? 0 : minutesOf(time.from);
  const to = time.to === undefined ? DAY_MINUTES : minutesOf(time.to);
  if (from === to) throw new Error('begins and ends at the same time; leave `from` and `to` out for whole days');
  if (from === DAY_MINUTES) throw new Error('begins at 24:00; write 00:00');
  const begins = daysOf(time.days);
  const wallClock = wallClockOf(time.zone ?? 'UTC');

  return (now) => {
    const { weekday, minute } = wallClock(now);
    if (from < to) return from <= minute && minute < to && begins[weekday]!;
    return minute >= from ? begins[weekday]! : minute < to && begins[(weekday + 6) % 7]!;
  };
}

function minutesOf(text: string): number {
  if (!/^(?:[01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$/.test(text)) throw new Error(`"${text}" is no time HH:MM`);
  return Number(text.slice(0, 2)) * 60 + Number(text.slice(3));
}

function daysOf(days: readonly Weekday[] | undefined): readonly boolean[] {
  if (days?.length === 0) throw new Error('names no day');
  const unknown = days?.find((day) => !WEEK.includes(day));
  if (unknown !== undefined) throw new Error(`"${String(unknown)}" is no day (${WEEK.join(', ')})`);
  return WEEK.map((day) => days === undefined || days.includes(day));
}

/** By zone: rules share a clock, so that a decision reads each at most once. */
const wallClocks = new Map<string, (now: Date) => WallTime>();

function wallClockOf(zone: string): (now: Date) => WallTime {
  const known = wallClocks.get(zone);
  if (known !== undefined) return known;
  const wallClock = makeWallClock(zone);
  wallClocks.set(zone, wallClock);
  return wallClock;
}

/** Formatting costs microseconds, so the last minute is kept: offsets are whole minutes in every zone of today. */
function makeWallClock(zone: string): (now: Date) => WallTime {
  let format: Intl.DateTimeFormat;
  try {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
  } catch {
    throw new Error(`"${zone}" is no time zone`);
  }
  let shownAt = Number.NaN;
  let shown: WallTime = { weekday: 0, minute: 0 };
  return (now) => {
    const at = Math.floor(now.getTime() / MINUTE_MILLISECONDS);
    if (at !== shownAt) {
      shown = readClock(format, now);
      shownAt = at;
    }
    return shown;
  };
}

function readClock(format: Intl.DateTimeFormat, now: Date): WallTime {
  const parts = new Map(format.formatToParts(now).map((part) => [part.type, part.value]));
  const weekday = WEEK.indexOf(parts.get('weekday')!.toLowerCase() as Weekday);
  return { weekday, minute: Number(parts.get('hour')) * 60 + Number(parts.get('minute')) };
}
