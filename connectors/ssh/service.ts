import type { Duplex } from 'node:stream';
import {
  type Address,
  parseDuration,
  type RelayConnection,
  type RelayEnd,
  type RelayPassage,
  type RelayService,
  Secret,
  SidecarError,
} from 'secretless-sidecar/connector';
import type { Config } from './config.ts';
import { KEEPALIVE, type KeepaliveOptions } from './relay/index.ts';
import { environmentFilter } from './session/environment.ts';
import { reachThrough } from './session/reach.ts';
import type { Served } from './session/served.ts';
import { lead } from './session/session.ts';
import type { Identity } from './transport/index.ts';
import { LoginMemory, type SshCredential } from './upstream/index.ts';

/** One service: its configuration, and what its logins remember. */
export class SshService implements RelayService<SshCredential>, Served {
  readonly #config: Config;
  readonly identity: Identity;
  readonly keepalive: KeepaliveOptions;
  readonly takesVariable: (name: Uint8Array) => boolean;
  readonly memory = new LoginMemory();

  constructor(config: Config) {
    this.#config = config;
    this.identity = identityOf(config.agents);
    const seconds = config.keepalive === undefined ? undefined : parseDuration(config.keepalive);
    this.keepalive = { ...KEEPALIVE, ...(seconds !== undefined && { seconds }) };
    this.takesVariable = environmentFilter(config.environment ?? []);
  }

  get config(): Config {
    return this.#config;
  }

  relay(connection: RelayConnection<SshCredential>): Promise<RelayEnd> {
    return lead(connection, this);
  }

  reach(passage: RelayPassage<SshCredential>, address: Address): Promise<Duplex> {
    return reachThrough(passage, this, address);
  }

  knows(agent: string): boolean {
    return Object.hasOwn(this.#config.agents ?? {}, agent);
  }

  find(connection: RelayConnection<SshCredential>, service: string): Served {
    const found = connection.choose(service);
    if (found instanceof SshService) return found;
    throw new SidecarError('internal', { detail: `service ${service} of the listener is not one of ssh` });
  }

  close(): void {
    this.memory.close();
    if (this.identity.kind === 'token') for (const { token } of this.identity.tokens) token.wipe();
  }
}

function identityOf(agents: Config['agents']): Identity {
  if (agents === undefined) return { kind: 'none' };
  const entries = Object.entries(agents);
  const tokens = entries.flatMap(([agent, { token }]) =>
    token === undefined ? [] : [{ agent, token: new Secret(token) }],
  );
  if (tokens.length > 0) return { kind: 'token', tokens };
  const byKey = new Map(entries.map(([agent, { publicKey }]) => [publicKey?.split(' ')[1] ?? '', agent]));
  return { kind: 'keys', agentOf: ({ blob }) => byKey.get(Buffer.from(blob).toString('base64')) };
}
