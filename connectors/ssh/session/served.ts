import type { RelayConnection } from 'secretless-sidecar/connector';
import type { Config } from '../config.ts';
import type { KeepaliveOptions } from '../relay/index.ts';
import type { Identity } from '../transport/index.ts';
import type { LoginMemory, SshCredential } from '../upstream/index.ts';

/** One service, as its connections need it. */
export interface Served {
  readonly config: Config;
  readonly memory: LoginMemory;
  /** How agents say who they are. */
  readonly identity: Identity;
  readonly keepalive: KeepaliveOptions;
  /** Whether a variable that the downstream sends goes on. */
  readonly takesVariable: (name: Uint8Array) => boolean;
  /** Another service of the connection's listener, which the connection is of from then on. */
  find(connection: RelayConnection<SshCredential>, service: string): Served;
}
