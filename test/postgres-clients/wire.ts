import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll } from 'vitest';

/** A TCP connection on the way to a server that a test can break. */
export interface Wire {
  readonly port: number;
  /** Connections made so far. */
  dials(): number;
  /** Connections of the sidecar that are open. */
  open(): number;
  /** Bytes that the server sent so far. */
  bytesDown(): number;
  bytesUp(): number;
  /** Resets all connections. */
  cut(): void;
  /** Stops or resumes reading what the sidecar sends. */
  hold(still: boolean): void;
  /** What becomes of new connections: passed on, reset after this many bytes of the server, or never answered. */
  mode(mode: 'pass' | 'silent' | { readonly resetAfter: number }): void;
}

/** For all tests of a `describe`; each finds it whole and without connections. */
export function useWire(target: () => number): () => Wire {
  let wire: (Wire & { close(): void }) | undefined;
  beforeAll(async () => {
    wire = await startWire(target());
  });
  afterEach(() => {
    wire!.mode('pass');
    wire!.cut();
  });
  afterAll(() => wire?.close());
  return () => wire!;
}

async function startWire(target: number): Promise<Wire & { close(): void }> {
  const sockets = new Set<Socket>();
  let mode: Parameters<Wire['mode']>[0] = 'pass';
  const count = { dials: 0, up: 0, down: 0 };
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    return socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    keep(near);
    count.dials += 1;
    if (mode === 'silent') {
      near.resume().once('end', () => near.destroy());
      return;
    }
    const after = mode === 'pass' ? Infinity : mode.resetAfter;
    const far = keep(connect({ port: target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true }));
    let own = 0;
    near.on('data', (chunk: Buffer) => (count.up += chunk.length));
    far.on('data', (chunk: Buffer) => {
      count.down += chunk.length;
      own += chunk.length;
      if (own >= after) near.resetAndDestroy();
    });
    near.pipe(far).once('close', () => near.destroy());
    far.pipe(near).once('close', () => far.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port,
    close: () => {
      cut();
      server.close();
    },
    dials: () => count.dials,
    open: () => [...sockets].filter(({ localPort }) => localPort === port).length,
    bytesDown: () => count.down,
    bytesUp: () => count.up,
    cut,
    hold: (still) => {
      for (const socket of sockets) if (socket.localPort === port) socket[still ? 'pause' : 'resume']();
    },
    mode: (next) => (mode = next),
  };
}
