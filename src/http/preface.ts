import type { Socket } from 'node:net';

/** How every HTTP/2 connection begins (RFC 9113 section 3.4). No request of HTTP/1 has this method. */
const BEGINNING = Buffer.from('PRI ');

/**
 * Says which HTTP a connection speaks by its first bytes, which stay to be read. `tell` is called once, at once where
 * the bytes are there; never where the socket closes first, or takes longer than `seconds`: then it is destroyed.
 */
export function tellVersion(socket: Socket, seconds: number, tell: (version: '1' | '2') => void): void {
  const seen = peek(socket);
  if (seen !== 'more') {
    tell(seen);
    return;
  }
  const silence = setTimeout(() => socket.destroy(), seconds * 1000);
  const settle = (version: '1' | '2' | undefined): void => {
    clearTimeout(silence);
    socket.off('readable', look).off('end', gone).off('close', gone);
    if (version !== undefined && !socket.destroyed) tell(version);
  };
  const gone = (): void => {
    settle(undefined);
    socket.destroy();
  };
  const look = (): void => {
    if (socket.readableLength === waiting) return;
    const version = peek(socket);
    waiting = socket.readableLength;
    if (version !== 'more') settle(version);
  };
  // What was put back makes the socket say `readable` once more, though nothing came.
  let waiting = socket.readableLength;
  socket.on('readable', look).once('end', gone).once('close', gone);
}

function peek(socket: Socket): '1' | '2' | 'more' {
  const bytes = socket.read() as Buffer | null;
  if (bytes === null) return 'more';
  socket.unshift(bytes);
  const common = Math.min(bytes.length, BEGINNING.length);
  if (bytes.compare(BEGINNING, 0, common, 0, common) !== 0) return '1';
  return common === BEGINNING.length ? '2' : 'more';
}
