import { type Facts, type RelayConnection, type RelayEnd, SidecarError } from 'secretless-sidecar/connector';
import { relay } from '../relay/index.ts';
import { type ServerLeg, SshError } from '../transport/index.ts';
import type { SshCredential } from '../upstream/index.ts';
import { type Arrival, meet, type Wanted } from './arrival.ts';
import { arrivalError, joinedError } from './end-error.ts';
import { watchEnding } from './ending.ts';
import { enter, type Entered } from './enter.ts';
import type { Served } from './served.ts';
import { SessionWatcher } from './watcher.ts';
import { wordsFor } from './words.ts';

type Connection = RelayConnection<SshCredential>;

const LOGIN: Facts = { ssh: { request: 'login' } };

/** Leads one connection to its end. `own`: the service that it begins with. */
export async function lead(connection: Connection, own: Served): Promise<RelayEnd> {
  let arrival: Arrival;
  try {
    arrival = await meet(connection, own);
  } catch (thrown) {
    const error = arrivalError(thrown, connection.signal);
    // Somebody guesses at what proves an agent: an auditor's business, though policy was never asked.
    if (error?.code === 'caller-unproven') await connection.refused(LOGIN, error);
    return ended(error);
  }
  const { leg } = arrival;
  try {
    const wanted = await admitted(connection, arrival);
    return await join(connection, leg, wanted.served, await enterFor(connection, leg, wanted));
  } catch (error) {
    if (!(error instanceof SidecarError)) throw error;
    leg.refuse(wordsFor(error, connection.id));
    // Its going is no fault, and nobody is there to hear anything.
    return ended(error.code === 'downstream-closed' ? undefined : error);
  }
}

/** Errors: why not even policy is asked; on record as if it had been. */
async function admitted(connection: Connection, arrival: Arrival): Promise<Wanted> {
  try {
    return arrival.admitted();
  } catch (error) {
    if (error instanceof SidecarError && error !== connection.refusal) {
      await connection.refused(LOGIN, error);
    }
    throw error;
  }
}

function ended(error: SidecarError | undefined, carried = { bytesUp: 0, bytesDown: 0 }): RelayEnd {
  return { ...carried, ...(error !== undefined && { error }) };
}

/** Logs in upstream while the downstream waits; given up where it does not. */
async function enterFor(connection: Connection, leg: ServerLeg, { served, user }: Wanted): Promise<Entered> {
  const left = new AbortController();
  void leg.closed.then((cause) => left.abort(new SidecarError('downstream-closed', { cause })));
  const chosen = user === undefined ? {} : { user };
  return enter(connection, {
    config: served.config,
    memory: served.memory,
    ...chosen,
    facts: { request: 'login', ...chosen },
    signal: AbortSignal.any([connection.signal, left.signal]),
  });
}

/** Both sides are logged in: passes on what may pass until either is over. */
async function join(connection: Connection, leg: ServerLeg, served: Served, entered: Entered): Promise<RelayEnd> {
  const { id, signal, ending, idleSeconds } = connection;
  const watcher = new SessionWatcher({
    id,
    user: entered.upstream.user,
    admit: (facts) => connection.admit(facts),
    takesVariable: served.takesVariable,
  });
  const downstream = leg.accept();
  connection.working();
  let isLeft = false;
  let error: SidecarError | undefined;
  const leave = (reason: SidecarError | undefined): void => {
    isLeft = true;
    error ??= reason;
    const text = reason === undefined ? `secretless: nothing was said for too long (${id})` : wordsFor(reason, id);
    downstream.end(new SshError('aborted', 'the connection was ended'), text);
  };
  const joined = relay(downstream, entered.leg.raw, {
    watcher,
    keepalive: served.keepalive,
    farewell: (end) => {
      if (!isLeft) error = joinedError(end, watcher.openChannels > 0);
      return error === undefined ? 'closed' : wordsFor(error, id);
    },
  });
  const stop = watchEnding({ watcher, signal, ending, idleSeconds, leave });
  await joined;
  stop();
  watcher.end();
  entered.loan.end();
  return ended(error, watcher.carried);
}
