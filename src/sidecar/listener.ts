import { chmod } from 'node:fs/promises';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { formatListenAddress, type ListenAddress } from '../config/config.ts';
import { SidecarError, type ErrorCode } from '../error.ts';
import type { Log } from '../telemetry/log.ts';
import type { ListenerMetrics } from '../telemetry/metrics.ts';
import { prepareSocketPath } from './socket-path.ts';

/** What speaks on accepted sockets: one a kind of connector. */
export interface Acceptor {
  /** True where it may have to speak before the downstream does: it gets sockets as they are accepted. */
  readonly speaksFirst?: boolean;
  /** Takes over a socket; unless it speaks first, the first bytes, or the end, are there to be read. */
  attach(socket: Socket): void;
  /** Answers and closes a socket that is not taken over, in the acceptor's protocol. */
  turnAway(socket: Socket, code: ErrorCode): void;
  /** Lets running work end. */
  drain(): void;
  /** Ends all at once. */
  close(): void;
}

export interface ListenerOptions {
  readonly address: ListenAddress;
  readonly connectionsMax: number;
  /** Seconds until a connection that never sent a byte is closed, whoever has it. */
  readonly silentSeconds: number;
  readonly socketMode: number;
  readonly metrics: ListenerMetrics;
  readonly log: Log;
}

const BACKLOG = 1024;
const KEEP_ALIVE_PROBE_MS = 60_000;

/**
 * One address accepted on. A connection costs a socket until its first byte; only then a parser is put on it, so that
 * idle connections are cheap. Where the sidecar may have to speak first, it is put on at once. Nothing that goes wrong with one connection, or with accepting one, ends the listener.
 */
export class Listener {
  readonly #options: ListenerOptions;
  #acceptor: Acceptor;
  /** Those before it, with connections that may still run. */
  readonly #former = new Set<Acceptor>();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #silent = new Set<Socket>();
  /** Accepted before `begin`. */
  readonly #early = new Set<Socket>();
  #begun = false;
  #connectionsMax: number;
  #silentSeconds: number;
  #bound = '';

  private constructor(options: ListenerOptions, acceptor: Acceptor) {
    this.#options = options;
    this.#acceptor = acceptor;
    this.#connectionsMax = options.connectionsMax;
    this.#silentSeconds = options.silentSeconds;
    this.#server = createServer(
      { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS },
      (socket) => this.#arrived(socket),
    );
  }

  /** Binds, and keeps whoever connects waiting until `begin`. Errors: `address-unavailable`. */
  static async open(options: ListenerOptions, acceptor: Acceptor): Promise<Listener> {
    const listener = new Listener(options, acceptor);
    await listener.#bind();
    return listener;
  }

  /** The address as bound: port 0 has become a number. */
  get address(): string {
    return this.#bound;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  get accepting(): boolean {
    return this.#server.listening;
  }

  /** Serves: those who came early first. */
  begin(): void {
    this.#begun = true;
    for (const socket of this.#early) this.#accept(socket);
    this.#early.clear();
  }

  /** Mode bits of the socket file; nothing for TCP. */
  async setMode(mode: number): Promise<void> {
    if (this.#options.address.kind === 'unix') await chmod(this.#options.address.path, mode);
  }

  /** For connections accepted from now on. */
  limit(connectionsMax: number, silentSeconds: number): void {
    this.#connectionsMax = connectionsMax;
    this.#silentSeconds = silentSeconds;
  }

  /** Hands connections accepted from now on to another acceptor; the present one drains. */
  replace(acceptor: Acceptor): void {
    this.#former.add(this.#acceptor);
    this.#acceptor.drain();
    this.#acceptor = acceptor;
  }

  /** Stops accepting, lets running work end and resolves when the last connection is closed. */
  async drain(): Promise<void> {
    const stopped = this.#server.listening
      ? new Promise<void>((resolve) => this.#server.close(() => resolve()))
      : Promise.resolve();
    for (const socket of [...this.#silent, ...this.#early]) socket.destroy();
    this.#acceptor.drain();
    await stopped;
    this.#closeAcceptors();
  }

  /** Stops accepting and cuts every connection. */
  close(): void {
    if (this.#server.listening) this.#server.close();
    this.#closeAcceptors();
    for (const socket of [...this.#sockets, ...this.#early]) socket.destroy();
  }

  #closeAcceptors(): void {
    for (const acceptor of [this.#acceptor, ...this.#former]) acceptor.close();
  }

  async #bind(): Promise<void> {
    const { address, socketMode, log } = this.#options;
    const name = formatListenAddress(address);
    if (address.kind === 'unix') await prepareSocketPath(address.path);
    try {
      await this.#listen(address);
    } catch (cause) {
      throw new SidecarError('address-unavailable', { detail: `${name} (${(cause as Error).message})`, cause });
    }
    // Accept errors such as EMFILE: the connection is lost, the listener is not.
    this.#server.on('error', (error) => log.error({ listener: name, error }, 'accept failed'));
    if (address.kind === 'unix') {
      await chmod(address.path, socketMode);
      this.#bound = name;
    } else {
      const { address: host, port } = this.#server.address() as AddressInfo;
      this.#bound = formatListenAddress({ kind: 'tcp', host, port });
    }
  }

  #listen(address: ListenAddress): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      const listening = (): void => {
        this.#server.off('error', reject);
        resolve();
      };
      if (address.kind === 'tcp') {
        this.#server.listen({ host: address.host, port: address.port, backlog: BACKLOG }, listening);
        return;
      }
      // The socket file must not exist for an instant with a wider mode than asked for; it is made inside listen().
      const mask = process.umask(0o177);
      try {
        this.#server.listen({ path: address.path, backlog: BACKLOG }, listening);
      } finally {
        process.umask(mask);
      }
    });
  }

  #arrived(socket: Socket): void {
    socket.on('error', () => socket.destroy());
    if (this.#begun) this.#accept(socket);
    else if (this.#early.size >= this.#connectionsMax) socket.destroy();
    else this.#early.add(socket);
  }

  #accept(socket: Socket): void {
    const { metrics } = this.#options;
    if (socket.destroyed) return;
    if (this.#sockets.size >= this.#connectionsMax) {
      this.#acceptor.turnAway(socket, 'connections-exhausted');
      return;
    }
    this.#sockets.add(socket);
    metrics.opened();
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#silent.delete(socket);
      metrics.closed();
    });
    if (this.#acceptor.speaksFirst === true) this.#attachAtOnce(socket);
    else this.#attachAtFirstByte(socket);
  }

  #attachAtOnce(socket: Socket): void {
    // Not the socket's own timeout: what is written to it is no sign of life.
    const silence = setTimeout(() => {
      if (socket.bytesRead === 0) socket.destroy();
    }, this.#silentSeconds * 1000);
    socket.once('close', () => clearTimeout(silence));
    this.#acceptor.attach(socket);
  }

  #attachAtFirstByte(socket: Socket): void {
    this.#silent.add(socket);
    const silence = (): void => void socket.destroy();
    socket.setTimeout(this.#silentSeconds * 1000, silence);
    socket.once('readable', () => {
      this.#silent.delete(socket);
      socket.setTimeout(0);
      socket.off('timeout', silence);
      if (!socket.destroyed) this.#acceptor.attach(socket);
    });
  }
}
