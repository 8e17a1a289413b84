/** CRCs that Node does not bring: reflected, all bits set at the start and turned at the end. */

/** Castagnoli (RFC 3385 section 3, RFC 9260 appendix A), reflected. */
const CRC32C = 0x82f63b78;
/** CRC-64/NVME (NVM Express NVM Command Set Specification, section 5.2.1.3.4), reflected: 0x9a6c9329ac4bc9b5. */
const NVME_HIGH = 0x9a6c9329;
const NVME_LOW = 0xac4bc9b5;
/** Bytes taken at a time: one table for each. */
const STRIDE = 8;

/** `tables[k][byte]`: what a byte is worth when k more bytes follow it; made at the first use, 8 and 16 KiB. */
let tables32: readonly Uint32Array[] | undefined;
let tables64: { readonly high: readonly Uint32Array[]; readonly low: readonly Uint32Array[] } | undefined;

export class Crc32c {
  #crc = 0xffffffff;

  /** The checksum of all bytes so far. */
  get value(): number {
    return ~this.#crc >>> 0;
  }

  update(bytes: Uint8Array): void {
    const [t0, t1, t2, t3, t4, t5, t6, t7] = (tables32 ??= makeTables32()) as Uint32Array[];
    let crc = this.#crc;
    let at = 0;
    for (const end = bytes.length - (STRIDE - 1); at < end; at += STRIDE) {
      crc =
        t7![(crc ^ bytes[at]!) & 0xff]! ^
        t6![((crc >>> 8) ^ bytes[at + 1]!) & 0xff]! ^
        t5![((crc >>> 16) ^ bytes[at + 2]!) & 0xff]! ^
        t4![(crc >>> 24) ^ bytes[at + 3]!]! ^
        t3![bytes[at + 4]!]! ^
        t2![bytes[at + 5]!]! ^
        t1![bytes[at + 6]!]! ^
        t0![bytes[at + 7]!]!;
    }
    for (; at < bytes.length; at += 1) crc = t0![(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
    this.#crc = crc;
  }
}

/** 64 bits in two halves: BigInt would take a hundred times as long. */
export class Crc64Nvme {
  #high = 0xffffffff;
  #low = 0xffffffff;

  get high(): number {
    return ~this.#high >>> 0;
  }

  get low(): number {
    return ~this.#low >>> 0;
  }

  update(bytes: Uint8Array): void {
    const { high: h, low: l } = (tables64 ??= makeTables64());
    let high = this.#high;
    let low = this.#low;
    let at = 0;
    for (const end = bytes.length - (STRIDE - 1); at < end; at += STRIDE) {
      const a = (low ^ bytes[at]!) & 0xff;
      const b = ((low >>> 8) ^ bytes[at + 1]!) & 0xff;
      const c = ((low >>> 16) ^ bytes[at + 2]!) & 0xff;
      const d = (low >>> 24) ^ bytes[at + 3]!;
      const e = (high ^ bytes[at + 4]!) & 0xff;
      const f = ((high >>> 8) ^ bytes[at + 5]!) & 0xff;
      const g = ((high >>> 16) ^ bytes[at + 6]!) & 0xff;
      const i = (high >>> 24) ^ bytes[at + 7]!;
      high = h[7]![a]! ^ h[6]![b]! ^ h[5]![c]! ^ h[4]![d]! ^ h[3]![e]! ^ h[2]![f]! ^ h[1]![g]! ^ h[0]![i]!;
      low = l[7]![a]! ^ l[6]![b]! ^ l[5]![c]! ^ l[4]![d]! ^ l[3]![e]! ^ l[2]![f]! ^ l[1]![g]! ^ l[0]![i]!;
    }
    for (; at < bytes.length; at += 1) {
      const index = (low ^ bytes[at]!) & 0xff;
      low = l[0]![index]! ^ ((low >>> 8) | (high << 24));
      high = h[0]![index]! ^ (high >>> 8);
    }
    this.#high = high;
    this.#low = low;
  }
}

function makeTables32(): Uint32Array[] {
  const tables = Array.from({ length: STRIDE }, () => new Uint32Array(256));
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ CRC32C;
    tables[0]![byte] = crc;
  }
  for (let byte = 0; byte < 256; byte += 1) {
    for (let more = 1; more < STRIDE; more += 1) {
      const before = tables[more - 1]![byte]!;
      tables[more]![byte] = tables[0]![before & 0xff]! ^ (before >>> 8);
    }
  }
  return tables;
}

function makeTables64() {
  const high = Array.from({ length: STRIDE }, () => new Uint32Array(256));
  const low = Array.from({ length: STRIDE }, () => new Uint32Array(256));
  for (let byte = 0; byte < 256; byte += 1) {
    let [h, l] = [0, byte];
    for (let bit = 0; bit < 8; bit += 1) {
      const odd = (l & 1) !== 0;
      l = (l >>> 1) | (h << 31);
      h >>>= 1;
      if (odd) [h, l] = [h ^ NVME_HIGH, l ^ NVME_LOW];
    }
    high[0]![byte] = h;
    low[0]![byte] = l;
  }
  for (let byte = 0; byte < 256; byte += 1) {
    for (let more = 1; more < STRIDE; more += 1) {
      const [h, l] = [high[more - 1]![byte]!, low[more - 1]![byte]!];
      low[more]![byte] = low[0]![l & 0xff]! ^ ((l >>> 8) | (h << 24));
      high[more]![byte] = high[0]![l & 0xff]! ^ (h >>> 8);
    }
  }
  return { high, low };
}
