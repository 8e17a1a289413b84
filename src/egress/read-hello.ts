import type { Socket } from 'node:net';
import { SidecarError } from '../error.ts';
import { HelloReader, type ClientHello, type HelloReading } from './client-hello.ts';

/**
 * The ClientHello that a connection begins with. All bytes stay unread, for whoever speaks TLS next. Errors:
 * `tls-malformed`, also where it does not come in time.
 */
export function readHello(socket: Socket, seconds: number): Promise<ClientHello> {
  const reader = new HelloReader();
  return new Promise((resolve, reject) => {
    const settle = (reading: Exclude<HelloReading, { need: 'more' }>): void => {
      clearTimeout(timer);
      socket.off('readable', read).off('end', ended).off('close', ended);
      if (!socket.destroyed && !socket.readableEnded && reader.bytes.length > 0) socket.unshift(reader.bytes);
      if ('hello' in reading) resolve(reading.hello);
      else reject(new SidecarError('tls-malformed', { detail: reading.problem }));
    };
    const ended = (): void => settle({ problem: 'the connection ended before the hello did' });
    const read = (): void => {
      for (let chunk = take(socket); chunk !== null; chunk = take(socket)) {
        const reading = reader.push(chunk);
        if ('need' in reading) continue;
        settle(reading);
        return;
      }
    };
    const timer = setTimeout(() => settle({ problem: 'no hello in time' }), seconds * 1000);
    socket.on('readable', read).on('end', ended).on('close', ended);
    if (socket.destroyed || socket.readableEnded) ended();
    else read();
  });
}

function take(socket: Socket): Buffer | null {
  return socket.read() as Buffer | null;
}
