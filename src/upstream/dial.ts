import { connect, type Socket } from 'node:net';
import type { Address, Peer } from '../connector/handshake.ts';
import { SidecarError } from '../error.ts';

const KEEP_ALIVE_PROBE_MS = 45_000;
/** For each address of a name; node's own 250 ms gives up on upstreams across an ocean. */
const ATTEMPT_MS = 2_000;

/** Connects, or gives up. Errors: `upstream-unreachable`; the reason of `signal`, or `downstream-closed`. */
export function dial(address: Address, seconds: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...address,
      allowHalfOpen: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEP_ALIVE_PROBE_MS,
      autoSelectFamilyAttemptTimeout: ATTEMPT_MS,
    });
    const settle = (error: SidecarError | undefined): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      socket.off('error', failed).off('connect', connected);
      if (error === undefined) {
        resolve(socket);
        return;
      }
      socket.on('error', () => undefined);
      socket.destroy();
      reject(error);
    };
    const unreachable = (detail: string, cause?: Error): SidecarError =>
      new SidecarError('upstream-unreachable', { detail: `${addressText(address)}: ${detail}`, cause });
    const failed = (error: Error): void => settle(unreachable(error.message, error));
    const connected = (): void => settle(undefined);
    const abort = (): void => {
      const { reason } = signal as { reason: unknown };
      settle(reason instanceof SidecarError ? reason : new SidecarError('downstream-closed'));
    };
    const timer = setTimeout(() => settle(unreachable(`no answer in ${seconds} s`)), seconds * 1000);
    socket.once('error', failed).once('connect', connected);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort);
  });
}

/** Where a socket really went. */
export function peerOf(socket: Socket, address: Address): Peer {
  if ('path' in address) return address;
  return { host: socket.remoteAddress ?? address.host, port: socket.remotePort ?? address.port };
}

export function addressText(address: Address): string {
  if ('path' in address) return `unix:${address.path}`;
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}

export function sameAddress(one: Address, other: Address): boolean {
  return addressText(one) === addressText(other);
}
