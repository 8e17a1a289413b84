/** What is kept until it is used up. */
export interface Perishable {
  /** Milliseconds since the epoch at which a new one is made. */
  readonly renewAt: number;
}

/**
 * The `max` things used last, each made by one for all who ask at a time and anew when its time has come. What could not
 * be made is not kept.
 */
export class FreshCache<Kept extends Perishable> {
  readonly #max: number;
  readonly #now: () => Date;
  readonly #make: (key: string) => Promise<Kept>;
  /** The one used last stands last. */
  readonly #kept = new Map<string, Kept>();
  readonly #making = new Map<string, Promise<Kept>>();

  constructor(max: number, now: () => Date, make: (key: string) => Promise<Kept>) {
    this.#max = max;
    this.#now = now;
    this.#make = make;
  }

  async get(key: string): Promise<Kept> {
    const kept = this.#kept.get(key);
    if (kept !== undefined && this.#now().getTime() < kept.renewAt) {
      this.#keep(key, kept);
      return kept;
    }
    const making = this.#making.get(key) ?? this.#start(key);
    return await making;
  }

  #start(key: string): Promise<Kept> {
    const making = this.#make(key)
      .then((made) => {
        this.#keep(key, made);
        return made;
      })
      .finally(() => this.#making.delete(key));
    this.#making.set(key, making);
    return making;
  }

  #keep(key: string, kept: Kept): void {
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > this.#max && oldest !== undefined) this.#kept.delete(oldest);
  }
}
