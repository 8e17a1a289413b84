import { once } from 'node:events';
import { connect } from 'node:net';
import { type Credentials, Secret, SidecarError } from 'secretless-sidecar/connector';
import { LoginMemory, logIn, type SshCredential, type UpstreamLogin, upstreamOf } from '../index.ts';
import { type ClientLeg, SshError } from '../../transport/index.ts';

export type Fields = Readonly<Partial<Record<SshCredential, string | Uint8Array>>>;

/** Credentials as a lease has them. */
export function credentialsOf(fields: Fields): Credentials<SshCredential> {
  const secrets = new Map(Object.entries(fields).map(([name, value]) => [name, new Secret(value)]));
  return {
    names: [...secrets.keys()],
    has: (name: string) => secrets.has(name),
    get: (name: string) => {
      const secret = secrets.get(name);
      if (secret === undefined) throw new SidecarError('credential-missing', { detail: name });
      return secret;
    },
  };
}

let versions = 0;

/** Dials and logs in with those credentials, which are a new version each time. */
export async function login(fields: Fields, options: Partial<UpstreamLogin> = {}): Promise<ClientLeg> {
  const credentials = credentialsOf(fields);
  const upstream = upstreamOf(credentials);
  const socket = connect(upstream.port, upstream.host).setNoDelay(true);
  await once(socket, 'connect');
  const version = `v${(versions += 1)}`;
  return logIn(socket, { credentials, version, upstream, memory: new LoginMemory(), loginSeconds: 10, ...options });
}

/** Logs in and leaves again: `in`, or why not. */
export async function outcomeOf(fields: Fields, options: Partial<UpstreamLogin> = {}): Promise<string> {
  try {
    (await login(fields, options)).raw.end(new SshError('aborted', 'seen enough'));
    return 'in';
  } catch (error) {
    if (error instanceof SidecarError) return error.code;
    throw error;
  }
}

/** The error of a login that must fail. */
export async function errorOf(fields: Fields, options: Partial<UpstreamLogin> = {}): Promise<SidecarError> {
  try {
    (await login(fields, options)).raw.end(new SshError('aborted', 'seen enough'));
  } catch (error) {
    if (error instanceof SidecarError) return error;
    throw error;
  }
  throw new Error('it logged in');
}
