import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** What `status` tells, as JSON on the control socket. No secret, no credential id. */
export interface SidecarStatus {
  readonly version: string;
  readonly pid: number;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly ready: boolean;
  /** Why not ready. */
  readonly reasons: readonly string[];
  readonly config: {
    readonly file: string;
    /** ISO 8601. */
    readonly loadedAt: string;
    /** Changes when the configuration changes. */
    readonly fingerprint: string;
  };
  readonly listeners: readonly ListenerStatus[];
  readonly services: readonly ServiceStatus[];
  readonly ledger: LedgerStatus;
  /** No address: telemetry is off. */
  readonly telemetry: { readonly address?: string };
}

export interface ListenerStatus {
  /** As bound, with the real port: `tcp://127.0.0.1:8081`. */
  readonly address: string;
  readonly services: readonly string[];
  /** Open downstream sockets. */
  readonly connections: number;
  /** How clients get to the services that are reached by the upstream's own URL; absent: not here. */
  readonly egress?: 'proxy' | 'transparent';
}

export interface ServiceStatus {
  readonly name: string;
  readonly connector: string;
  readonly agent: string;
}

export interface LedgerStatus {
  readonly file: string;
  readonly ok: boolean;
  /** Number of the last event. */
  readonly seq: number;
  /** Events accepted but not yet recorded. */
  readonly lag: number;
  /** Why not ok. */
  readonly reason?: string;
}

/** Absolute path of the state folder: `$SECRETLESS_HOME`, or `.secretless` in the home folder. Creates nothing. */
export function stateFolder(env: NodeJS.ProcessEnv): string {
  const folder = env['SECRETLESS_HOME'];
  if (folder !== undefined && folder !== '') return resolve(folder);
  const home = env['HOME'];
  return join(home === undefined || home === '' ? homedir() : home, '.secretless');
}

/** Where the control socket is, unless the configuration says otherwise. */
export function controlSocketPath(env: NodeJS.ProcessEnv): string {
  return join(stateFolder(env), 'control.sock');
}

/** Where the ledger is, unless the configuration says otherwise. */
export function ledgerPath(env: NodeJS.ProcessEnv): string {
  return join(stateFolder(env), 'ledger.jsonl');
}
