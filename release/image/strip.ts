/**
 * What the kernel and the loader read of a program: everything up to the end of its last segment. Symbols, debug
 * information and the table of sections come after and are read by debuggers alone. Done here rather than by strip(1),
 * which would have to be installed in the build, and for each processor.
 *
 * Source: ELF-64 Object File Format, version 1.5: file header (figure 2), program header (figure 8). Throws
 * where the file is not a 64-bit little-endian ELF, or a segment lies outside of it.
 */
export function stripped(program: Buffer): Buffer {
  const programHeaders = readProgramHeaders(program);
  const end = Math.max(...programHeaders.map(({ offset, bytes }) => offset + bytes));
  if (end > program.length) throw notElf('a segment ends beyond the file');
  const kept = Buffer.from(program.subarray(0, end));
  kept.writeBigUInt64LE(0n, SECTIONS_OFFSET);
  kept.writeUInt16LE(0, SECTION_COUNT);
  kept.writeUInt16LE(0, SECTION_NAMES);
  return kept;
}

const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;
const [SEGMENTS_OFFSET, SECTIONS_OFFSET] = [0x20, 0x28];
const [SEGMENT_BYTES, SEGMENT_COUNT, SECTION_COUNT, SECTION_NAMES] = [0x36, 0x38, 0x3c, 0x3e];

interface Segment {
  readonly offset: number;
  readonly bytes: number;
}

function readProgramHeaders(program: Buffer): Segment[] {
  // \x7fELF, class 2 is 64 bits, encoding 1 is little-endian.
  if (program.length < HEADER_BYTES || program.toString('latin1', 0, 6) !== '\x7fELF\x02\x01')
    throw notElf('no header');
  const start = Number(program.readBigUInt64LE(SEGMENTS_OFFSET));
  const count = program.readUInt16LE(SEGMENT_COUNT);
  if (count === 0 || program.readUInt16LE(SEGMENT_BYTES) !== PROGRAM_HEADER_BYTES) throw notElf('no segments');
  const tableBytes = count * PROGRAM_HEADER_BYTES;
  if (start + tableBytes > program.length) throw notElf('its segments are not in the file');
  const segments = Array.from({ length: count }, (_, at) => {
    const header = start + at * PROGRAM_HEADER_BYTES;
    const [offset, bytes] = [program.readBigUInt64LE(header + 0x08), program.readBigUInt64LE(header + 0x20)];
    return { offset: Number(offset), bytes: Number(bytes) };
  });
  return [{ offset: start, bytes: tableBytes }, ...segments];
}

function notElf(why: string): Error {
  return new Error(`not a program for 64-bit Linux: ${why}`);
}
