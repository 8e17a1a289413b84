import type { Duplex } from 'node:stream';
import type { Credentials } from 'secretless-sidecar/connector';
import { type ClientLeg, IDENT, loginSsh, SshError } from '../transport/index.ts';
import type { SshCredential } from './credentials.ts';
import { type HostCheck, HostTrust } from './host-trust.ts';
import type { LoginMemory } from './login-memory.ts';
import { LoginWays } from './login-ways.ts';
import type { Upstream } from './target.ts';
import { upstreamError } from './upstream-error.ts';

/** How to log in upstream. */
export interface UpstreamLogin {
  readonly credentials: Credentials<SshCredential>;
  /** Changes when any of the credentials does. */
  readonly version: string;
  /** Of `upstreamOf`. */
  readonly upstream: Upstream;
  /** What one service remembers from login to login. */
  readonly memory: LoginMemory;
  /** Any host key will do where none is known; only where it is written so. */
  readonly insecure?: boolean;
  readonly loginSeconds: number;
  /** Hears of the bytes of each read, now and after the login. */
  readonly passed?: (bytes: number) => void;
  /** Its reason is a `SidecarError`. */
  readonly signal?: AbortSignal;
}

/**
 * Logs in on `socket` with the credentials, which are not held on to. The socket is closed where that fails. Errors:
 * `host-key-unknown`, `credential-missing`, `credential-unfit`, `credential-refused`, `login-unsupported`,
 * `upstream-timeout`, `upstream-closed`, `upstream-protocol`; the reason of `signal`.
 */
export async function logIn(socket: Duplex, login: UpstreamLogin): Promise<ClientLeg> {
  const began = performance.now();
  // While the key is being read nobody else listens.
  const onError = (): void => undefined;
  socket.on('error', onError);
  let check: HostCheck | undefined;
  try {
    const trust = trustOf(login);
    check = trust.check(new Date());
    using ways = await LoginWays.of(login);
    login.signal?.throwIfAborted();
    if (socket.destroyed) throw new SshError('closed', 'the connection was gone before the login');
    const loginSeconds = Math.max(0, login.loginSeconds - (performance.now() - began) / 1000);
    return await loginSsh(socket, {
      ident: IDENT,
      user: login.upstream.user,
      hostKeyCheck: check.accepts,
      algorithms: { hostKey: trust.algorithms },
      auth: ways.methods,
      loginSeconds,
      ...(login.passed !== undefined && { passed: login.passed }),
      ...(login.signal !== undefined && { signal: login.signal }),
    });
  } catch (error) {
    // A transport has ended it with a farewell that is on its way; without one nobody else does.
    if (!(error instanceof SshError)) socket.destroy();
    throw upstreamError(error, login.signal, check?.finding);
  } finally {
    if (!socket.destroyed) socket.off('error', onError);
  }
}

function trustOf({ credentials, version, upstream, memory, insecure }: UpstreamLogin): HostTrust {
  return memory.trust(version, upstream.name, () => HostTrust.of(credentials, upstream, insecure === true));
}
