import { type RelayConnection, SidecarError } from 'secretless-sidecar/connector';
import { acceptSsh, IDENT, type Identity, type ServerLeg } from '../transport/index.ts';
import type { SshCredential } from '../upstream/index.ts';
import { chosenUser, readLoginName } from './names.ts';
import type { Served } from './served.ts';

/** The service that a downstream wants, and whom it chose to be upstream. */
export interface Wanted {
  readonly served: Served;
  readonly user: string | undefined;
}

/** A downstream that has proven who it is as far as it was asked, and waits for our word. */
export interface Arrival {
  readonly leg: ServerLeg;
  /** Says who it proved to be. Errors: why it is not even asked for at policy. */
  admitted(): Wanted;
}

/**
 * Speaks with the downstream until it has proven who it is. Whoever wants what there is not is asked for nothing, and
 * hears why. Errors: `SshError`; the downstream is closed then.
 */
export async function meet(connection: RelayConnection<SshCredential>, own: Served): Promise<Arrival> {
  let wanted: Wanted | SidecarError = new SidecarError('internal', { detail: 'a login without a name' });
  const identity = (name: string): Identity => {
    wanted = read(name, connection, own);
    return wanted instanceof SidecarError ? { kind: 'none' } : wanted.served.identity;
  };
  const { ciphers } = own.config;
  const leg = await acceptSsh(connection.downstream, {
    ident: IDENT,
    hostKey: await connection.hostKey(),
    identity,
    loginSeconds: connection.headerSeconds,
    passed: (bytes) => connection.passed(bytes),
    signal: connection.signal,
    ...(ciphers !== undefined && { algorithms: { cipher: ciphers } }),
  });
  const admitted = (): Wanted => {
    if (wanted instanceof SidecarError) throw wanted;
    if (leg.agent !== undefined) connection.prove(leg.agent, wanted.served.identity.kind === 'token' ? 'token' : 'key');
    return wanted;
  };
  return { leg, admitted };
}

function read(name: string, connection: RelayConnection<SshCredential>, own: Served): Wanted | SidecarError {
  if (connection.refusal !== undefined) return connection.refusal;
  try {
    const login = readLoginName(name, connection.services);
    const served = login.service === connection.service ? own : own.find(connection, login.service);
    return { served, user: chosenUser(login, served.config.users) };
  } catch (error) {
    if (error instanceof SidecarError) return error;
    throw error;
  }
}
