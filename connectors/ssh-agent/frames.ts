import { WireError } from 'secretless-sidecar/connector/ssh';
import { MESSAGE_BYTES_MAX } from './messages.ts';

export const LENGTH_BYTES = 4;

/**
 * The messages in a stream of bytes, one by one, without their lengths; nothing overwrites them. Memory grows with what has come,
 * never with what a length claims, and a message of more than `MESSAGE_BYTES_MAX` bytes is refused at its length. Ends where
 * the stream ends between two messages. `waits` hears each time that more bytes are needed, and whether a message has
 * begun. Errors: `WireError`, and those of `chunks`.
 */
export async function* messagesOf(
  chunks: AsyncIterable<Uint8Array>,
  waits: (isInside: boolean) => void = () => undefined,
): AsyncGenerator<Buffer, void> {
  let held = Buffer.alloc(0);
  let size = 0;
  waits(false);
  for await (const chunk of chunks) {
    if (size + chunk.length > held.length) {
      // Doubled, so that a client of single bytes does not have all of them copied for each.
      const larger = Buffer.alloc(Math.max(size + chunk.length, 2 * size));
      held.copy(larger, 0, 0, size);
      held = larger;
    }
    held.set(chunk, size);
    size += chunk.length;
    let begin = 0;
    for (let end = endOfMessage(held, begin, size); end !== undefined; end = endOfMessage(held, begin, size)) {
      yield held.subarray(begin + LENGTH_BYTES, end);
      begin = end;
    }
    held = held.subarray(begin);
    size -= begin;
    waits(size > 0);
  }
  if (size > 0) throw new WireError('the stream ends inside a message');
}

/** Where the message at `begin` ends; undefined where it is not there whole. */
function endOfMessage(bytes: Buffer, begin: number, size: number): number | undefined {
  if (size - begin < LENGTH_BYTES) return undefined;
  const length = bytes.readUInt32BE(begin);
  if (length === 0 || length > MESSAGE_BYTES_MAX) throw new WireError(`a message of ${length} bytes`);
  const end = begin + LENGTH_BYTES + length;
  return end > size ? undefined : end;
}
