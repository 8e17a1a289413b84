import type { Socket } from 'node:net';

/**
 * Opens TCP connections to hosts of requests. A name is resolved once, every address it has is checked, and exactly what
 * was checked is dialled; where there is a proxy on the way, the connection leads through it.
 */
export interface Dialer {
  /**
   * `host`: as `parseHost` returns it. The socket is connected and nothing was read from it. Errors: `address-refused`,
   * `upstream-unreachable`, `proxy-refused`, the reason of `signal`.
   */
  dial(host: string, port: number, signal: AbortSignal): Promise<Socket>;
}
