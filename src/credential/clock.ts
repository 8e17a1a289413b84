/** Time as the credential source sees it; tests pass a virtual one. */
export interface Clock {
  /** Seconds since any fixed point; never steps back, whatever happens to the wall clock. */
  monotonicSeconds(): number;
  /** The wall clock: only to read an `expiresAt` that a provider states as a date. */
  wall(): Date;
  /** Runs `work` once after so many seconds; the returned function cancels. Does not keep the process alive. */
  after(seconds: number, work: () => void): () => void;
}

/** Longest delay that setTimeout honours; anything above fires at once. */
const DELAY_MILLISECONDS_MAX = 2 ** 31 - 1;

export const systemClock: Clock = {
  monotonicSeconds: () => performance.now() / 1000,
  wall: () => new Date(),
  after(seconds, work) {
    const timer = setTimeout(work, Math.min(seconds * 1000, DELAY_MILLISECONDS_MAX));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
