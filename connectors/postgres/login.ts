import {
  type Address,
  type Asking,
  type Authorized,
  dial,
  read,
  SidecarError,
  startUpstreamTls,
  type StreamContext,
  type TlsClientOptions,
  write,
} from 'secretless-sidecar/connector';
import { type Account, authenticate, type Channel } from './authenticate.ts';
import { serverEndPoint } from './channel-binding.ts';
import { sslRequest } from './client-messages.ts';
import type { PostgresConfig } from './config.ts';
import type { ScramKeyCache } from './scram-keys.ts';
import { type CredentialName, type Settings, settingsOf } from './settings.ts';
import { CANNOT_CONNECT_NOW, INVALID_AUTHORIZATION } from './sqlstate.ts';
import { type Parameter, rebuildStartup, type Startup } from './startup.ts';
import type { Target } from './target.ts';
import {
  ALPN,
  type Attempt,
  attemptsFor,
  refuseWeakDirect,
  type TlsMaterial,
  tlsMaterial,
  tlsOptions,
} from './tls-plan.ts';
import { UpstreamRefusal } from './upstream-refusal.ts';
import { DEFAULT_AUTH, type SslNegotiation } from './words.ts';

const ANSWER = { yes: 0x53, no: 0x4e } as const;

/** How the upstream of a session is reached again, for its cancel requests. Holds no client key. */
export interface Route {
  readonly peer: Address;
  readonly tls: TlsClientOptions | undefined;
  readonly negotiation: SslNegotiation;
}

export interface LoggedIn {
  readonly route: Route;
  /** What the downstream is to see of the login so far. */
  readonly seen: readonly Buffer[];
}

/** What stays the same over all attempts to log in for one downstream. */
export interface LoginRequest {
  readonly context: StreamContext<CredentialName>;
  readonly config: PostgresConfig;
  readonly keys: ScramKeyCache;
  readonly startup: Startup;
  readonly database: Buffer;
}

/**
 * Logs in upstream up to AuthenticationOk; a refused credential is asked for anew once, before the downstream hears
 * anything. Errors: those of `dial`, `startTls`, `authenticate` and of the credentials.
 */
export function* logIn(request: LoginRequest, authorized: Authorized<CredentialName>): Asking<LoggedIn> {
  try {
    return yield* logInWith(request, authorized);
  } catch (error) {
    if (!isOfCredential(error)) throw error;
    const fresh = yield* request.context.reauthorize();
    if (fresh === undefined) throw error;
    return yield* logInWith(request, fresh);
  }
}

function isOfCredential(error: unknown): boolean {
  if (error instanceof UpstreamRefusal) return error.ofCredential;
  return error instanceof SidecarError && error.code === 'credential-refused';
}

interface Try {
  readonly request: LoginRequest;
  readonly settings: Settings;
  readonly material: TlsMaterial;
  readonly account: Account;
  readonly negotiation: SslNegotiation;
}

function* logInWith(request: LoginRequest, { credentials, version }: Authorized<CredentialName>): Asking<LoggedIn> {
  const { config, keys } = request;
  const settings = settingsOf(credentials);
  try {
    const material = yield* tlsMaterial(settings);
    const account: Account = {
      username: settings.username,
      password: settings.password,
      version,
      requireAuth: config.requireAuth ?? settings.requireAuth ?? DEFAULT_AUTH,
      channelBinding: config.channelBinding ?? settings.channelBinding ?? 'prefer',
      keys,
    };
    const negotiation = config.sslnegotiation ?? settings.sslnegotiation ?? 'postgres';
    return yield* tryTargets({ request, settings, material, account, negotiation });
  } finally {
    settings.password?.wipe();
  }
}

/** In their order; the next one where a server cannot be reached or is not ready, never where it refuses the login. */
function* tryTargets(attempt: Try): Asking<LoggedIn> {
  const { targets } = attempt.settings;
  for (const [at, target] of targets.entries()) {
    try {
      return yield* tryTarget(attempt, target);
    } catch (error) {
      if (at === targets.length - 1 || !isOfTarget(error)) throw error;
    }
  }
  throw new SidecarError('internal', { detail: 'no target' });
}

function isOfTarget(error: unknown): boolean {
  if (error instanceof UpstreamRefusal) return error.sqlstate === CANNOT_CONNECT_NOW;
  if (!(error instanceof SidecarError)) return false;
  const codes = ['upstream-unreachable', 'upstream-timeout', 'upstream-tls', 'upstream-plaintext', 'upstream-closed'];
  return codes.includes(error.code);
}

function* tryTarget(attempt: Try, target: Target): Asking<LoggedIn> {
  const { settings, material, negotiation } = attempt;
  const ways = attemptsFor(target, settings.sslmode, material.authorities);
  if (!target.socket) refuseWeakDirect(negotiation, ways);
  const [first, second] = ways;
  try {
    return yield* tryWay(attempt, target, first!);
  } catch (error) {
    // libpq: `prefer` goes on in plain where TLS fails, `allow` in TLS where plain is refused.
    const isWorthIt =
      first!.tls === 'offered'
        ? error instanceof TlsFailure
        : error instanceof UpstreamRefusal && error.sqlstate === INVALID_AUTHORIZATION;
    if (second === undefined || !isWorthIt) throw error instanceof TlsFailure ? error.error : error;
    return yield* trySecond(attempt, target, second, error);
  }
}

/** An upstream without TLS leaves the refusal of the first way standing. */
function* trySecond(attempt: Try, target: Target, way: Attempt, refusal: unknown): Asking<LoggedIn> {
  try {
    return yield* tryWay(attempt, target, way);
  } catch (error) {
    if (error instanceof SidecarError && error.code === 'upstream-plaintext') throw refusal;
    throw error instanceof TlsFailure ? error.error : error;
  }
}

function* tryWay(attempt: Try, target: Target, way: Attempt): Asking<LoggedIn> {
  const { request, settings, account } = attempt;
  const peer = yield* dial(target.address);
  const session = way.tls === 'no' ? undefined : yield* secure(attempt, target, way);
  const identity: { user: Buffer; database: Buffer; options: readonly Parameter[] } = {
    user: settings.username,
    database: request.database,
    options: settings.options,
  };
  yield* write('upstream', rebuildStartup(request.startup, identity));
  const channel: Channel = {
    trusted: target.local || (session !== undefined && way.verify !== 'none'),
    local: target.local,
    endPoint: session?.endPoint,
  };
  const seen = yield* authenticate(account, channel);
  return { route: { peer, tls: session?.options, negotiation: attempt.negotiation }, seen };
}

interface Session {
  /** Without the client's certificate and key. */
  readonly options: TlsClientOptions;
  readonly endPoint: Buffer | undefined;
}

/** Undefined where the upstream has no TLS and may go without. Errors: `upstream-plaintext`, `upstream-protocol`; `TlsFailure`. */
function* secure({ settings, material, negotiation }: Try, target: Target, way: Attempt): Asking<Session | undefined> {
  if (!(yield* isTlsOffered(negotiation))) {
    if (way.tls === 'offered') return undefined;
    throw new SidecarError('upstream-plaintext');
  }
  const options = tlsOptions(target, way, material, settings.sslhost);
  const { peerCertificate } = yield* startTls(options, negotiation);
  const { certificate: _certificate, key: _key, ...again } = options;
  return { options: again, endPoint: peerCertificate === undefined ? undefined : serverEndPoint(peerCertificate) };
}

/** Exactly one byte is read: anything behind it was put there on the way, and beginning TLS refuses it. */
export function* isTlsOffered(negotiation: SslNegotiation): Asking<boolean> {
  if (negotiation === 'direct') return true;
  yield* write('upstream', sslRequest());
  const [answer] = yield* read('upstream', 1);
  if (answer === ANSWER.yes || answer === ANSWER.no) return answer === ANSWER.yes;
  // An `E` here comes from nobody in particular: its text is not shown (CVE-2024-10977).
  throw new SidecarError('upstream-protocol', { detail: 'neither S nor N in answer to the SSLRequest' });
}

/** The TLS handshake failed, which `prefer` forgives. Never leaves this file. */
class TlsFailure extends Error {
  readonly error: SidecarError;

  constructor(error: SidecarError) {
    super(error.message);
    this.error = error;
  }
}

function* startTls(options: TlsClientOptions, negotiation: SslNegotiation) {
  try {
    const facts = yield* startUpstreamTls(options);
    // PostgreSQL protocol, "SSL Session Encryption": without it, this may be a server of another protocol.
    if (negotiation === 'direct' && facts.alpn !== ALPN) {
      throw new SidecarError('upstream-tls', { detail: 'no ALPN where TLS begins at once' });
    }
    return facts;
  } catch (error) {
    if (!(error instanceof SidecarError) || error.code !== 'upstream-tls') throw error;
    throw new TlsFailure(error);
  }
}
