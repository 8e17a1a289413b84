import { Worker } from 'node:worker_threads';
import { percentile } from '../harness/statistics.ts';
import type { Load } from './messages.ts';
import type { Answer, Wire } from './wire.ts';

/** Traffic on wires of any kind. */
export interface WireTraffic {
  readonly make: (onEnd: (answer: Answer | Error) => void) => Wire;
  readonly connections: number;
  /** A whole request without body, as text. */
  readonly request: string;
}

class Tally {
  readonly times: number[] = [];
  readonly lateness: number[] = [];
  inTime = 0;
  exchanges = 0;
  failures = 0;
  firstFailure: string | undefined;

  count(answer: Answer | Error, ms: number, inTime: boolean): void {
    this.exchanges += 1;
    if (answer instanceof Error || answer.status !== 200) {
      this.failures += 1;
      this.firstFailure ??= answer instanceof Error ? answer.message : `status ${answer.status}`;
      return;
    }
    this.times.push(ms);
    if (inTime) this.inTime += 1;
  }

  load(ms: number): Load {
    const times = Float64Array.from(this.times).sort();
    const lateness = Float64Array.from(this.lateness).sort();
    const { exchanges, failures, firstFailure } = this;
    const perSecond = this.inTime / (ms / 1000);
    const late = lateness.length === 0 ? 0 : percentile(lateness, 0.5);
    return {
      perSecond,
      exchanges,
      failures,
      firstFailure,
      p50: percentile(times, 0.5),
      p99: percentile(times, 0.99),
      late,
    };
  }
}

/** Every connection sends its next request as soon as it has its answer. */
export async function closedLoop({ make, connections, request }: WireTraffic, ms: number): Promise<Load> {
  const bytes = Buffer.from(request, 'latin1');
  const tally = new Tally();
  const until = performance.now() + ms;
  await Promise.all(
    Array.from(
      { length: connections },
      () =>
        new Promise<void>((resolve) => {
          let sentAt = 0;
          const wire = make((answer) => {
            const now = performance.now();
            tally.count(answer, now - sentAt, now <= until);
            if (now < until) again();
            else end();
          });
          const again = (): void => {
            sentAt = performance.now();
            wire.send(bytes);
          };
          const end = (): void => {
            wire.close();
            resolve();
          };
          again();
        }),
    ),
  );
  return tally.load(ms);
}

/** Sleeps to a fraction of a millisecond, which timers of the event loop cannot; tells the instant of each tick. */
const PACER = `
const { parentPort, workerData: { gapMs } } = require('node:worker_threads');
const cell = new Int32Array(new SharedArrayBuffer(4));
const now = () => Number(process.hrtime.bigint()) / 1e6;
const begin = now() + 20;
for (let at = 0; ; at += 1) {
  const due = begin + at * gapMs;
  const wait = due - now();
  if (wait > 0) Atomics.wait(cell, 0, 0, wait);
  parentPort.postMessage(due);
}`;

/** Milliseconds of the clock that all threads share. */
function sharedNow(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/**
 * Requests at fixed instants, whether or not earlier ones were answered. A request's time runs from the instant it was
 * due, not from when a connection was free for it, so that a stall counts for all who would have waited.
 */
export async function openLoop(
  { make, connections, request }: WireTraffic,
  ms: number,
  perSecond: number,
): Promise<Load> {
  const bytes = Buffer.from(request, 'latin1');
  const gapMs = 1000 / perSecond;
  // At least one: on a machine so slow that none is due in this time there would be no answer to wait for.
  const total = Math.max(1, Math.floor((ms * perSecond) / 1000));
  const tally = new Tally();
  const waiting: number[] = [];
  const idle: ((due: number) => void)[] = [];
  const wires: Wire[] = [];
  const pacer = new Worker(PACER, { eval: true, workerData: { gapMs } });
  await new Promise<void>((resolve) => {
    for (let at = 0; at < connections; at += 1) {
      let due = 0;
      const start = (instant: number): void => {
        due = instant;
        wire.send(bytes);
      };
      const wire = make((answer) => {
        tally.count(answer, sharedNow() - due, true);
        const queued = waiting.shift();
        if (queued === undefined) idle.push(start);
        else start(queued);
        if (tally.exchanges === total) resolve();
      });
      wires.push(wire);
      idle.push(start);
    }
    let sent = 0;
    pacer.on('message', (due: number) => {
      if (sent === total) return;
      sent += 1;
      tally.lateness.push(sharedNow() - due);
      const start = idle.pop();
      if (start === undefined) waiting.push(due);
      else start(due);
    });
  });
  await pacer.terminate();
  for (const wire of wires) wire.close();
  return tally.load(ms);
}
