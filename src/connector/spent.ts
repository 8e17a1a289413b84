/**
 * Frees the memory of `bytes`, which nobody needs any more, where it holds nothing else; there are none in it then. V8 sees
 * but the small objects that own what sockets are read into: it lets tens of MB wait, and collecting them costs more
 * than ciphers and copies do.
 */
export function freeSpent(bytes: Buffer): void {
  const { buffer } = bytes;
  if (isWhole(bytes) && buffer instanceof ArrayBuffer) buffer.transfer(0);
}

/** Whether there is nothing beside it in its memory: many small buffers share theirs. */
export function isWhole(bytes: Buffer): boolean {
  return bytes.length > 0 && bytes.length === bytes.buffer.byteLength;
}
