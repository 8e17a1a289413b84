/** How many of something run for each name, with a most. */
export class Tally {
  readonly #running = new Map<string, number>();

  /** Counts one; undefined where `max` run already. Returns what ends it, once. */
  begin(name: string, max: number): (() => void) | undefined {
    const running = this.#running.get(name) ?? 0;
    if (running >= max) return undefined;
    this.#running.set(name, running + 1);
    let over = false;
    return () => {
      if (over) return;
      over = true;
      const left = this.#running.get(name)! - 1;
      if (left === 0) this.#running.delete(name);
      else this.#running.set(name, left);
    };
  }
}
