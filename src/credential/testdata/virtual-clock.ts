import type { Clock } from '../clock.ts';

interface Alarm {
  readonly at: number;
  readonly work: () => void;
}

/** A clock for tests: time passes only when `advance` says so. */
export class VirtualClock implements Clock {
  #seconds = 0;
  #wallOffset: number;
  readonly #alarms = new Set<Alarm>();

  constructor(start: Date = new Date('2030-01-01T00:00:00Z')) {
    this.#wallOffset = start.getTime();
  }

  monotonicSeconds(): number {
    return this.#seconds;
  }

  wall(): Date {
    return new Date(this.#wallOffset + this.#seconds * 1000);
  }

  after(seconds: number, work: () => void): () => void {
    const alarm: Alarm = { at: this.#seconds + seconds, work };
    this.#alarms.add(alarm);
    return () => this.#alarms.delete(alarm);
  }

  /** Timers that are set and have not run. */
  get pending(): number {
    return this.#alarms.size;
  }

  /** Lets that many seconds pass and runs what became due, in order. */
  advance(seconds: number): void {
    const end = this.#seconds + seconds;
    for (;;) {
      const due = [...this.#alarms].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#alarms.delete(due);
      this.#seconds = Math.max(this.#seconds, due.at);
      due.work();
    }
    this.#seconds = end;
  }

  /** Moves the wall clock alone, as an operator or NTP does. */
  stepWall(seconds: number): void {
    this.#wallOffset += seconds * 1000;
  }
}
