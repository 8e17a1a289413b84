import type { KeyObject } from 'node:crypto';
import type { Cipher } from './options.ts';

/** Something that `ssh` connects to: the server itself, or the sidecar. */
export interface Target {
  readonly name: string;
  port(cipher: Cipher): number;
  /** Words of `ssh` that log in there. */
  readonly login: readonly string[];
  /** Socket of an agent of SSH that holds the same key as all others. */
  readonly agentSocket: string;
  /** Processes whose use counts as this target's; none for the server itself. */
  pids(): readonly number[];
  close(): Promise<void>;
}

export interface Sidecar extends Target {
  /** A listener with AES-GCM that asks for a key of the agent's. */
  readonly keyed: { readonly port: number; readonly key: KeyObject };
}
