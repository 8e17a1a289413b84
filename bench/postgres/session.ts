import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Protocol 3.0 (PostgreSQL, "Message Formats", StartupMessage). */
const PROTOCOL = 196_608;
const TERMINATE = Buffer.from([0x58, 0, 0, 0, 4]);
const BYTES_MAX = 64 * 1024;

/** A client that sends no password and asks for nothing: logged in and waiting. */
export interface Session {
  /** Says goodbye and waits until the other side has closed. */
  end(): Promise<void>;
}

/** Throws where the other side refuses or asks for a password. */
export async function openSession(port: number, user: string, database: string): Promise<Session> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  socket.on('error', () => undefined); // the wait below tells
  try {
    socket.write(startup(user, database));
    await untilReady(socket);
  } catch (error) {
    socket.destroy();
    throw error;
  }
  return {
    async end() {
      const closed = once(socket, 'close');
      socket.resume().end(TERMINATE);
      await closed;
    },
  };
}

function startup(user: string, database: string): Buffer {
  const parameters = Buffer.from(`user\0${user}\0database\0${database}\0\0`);
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + parameters.length, 0);
  head.writeInt32BE(PROTOCOL, 4);
  return Buffer.concat([head, parameters]);
}

/** Reads frames until ReadyForQuery. */
function untilReady(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let held: Buffer = Buffer.alloc(0);
    const settle = (problem?: string): void => {
      socket.off('data', take).off('close', closed).pause();
      if (problem === undefined) resolve();
      else reject(new Error(problem));
    };
    const closed = (): void => settle('closed before it was ready');
    const take = (chunk: Buffer): void => {
      held = Buffer.concat([held, chunk]);
      if (held.length > BYTES_MAX) return settle('too long a greeting');
      while (held.length >= 5) {
        const end = 1 + held.readInt32BE(1);
        if (held.length < end) return;
        const type = String.fromCharCode(held[0]!);
        if (type === 'Z') return settle();
        if (type === 'E') return settle(held.toString('latin1', 5, end).replaceAll('\0', ' '));
        if (type === 'R' && held.readInt32BE(5) !== 0) return settle('asked for a password');
        held = held.subarray(end);
      }
    };
    socket.on('data', take).on('close', closed);
  });
}
