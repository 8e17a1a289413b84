import {
  type Asking,
  type Close,
  type Credentials,
  type Facts,
  type Handover,
  type Handshake,
  parseDuration,
  SidecarError,
  type Splice,
  type StreamContext,
  type StreamService,
  write,
} from 'secretless-sidecar/connector';
import { forwardCancel } from './cancel.ts';
import type { PostgresConfig } from './config.ts';
import { errorResponse, oldErrorResponse } from './error-response.ts';
import { dropLeftoverPassword, type Opening, readOpening } from './front.ts';
import { logIn } from './login.ts';
import { relayToReady } from './relay.ts';
import { ScramKeyCache } from './scram-keys.ts';
import { type CredentialName, settingsOf } from './settings.ts';
import { ADMIN_SHUTDOWN, FEATURE_NOT_SUPPORTED } from './sqlstate.ts';
import { asksForReplication, databaseOf, parameterOf, type Startup, textOf } from './startup.ts';
import { targetUrl } from './target.ts';
import { UpstreamRefusal } from './upstream-refusal.ts';

type Context = StreamContext<CredentialName>;
type StartupOpening = Extract<Opening, { kind: 'startup' }>;

/** ReadyForQuery outside a transaction block: the last thing that a resting server said. */
const READY_AND_IDLE = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

/** One service: the configuration, and the keys derived from its password. */
export class PostgresService implements StreamService<CredentialName> {
  readonly #config: PostgresConfig;
  readonly #keys = new ScramKeyCache();

  constructor(config: PostgresConfig) {
    this.#config = config;
  }

  *handshake(context: Context): Handshake {
    try {
      const opening = yield* readOpening(this.#config.tls);
      if (opening.kind === 'startup') return yield* this.#answer(context, opening);
      yield* forwardCancel(opening);
      return { then: 'close' };
    } catch (error) {
      // No StartupMessage was read: an ErrorResponse would stand where the client awaits something else.
      return closing(error);
    }
  }

  /** From here on the client hears of every error. */
  *#answer(context: Context, { startup, refusal }: StartupOpening): Asking<Handover> {
    try {
      if (refusal !== undefined) throw refusal;
      return yield* this.#logIn(context, startup);
    } catch (error) {
      if (error instanceof UpstreamRefusal) {
        yield* write('downstream', error.answer(context.id));
        return { then: 'close', error: error.error };
      }
      const close = closing(error);
      if (close.error !== undefined) yield* write('downstream', wordsFor(close.error, context.id, startup));
      return close;
    }
  }

  *#logIn(context: Context, startup: Startup): Asking<Handover> {
    if (startup.version >>> 16 !== 3)
      throw new SidecarError('downstream-protocol', { detail: 'a major version not 3' });
    const database = databaseOf(startup, this.#config.database);
    const authorized = yield* context.authorize(factsOf(startup, database), upstreamOf);
    const request = { context, config: this.#config, keys: this.#keys, startup, database };
    const loggedIn = yield* logIn(request, authorized);
    const last = yield* relayToReady(loggedIn);
    yield* dropLeftoverPassword();
    yield* write('downstream', last);
    return this.#splice(context.id);
  }

  #splice(id: string): Splice {
    const { maxConnectionAge } = this.#config;
    const ageSecondsMax = maxConnectionAge === undefined ? undefined : parseDuration(maxConnectionAge);
    return {
      then: 'splice',
      ...(ageSecondsMax === undefined ? {} : { ageSecondsMax }),
      restsAfter: endsReadyAndIdle,
      farewell: (error) => errorResponse(error, id, ADMIN_SHUTDOWN),
    };
  }

  close(): void {
    this.#keys.close();
  }
}

/** Asked of every chunk that a server sends: the last byte answers most of them, and nothing is allocated. */
function endsReadyAndIdle(chunk: Uint8Array): boolean {
  const from = chunk.length - READY_AND_IDLE.length;
  if (from < 0) return false;
  for (let at = READY_AND_IDLE.length - 1; at >= 0; at -= 1) {
    if (chunk[from + at] !== READY_AND_IDLE[at]) return false;
  }
  return true;
}

/** A client that left hears nothing; its going is no fault. */
function closing(error: unknown): Close {
  if (!(error instanceof SidecarError)) throw error;
  return error.code === 'downstream-closed' ? { then: 'close' } : { then: 'close', error };
}

function wordsFor(error: SidecarError, id: string, { version }: Startup): Buffer {
  const major = version >>> 16;
  if (major < 3) return oldErrorResponse(error, id);
  return major === 3 ? errorResponse(error, id) : errorResponse(error, id, FEATURE_NOT_SUPPORTED);
}

function factsOf(startup: Startup, database: Buffer): Facts {
  const application = parameterOf(startup, 'application_name');
  return {
    database: textOf(database),
    ...(application === undefined ? {} : { application: textOf(application) }),
    replication: asksForReplication(startup),
  };
}

/** For the ledger: the first server that is tried. */
function upstreamOf(credentials: Credentials<CredentialName>): string {
  const { targets, password } = settingsOf(credentials);
  password?.wipe();
  return targetUrl(targets[0]!);
}
