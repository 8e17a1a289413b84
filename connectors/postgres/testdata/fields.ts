/** Fields of the only frame in these bytes, an ErrorResponse; throws where it is none. */
export function readFields(bytes: Buffer): Record<string, string> {
  if (bytes[0] !== 0x45 || bytes.readUInt32BE(1) !== bytes.length - 1) throw new Error(`no ErrorResponse: ${bytes.toString()}`);
  const texts = bytes.subarray(5).toString().split('\0');
  if (texts.splice(-2).join('') !== '') throw new Error('no terminator');
  return Object.fromEntries(texts.map((text) => [text[0]!, text.slice(1)]));
}
