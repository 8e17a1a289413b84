import type { Command } from './command.ts';

/** Loads the file of one command, and with it only what that command needs. */
export type LoadCommand = () => Promise<{ readonly command: Command }>;

/** Every command, in the order of the help. */
export const COMMANDS: ReadonlyMap<string, LoadCommand> = new Map<string, LoadCommand>([
  ['start', () => import('./start.ts')],
  ['check', () => import('./check.ts')],
  ['explain', () => import('./explain.ts')],
  ['run', () => import('./run.ts')],
  ['env', () => import('./env.ts')],
  ['transparent', () => import('./transparent.ts')],
  ['ssh', () => import('./ssh.ts')],
  ['doctor', () => import('./doctor.ts')],
  ['status', () => import('./status.ts')],
  ['stop', () => import('./stop.ts')],
  ['wait-ready', () => import('./wait-ready.ts')],
  ['ledger', () => import('./ledger.ts')],
  ['demo', () => import('./demo.ts')],
  ['migrate', () => import('./migrate.ts')],
  ['injector', () => import('./injector.ts')],
  ['schema', () => import('./schema.ts')],
  ['version', () => import('./version.ts')],
  ['help', () => import('./help.ts')],
]);
