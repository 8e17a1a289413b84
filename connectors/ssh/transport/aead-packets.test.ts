import { randomBytes, randomInt } from 'node:crypto';
import { createRequire } from 'node:module';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Opener, Sealer } from './aead.ts';
import { AeadCipher, AeadDecipher } from './aead-packets.ts';
import { fillPadding } from './padding.ts';
import { poly1305Of, type Poly1305, type Poly1305Module } from './poly1305.ts';
import { Scratch, type Written } from './scratch.ts';
import type { Addon } from './ssh2-addon.ts';
import { openerFor, sealerFor } from './ssh2-ciphers.ts';
import { PACKET_BYTES_MAX } from './ssh2-source.ts';

const require = createRequire(import.meta.url);

interface StockCipher {
  allocPacket(bytes: number): Buffer;
  encrypt(packet: Buffer): void;
}
interface StockDecipher {
  decrypt(chunk: Buffer, start: number, end: number): unknown;
}
/** ssh2's own packets, as published. */
const stock = require('ssh2/lib/protocol/crypto.js') as {
  readonly init: Promise<void>;
  readonly CIPHER_INFO: Readonly<Record<string, { sslName: string; keyLen: number; blockLen: number }>>;
  createCipher(config: object): StockCipher;
  createDecipher(config: object): StockDecipher;
};
const addon = ((): Addon | undefined => {
  try {
    return require('ssh2/lib/protocol/crypto/build/Release/sshcrypto.node') as Addon;
  } catch {
    return undefined;
  }
})();
let poly1305: Poly1305;
beforeAll(async () => {
  await stock.init;
  const load = require('ssh2/lib/protocol/crypto/poly1305.js') as () => Promise<Poly1305Module>;
  poly1305 = poly1305Of(await load());
});

const CIPHERS = ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'chacha20-poly1305@openssh.com'] as const;
const WAYS = addon === undefined ? (['node'] as const) : (['addon', 'node'] as const);
const KINDS = CIPHERS.flatMap((cipher) => WAYS.map((way) => [cipher, way] as const));
type Kind = (typeof KINDS)[number];

interface Keys {
  readonly key: Buffer;
  readonly iv: Buffer;
}
function keysFor(name: string): Keys {
  return { key: randomBytes(stock.CIPHER_INFO[name]!.keyLen), iv: randomBytes(12) };
}

/** One direction between two ends of ours. */
function sealing([name, way]: Kind, { key, iv }: Keys, out: Buffer[], number = 3): AeadCipher {
  const { sslName, blockLen } = stock.CIPHER_INFO[name]!;
  const sealer: Sealer = sealerFor(
    sslName,
    { key, iv: Buffer.from(iv) },
    way === 'addon' ? addon : undefined,
    poly1305,
  )!;
  return new AeadCipher(sealer, blockLen, number, (bytes) => out.push(Buffer.from(bytes)));
}
function opening([name, way]: Kind, { key, iv }: Keys, onMessage: (message: Buffer) => void, number = 3): AeadDecipher {
  const { sslName, blockLen } = stock.CIPHER_INFO[name]!;
  const opener: Opener = openerFor(
    sslName,
    { key, iv: Buffer.from(iv) },
    way === 'addon' ? addon : undefined,
    poly1305,
  )!;
  return new AeadDecipher(opener, blockLen, number, (message) => void onMessage(message));
}
function send(cipher: AeadCipher | StockCipher, message: Buffer): void {
  const packet = cipher.allocPacket(message.length);
  packet.set(message, 5);
  cipher.encrypt(packet);
}
function messagesOf(lengths: readonly number[]): Buffer[] {
  return lengths.map((bytes) => randomBytes(bytes));
}
const LENGTHS = [
  1,
  2,
  9,
  10,
  11,
  12,
  15,
  16,
  17,
  100,
  1000,
  32 * 1024 + 9,
  ...Array.from({ length: 40 }, (_, at) => at + 1),
];

describe.each(KINDS)('packets of %s by %s', (...kind) => {
  const info = stock.CIPHER_INFO[kind[0]]!;

  test('are what ssh2 reads', () => {
    const keys = keysFor(kind[0]);
    const messages = messagesOf(LENGTHS);
    const out: Buffer[] = [];
    const cipher = sealing(kind, keys, out);
    for (const message of messages) send(cipher, message);
    const got: Buffer[] = [];
    const inbound = {
      onPayload: (message: Buffer) => void got.push(Buffer.from(message)),
      seqno: 3,
      decipherInfo: info,
    };
    const decipher = stock.createDecipher({
      inbound: { ...inbound, decipherKey: keys.key, decipherIV: Buffer.from(keys.iv), forceNative: true },
    });
    const all = Buffer.concat(out);
    decipher.decrypt(all, 0, all.length);
    expect(got).toEqual(messages);
  });

  test('that ssh2 wrote are read, however they are cut', () => {
    const keys = keysFor(kind[0]);
    const messages = messagesOf(LENGTHS);
    const out: Buffer[] = [];
    const outbound = { onWrite: (bytes: Buffer) => out.push(Buffer.from(bytes)), seqno: 3, cipherInfo: info };
    const cipher = stock.createCipher({
      outbound: { ...outbound, cipherKey: keys.key, cipherIV: Buffer.from(keys.iv), forceNative: true },
    });
    for (const message of messages) send(cipher, message);
    const all = Buffer.concat(out);
    for (const most of [all.length, 65_536, 40_000, 100, 1]) {
      const got: Buffer[] = [];
      const decipher = opening(kind, keys, (message) => got.push(Buffer.from(message)));
      for (let at = 0; at < all.length;) {
        const bytes = most === 1 ? 1 : randomInt(1, most + 1);
        const chunk = Buffer.from(all.subarray(at, at + bytes));
        decipher.decrypt(chunk, 0, chunk.length);
        at += bytes;
      }
      expect(got.length).toBe(messages.length);
      expect(Buffer.concat(got).equals(Buffer.concat(messages))).toBe(true);
    }
  });

  test('with any one bit changed are refused, and say nothing', () => {
    const keys = keysFor(kind[0]);
    const out: Buffer[] = [];
    send(sealing(kind, keys, out), randomBytes(40));
    const packet = Buffer.concat(out);
    for (let bit = 0; bit < packet.length * 8; bit += 1) {
      const changed = Buffer.from(packet);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      const got: Buffer[] = [];
      const decipher = opening(kind, keys, (message) => got.push(message));
      // A length that claims more waits for more: whatever comes then, the tag is wrong.
      const more = Buffer.concat([changed, Buffer.alloc(PACKET_BYTES_MAX)]);
      expect(() => decipher.decrypt(more, 0, more.length), `bit ${bit}`).toThrow();
      expect(got).toEqual([]);
    }
  });

  test('sent twice or out of order are refused', () => {
    const keys = keysFor(kind[0]);
    const out: Buffer[] = [];
    const cipher = sealing(kind, keys, out);
    send(cipher, Buffer.from('one'));
    const first = Buffer.concat(out.splice(0));
    send(cipher, Buffer.from('two'));
    const second = Buffer.concat(out.splice(0));
    for (const wrong of [Buffer.concat([first, first]), second]) {
      const decipher = opening(kind, keys, () => undefined);
      expect(() => decipher.decrypt(Buffer.from(wrong), 0, wrong.length)).toThrow();
    }
  });

  test.each([
    ['of padding that is too short', 3],
    ['of padding longer than the packet', 255],
  ])('%s are refused though the tag is right', (_name, padding) => {
    const keys = keysFor(kind[0]);
    const out: Buffer[] = [];
    const cipher = sealing(kind, keys, out);
    const packet = cipher.allocPacket(40);
    packet[4] = padding;
    cipher.encrypt(packet);
    const all = Buffer.concat(out);
    const decipher = opening(kind, keys, () => undefined);
    expect(() => decipher.decrypt(all, 0, all.length)).toThrow('a packet is badly padded');
  });

  test('are counted past the end of four bytes', () => {
    const keys = { ...keysFor(kind[0]), iv: Buffer.from('01020304ffffffffffffffff', 'hex') };
    const out: Buffer[] = [];
    const cipher = sealing(kind, keys, out, 2 ** 32 - 1);
    const got: string[] = [];
    const decipher = opening(kind, keys, (message) => got.push(message.toString()), 2 ** 32 - 1);
    for (const text of ['one', 'two', 'three']) send(cipher, Buffer.from(text));
    const all = Buffer.concat(out);
    decipher.decrypt(all, 0, all.length);
    expect([got, cipher.outSeqno, decipher.inSeqno]).toEqual([['one', 'two', 'three'], 2, 2]);
  });

  test('are neither written nor read after the end', () => {
    const keys = keysFor(kind[0]);
    const out: Buffer[] = [];
    const cipher = sealing(kind, keys, out);
    send(cipher, Buffer.from('one'));
    send(cipher, Buffer.from('two'));
    const all = Buffer.concat(out);
    cipher.free();
    send(cipher, Buffer.from('three'));
    expect(Buffer.concat(out)).toEqual(all);
    const got: string[] = [];
    const decipher = opening(kind, keys, (message) => {
      got.push(message.toString());
      decipher.free();
    });
    decipher.decrypt(all, 0, all.length);
    expect(got).toEqual(['one']);
  });

  describe.each(KINDS)('sent on as %s by %s', (...next) => {
    /** Both ends of two legs, with `pass` in between. */
    function through(
      messages: readonly Buffer[],
      cut: number,
      pass: (cipher: AeadCipher, message: Buffer) => void,
    ): { got: Buffer[]; written: number } {
      const [first, second] = [keysFor(kind[0]), keysFor(next[0])];
      const [one, two]: [Buffer[], Buffer[]] = [[], []];
      const source = sealing(kind, first, one);
      for (const message of messages) send(source, message);
      const cipher = sealing(next, second, two);
      const middle = opening(kind, first, (message) => pass(cipher, message));
      const all = Buffer.concat(one);
      for (let at = 0; at < all.length; at += cut) {
        const chunk = Buffer.from(all.subarray(at, at + cut));
        middle.decrypt(chunk, 0, chunk.length);
      }
      const got: Buffer[] = [];
      const sink = opening(next, second, (message) => got.push(Buffer.from(message)));
      const written = Buffer.concat(two);
      sink.decrypt(written, 0, written.length);
      return { got, written: written.length };
    }

    test('arrive as they were, whole or cut', () => {
      const messages = messagesOf(LENGTHS);
      let inPlace = 0;
      for (const cut of [1 << 20, 65_536, 40_000, 33]) {
        const { got } = through(messages, cut, (cipher, message) => {
          if (cipher.forward(message)) inPlace += 1;
          else send(cipher, message);
        });
        expect(Buffer.concat(got).equals(Buffer.concat(messages))).toBe(true);
        expect(got.length).toBe(messages.length);
      }
      if (kind[0] === next[0] && kind[1] === next[1]) expect(inPlace).toBeGreaterThan(messages.length);
    });

    /** Two messages in one read, of which the first `kept` are not sent on; what was written, and what ends the writes. */
    function freeing(kept: number) {
      const [first, second] = [keysFor(kind[0]), keysFor(next[0])];
      const packets: Buffer[] = [];
      const source = sealing(kind, first, packets);
      for (const message of [randomBytes(9_000), randomBytes(9_000)]) send(source, message);
      const chunk = Buffer.alloc(packets.reduce((sum, { length }) => sum + length, 0));
      Buffer.concat(packets).copy(chunk);
      const [out, ends]: [Buffer[], Written[]] = [[], []];
      const cipher = sealing(next, second, out);
      let seen = 0;
      const middle = opening(kind, first, (message) => {
        seen += 1;
        if (seen <= kept) return;
        const sent = cipher.forward(message, (bytes, lend) => {
          out.push(bytes);
          if (lend !== undefined) ends.push(lend());
        });
        if (!sent) send(cipher, message);
      });
      middle.scratch = new Scratch(chunk);
      middle.decrypt(chunk, 0, chunk.length);
      return { chunk, ends, out, over: () => middle.scratch!.over() };
    }

    test('leave no memory behind once they have been written, and not before', () => {
      const { chunk, ends, out, over } = freeing(0);
      // Room for the padding of the next leg may be missing: then it is a copy that goes on.
      if (ends.length < 2) return expect(over()).toBeGreaterThanOrEqual(chunk.length);
      expect(over()).toBe(0);
      ends[0]!();
      const sent = out.map(({ length }) => length);
      expect(chunk.length).toBeGreaterThan(18_000);
      expect(sent.at(-1)).toBeGreaterThan(0);
      ends[1]!();
      expect(chunk.length).toBe(0);
      expect(Math.max(...out.map(({ length }) => length))).toBeLessThan(9_000);
    });

    test('stay in memory where writing failed, or where one beside them did not go on', () => {
      const failed = freeing(0);
      failed.over();
      for (const end of failed.ends) end(new Error('gone'));
      expect(failed.chunk.length).toBeGreaterThan(18_000);
      const beside = freeing(1);
      expect(beside.over()).toBeGreaterThanOrEqual(beside.chunk.length);
      for (const end of beside.ends) end();
      expect(beside.chunk.length).toBeGreaterThan(18_000);
    });

    test('only while they are delivered, only once, and never another', () => {
      const tries: boolean[] = [];
      let kept: Buffer | undefined;
      through([randomBytes(50), randomBytes(50)], 1 << 20, (cipher, message) => {
        if (kept !== undefined) tries.push(cipher.forward(kept));
        tries.push(cipher.forward(Buffer.from(message)), cipher.forward(message.subarray(1)));
        kept = message;
      });
      expect(tries).toEqual([false, false, false, false, false]);
      through([randomBytes(50)], 1 << 20, (cipher, message) => {
        const sent = cipher.forward(message);
        expect(cipher.forward(message)).toBe(false);
        if (!sent) send(cipher, message);
      });
    });
  });
});

test.each(CIPHERS)('a length of %s that none may have is refused before there is memory for it', (name) => {
  const { sslName, blockLen } = stock.CIPHER_INFO[name]!;
  for (const bytes of [0, blockLen - 1, blockLen + 1, PACKET_BYTES_MAX + blockLen, 2 ** 32 - blockLen]) {
    const real = openerFor(sslName, keysFor(name), undefined, poly1305)!;
    const decipher = new AeadDecipher({ ...real, bodyBytes: () => bytes }, blockLen, 0, () => undefined);
    expect(() => decipher.decrypt(Buffer.alloc(4), 0, 4), String(bytes)).toThrow('of a length that none may have');
  }
});

test('padding is of random bytes, none of which goes out twice', () => {
  const packet = Buffer.alloc(64);
  const seen = new Set<string>();
  for (let at = 0; at < 2000; at += 1) {
    fillPadding(packet, 24, 40);
    seen.add(packet.toString('latin1', 24, 40));
  }
  expect(seen.size).toBe(2000);
  expect(packet.subarray(0, 24).equals(Buffer.alloc(24))).toBe(true);
  expect(packet.subarray(40).equals(Buffer.alloc(24))).toBe(true);
});
