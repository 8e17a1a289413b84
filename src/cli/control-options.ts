import { ControlClient } from '../sidecar/control-client.ts';
import { controlSocketPath } from '../sidecar/state.ts';
import { type Io, UsageError } from './command.ts';

/** For commands that ask the running sidecar. */
export const SOCKET_OPTION = {
  type: 'string',
  value: 'path',
  meaning: 'control socket, where `control.socket` moved it out of the state folder',
} as const;

export function controlClient(socket: string | undefined, io: Io): ControlClient {
  return new ControlClient(socket ?? controlSocketPath(io.env));
}

/** Seconds of an option as milliseconds. Errors: `UsageError`. */
export function milliseconds(option: string, text: string | undefined, defaultSeconds: number): number {
  if (text === undefined) return defaultSeconds * 1000;
  const match = /^(\d+(?:\.\d+)?)s?$/.exec(text);
  if (match === null) throw new UsageError(`--${option} is a number of seconds, not "${text}"`);
  return Number(match[1]) * 1000;
}
