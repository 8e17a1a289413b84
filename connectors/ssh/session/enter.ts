import type { Duplex } from 'node:stream';
import {
  type Credentials,
  type Loan,
  type RelayPassage,
  SidecarError,
  type SshFacts,
} from 'secretless-sidecar/connector';
import type { ClientLeg } from '../transport/index.ts';
import {
  isWorthAnother,
  logIn,
  type LoginMemory,
  type SshCredential,
  type Upstream,
  upstreamOf,
} from '../upstream/index.ts';
import type { Config } from '../config.ts';

/** For a farewell to go out. */
const FAREWELL_MS = 1_000;

/** What a login upstream needs of its service. */
export interface Entrance {
  readonly config: Config;
  readonly memory: LoginMemory;
  /** Whom the downstream chose to be; absent: whomever the credentials name. */
  readonly user?: string;
  /** What it is for. */
  readonly facts: SshFacts;
  /** The connection is over; its reason is a `SidecarError`. */
  readonly signal: AbortSignal;
}

/** A login upstream that worked. */
export interface Entered {
  readonly leg: ClientLeg;
  readonly upstream: Upstream;
  readonly loan: Loan<SshCredential>;
}

/**
 * Asks policy for credentials, connects and logs in with them; once more with others where the upstream refuses these
 * and the providers have others. The credentials are given back whatever happens. Errors: all that `authorize`, `dial`
 * and `logIn` have.
 */
export async function enter(passage: RelayPassage<SshCredential>, entrance: Entrance): Promise<Entered> {
  const { user, config } = entrance;
  const options = { ...(user !== undefined && { user }), ...(config.users !== undefined && { users: config.users }) };
  const upstream = (credentials: Credentials<SshCredential>): Upstream => upstreamOf(credentials, options);
  let loan = await passage.authorize({ ssh: entrance.facts }, (credentials) => upstream(credentials).name);
  try {
    try {
      return await attempt(passage, entrance, loan, upstream(loan.credentials));
    } catch (error) {
      if (!(error instanceof SidecarError) || !isWorthAnother(error)) throw error;
      const other = await passage.reauthorize(loan);
      if (other === undefined) throw error;
      loan = other;
      return await attempt(passage, entrance, loan, upstream(loan.credentials));
    }
  } finally {
    loan.release();
  }
}

async function attempt(
  passage: RelayPassage<SshCredential>,
  { config, memory, signal }: Entrance,
  loan: Loan<SshCredential>,
  upstream: Upstream,
): Promise<Entered> {
  signal.throwIfAborted();
  const { host, port } = upstream;
  const socket: Duplex = await passage.dial({ host, port }, config.via);
  const { credentials, version } = loan;
  const { loginSeconds } = passage;
  const insecure = config.insecure === true;
  const passed = (bytes: number): void => passage.passed(bytes);
  try {
    const leg = await logIn(socket, { credentials, version, upstream, memory, insecure, loginSeconds, passed, signal });
    return { leg, upstream, loan };
  } catch (error) {
    // It counts among the service's connections until it is closed, and another may follow.
    if (error instanceof SidecarError && isWorthAnother(error)) await gone(socket);
    throw error;
  }
}

/** Closed, once what was said has gone out. */
async function gone(socket: Duplex): Promise<void> {
  if (socket.closed) return;
  const closed = new Promise<void>((resolve) => void socket.once('close', () => resolve()));
  if (socket.writableFinished) socket.destroy();
  else socket.once('finish', () => socket.destroy());
  const timer = setTimeout(() => socket.destroy(), FAREWELL_MS);
  await closed;
  clearTimeout(timer);
}
