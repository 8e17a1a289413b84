import { isIP, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Origin } from '../connector/origin.ts';
import type { Secret } from '../credential/secret.ts';
import { SidecarError } from '../error.ts';
import type { Dialer } from '../http/dialer.ts';
import { abortError, unlessAborted, within } from './deadline.ts';
import { addressText, dial } from './dial.ts';
import type { Guard, GuardMode } from './guard.ts';
import type { Connect } from './guarded-dialer.ts';
import { connectHead, readConnectReply } from './proxy-connect.ts';

export interface ProxyCredentials {
  readonly username: string;
  readonly password: Secret;
  /** Called once they are no longer needed. */
  release?(): void;
}

export interface ProxyDialerOptions {
  /** The operator's word: not held against the guard. */
  readonly proxy: Origin;
  /** Asked for each connection; undefined: none are sent. */
  readonly credentials?: (signal: AbortSignal) => Promise<ProxyCredentials | undefined>;
  /** PEM of those that the certificate of an `https` proxy may come from; absent: the system's. */
  readonly ca?: string | readonly string[];
  /** True where the proxy resolves the names: only what is written can be checked then. */
  readonly resolves: boolean;
  readonly guard: Guard;
  readonly mode: GuardMode;
  /** Seconds for everything: lookup, the proxy, and what it does. */
  readonly connectSeconds: number;
  /** In place of `dial`, for the connection to the proxy. */
  readonly connect?: Connect;
}

/** Addresses of a name that the proxy is asked for, one after the other. */
const ADDRESSES_MAX = 3;

/** Dials through an HTTP proxy (RFC 9110 section 9.3.6). */
export function openProxyDialer(options: ProxyDialerOptions): Dialer {
  return {
    dial: (host, port, signal) =>
      within(options.connectSeconds, signal, `${host} by proxy`, async (inner) => {
        const targets = await targetsOf(options, host, inner);
        return tunnelToFirst(options, targets, port, inner);
      }),
  };
}

async function targetsOf(options: ProxyDialerOptions, host: string, signal: AbortSignal): Promise<readonly string[]> {
  const { guard, mode, resolves } = options;
  if (resolves) return [guard.written(host, mode) ?? host];
  const addresses = await guard.addresses(host, mode, signal);
  // Which families the proxy has a way out for is not known here: IPv4 is the safer guess.
  return addresses.toSorted((one, other) => Number(one.includes(':')) - Number(other.includes(':')));
}

async function tunnelToFirst(
  options: ProxyDialerOptions,
  targets: readonly string[],
  port: number,
  signal: AbortSignal,
): Promise<Socket> {
  const tried = targets.slice(0, ADDRESSES_MAX);
  const failures: SidecarError[] = [];
  for (const host of tried) {
    const left = tried.length - failures.length;
    try {
      // A try that nobody answers leaves as much time for each of the others.
      const seconds = options.connectSeconds / tried.length;
      const one = (until: AbortSignal): Promise<Socket> => tunnel(options, addressText({ host, port }), until);
      return await (left === 1 ? one(signal) : within(seconds, signal, `${host} by proxy`, one));
    } catch (thrown) {
      if (!(thrown instanceof ProxyFailure || isUnreachable(thrown)) || signal.aborted) throw thrown;
      failures.push(thrown);
    }
  }
  throw failures[0]!;
}

/** The proxy could not get there (5xx): another address may do. */
class ProxyFailure extends SidecarError {}

function isUnreachable(thrown: unknown): thrown is SidecarError {
  return thrown instanceof SidecarError && thrown.code === 'upstream-unreachable';
}

/** `target`: host and port, an IPv6 address in brackets. */
async function tunnel(options: ProxyDialerOptions, target: string, signal: AbortSignal): Promise<Socket> {
  const { proxy, connect = dial } = options;
  const head = await headFor(options, target, signal);
  let socket: Socket;
  try {
    socket = await connect({ host: proxy.host, port: proxy.port }, options.connectSeconds, signal);
  } catch (thrown) {
    head.fill(0);
    throw thrown;
  }
  // Closes the connection whoever is at fault, and keeps its end from being nobody's.
  const ended = new AbortController();
  const fail = (error: Error): void => ended.abort(error);
  const closed = (): void => fail(new Error('closed'));
  socket.on('error', fail).once('close', closed);
  const abort = (): void => ended.abort(abortError(signal));
  signal.addEventListener('abort', abort);
  let secured: Socket | undefined;
  try {
    if (signal.aborted) throw abortError(signal);
    secured = proxy.scheme === 'https' ? await secure(socket, options, ended.signal) : socket;
    if (secured !== socket) secured.on('error', fail);
    if (ended.signal.aborted) throw ended.signal.reason;
    secured.write(head, () => head.fill(0));
    const status = await readConnectReply(secured, ended.signal);
    if (status >= 200 && status < 300) {
      if (secured !== socket) socket.on('error', () => secured?.destroy());
      return secured;
    }
    const Refusal = status >= 500 ? ProxyFailure : SidecarError;
    throw new Refusal('proxy-refused', { detail: `${target}: the proxy answered ${status}` });
  } catch (thrown) {
    head.fill(0);
    for (const one of [socket, secured]) one?.on('error', () => undefined).destroy();
    if (signal.aborted) throw abortError(signal);
    if (thrown instanceof SidecarError) throw thrown;
    throw new SidecarError('proxy-refused', { detail: `${target}: ${(thrown as Error).message}`, cause: thrown });
  } finally {
    signal.removeEventListener('abort', abort);
    socket.off('error', fail).off('close', closed);
    secured?.off('error', fail);
  }
}

async function headFor(options: ProxyDialerOptions, target: string, signal: AbortSignal): Promise<Buffer> {
  if (options.credentials === undefined) return connectHead(target, undefined);
  const credentials = await unlessAborted(options.credentials(signal), signal);
  try {
    return connectHead(target, credentials);
  } finally {
    credentials?.release?.();
  }
}

async function secure(socket: Socket, { proxy, ca }: ProxyDialerOptions, signal: AbortSignal): Promise<TLSSocket> {
  const { connect } = await import('node:tls');
  return new Promise((resolve, reject) => {
    const secured = connect({
      socket,
      host: proxy.host,
      // An address is no server name (RFC 6066 section 3); the certificate is checked against it all the same.
      ...(isIP(proxy.host) === 0 ? { servername: proxy.host } : {}),
      ...(ca === undefined ? {} : { ca: typeof ca === 'string' ? ca : [...ca] }),
      ALPNProtocols: ['http/1.1'],
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
    });
    const failed = (error: Error): void => settle(() => reject(error));
    const abort = (): void => failed(signal.reason as Error);
    const settle = (how: () => void): void => {
      signal.removeEventListener('abort', abort);
      secured.off('error', failed).off('secureConnect', connected);
      if (!secured.authorized) secured.on('error', () => undefined).destroy();
      how();
    };
    const connected = (): void => settle(() => resolve(secured));
    secured.once('error', failed).once('secureConnect', connected);
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort);
  });
}
