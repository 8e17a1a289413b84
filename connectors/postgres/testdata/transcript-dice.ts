/** Chance that can be repeated, and what it does to a message. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer below `sides` (mulberry32). */
  roll(sides: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % sides;
  }

  pick<Each>(all: readonly Each[]): Each {
    return all[this.roll(all.length)]!;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let at = 0; at < length; at += 1) bytes[at] = this.roll(256);
    return bytes;
  }
}

const LENGTHS = [0, 1, 3, 4, 5, 7, 8, 9, 12, 64, 268, 9_999, 10_004, 10_005, 65_535, 65_536, 0x7fff_ffff, 0xffff_ffff];

/** The message with one thing wrong. `lengthAt`: where its length field stands, 0 or 1. */
export function mutated(dice: Dice, message: Buffer, lengthAt: number, types: string): Buffer {
  const bytes = Buffer.from(message);
  const bodyAt = lengthAt + 4;
  switch (dice.roll(10)) {
    case 0: {
      const at = dice.roll(bytes.length);
      bytes[at]! ^= 1 << dice.roll(8);
      return bytes;
    }
    case 1:
      bytes[dice.roll(bytes.length)] = dice.pick([0, 0x2c, 0x3d, 0x7f, 0xff]);
      return bytes;
    case 2:
      bytes.writeUInt32BE(dice.pick(LENGTHS), lengthAt);
      return bytes;
    case 3:
      bytes.writeUInt32BE((bytes.readUInt32BE(lengthAt) + dice.pick([-1, 1, -4, 4])) >>> 0, lengthAt);
      return bytes;
    case 4:
      return resized(bytes.subarray(0, bodyAt + dice.roll(bytes.length - bodyAt + 1)), lengthAt);
    case 5:
      return bytes.subarray(0, dice.roll(bytes.length));
    case 6: {
      const at = bodyAt + dice.roll(bytes.length - bodyAt + 1);
      const more = dice.bytes(1 + dice.roll(6));
      return resized(Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]), lengthAt);
    }
    case 7:
      if (lengthAt === 1) bytes[0] = dice.pick([...types]).charCodeAt(0);
      else bytes.writeUInt32BE(dice.pick([0x0003_0000, 0x0003_0002, 80_877_102, 80_877_103, 80_877_104, 0x0002_0000]), 4);
      return bytes;
    case 8:
      return Buffer.concat([bytes, bytes]);
    default:
      return dice.bytes(1 + dice.roll(24));
  }
}

function resized(bytes: Buffer, lengthAt: number): Buffer {
  const whole = Buffer.from(bytes);
  whole.writeUInt32BE(whole.length - lengthAt, lengthAt);
  return whole;
}
