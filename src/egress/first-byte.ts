import type { Duplex } from 'node:stream';

/** The first byte that comes, left unread; undefined where none comes in time, or the other side ended before. */
export function firstByte(socket: Duplex, seconds: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const settle = (first: number | undefined): void => {
      clearTimeout(timer);
      socket.off('readable', look).off('end', ended).off('close', ended);
      resolve(first);
    };
    const ended = (): void => settle(undefined);
    const look = (): void => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      socket.unshift(chunk);
      settle(chunk[0]);
    };
    const timer = setTimeout(ended, seconds * 1000);
    socket.on('readable', look).on('end', ended).on('close', ended);
    if (socket.destroyed || socket.readableEnded) ended();
    else look();
  });
}
