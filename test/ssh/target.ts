import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** Something behind a forward. */
export interface Target {
  readonly port: number;
  /** Connections so far. */
  readonly accepted: number;
  stop(): Promise<void>;
}

/** Listens on a free port of this machine, or on a Unix socket. */
export async function startTarget(serve: (socket: Socket) => void, path?: string): Promise<Target> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    serve(socket);
  });
  await new Promise<void>((resolve) =>
    path === undefined ? server.listen(0, '127.0.0.1', resolve) : server.listen(path, resolve),
  );
  const stop = async (): Promise<void> => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  const address = server.address();
  return {
    port: typeof address === 'string' ? 0 : (address as AddressInfo).port,
    get accepted() {
      return accepted;
    },
    stop,
  };
}

/** Says back what it hears, once it has heard all. */
export function echo(socket: Socket): void {
  void buffer(socket).then(
    (heard) => socket.end(heard),
    () => undefined,
  );
}

/** Speaks first. */
export function greet(socket: Socket): void {
  socket.resume();
  socket.end('220 welcome\r\n');
}

/** Writes, says that it is done, and gives what comes back. Errors: those of the socket. */
export async function converse(to: number | string, sent: string | Uint8Array): Promise<string> {
  const socket =
    typeof to === 'number'
      ? connect({ port: to, host: '127.0.0.1', allowHalfOpen: true })
      : connect({ path: to, allowHalfOpen: true });
  socket.setTimeout(20_000, () => socket.destroy(new Error('nothing came')));
  socket.end(sent);
  return (await buffer(socket)).toString('latin1');
}

/** As soon as something listens there. */
export async function opened(to: number | string, isAlive: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 400 && isAlive(); attempt += 1) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = typeof to === 'number' ? connect(to, '127.0.0.1') : connect(to);
      socket.once('connect', () => (socket.destroy(), resolve(true)));
      socket.once('error', () => resolve(false));
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error('nothing listens there');
}
