/** Numbers that look random and are the same in every run (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** A whole number from 0 to `below - 1`. */
  roll(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below);
  }

  pick<Item>(from: readonly Item[]): Item {
    return from[this.roll(from.length)] as Item;
  }

  /** `message` with a few bytes changed, cut off, doubled or set to a large number. */
  mutate(message: Buffer): Buffer {
    let bent: Buffer = Buffer.from(message);
    for (let times = 1 + this.roll(3); times > 0; times--) bent = this.#once(bent);
    return bent;
  }

  #once(message: Buffer): Buffer {
    const at = this.roll(message.length + 1);
    switch (this.roll(5)) {
      case 0:
        return message.subarray(0, at);
      case 1:
        return Buffer.concat([message, Buffer.alloc(this.roll(40), this.roll(256))]);
      case 2:
        if (at + 4 <= message.length) message.writeUInt32BE(this.pick([0, 1, 0x7fffffff, 0x80000000, 0xffffffff, this.roll(2 ** 20)]), at);
        return message;
      case 3:
        return Buffer.concat([message.subarray(0, at), message.subarray(this.roll(at + 1))]);
      default:
        if (at < message.length) message[at] = this.roll(256);
        return message;
    }
  }
}
