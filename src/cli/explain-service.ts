import type { Config, ServiceConfig } from '../config/config.ts';
import { quote } from '../config/problem.ts';
import { UsageError } from './command.ts';
import { didYouMean } from './suggest.ts';

/** The connector whose requests are asked about by what they want: their signature cannot be written on a command line. */
export const AWS_CONNECTOR = 'aws';
/** Those that are asked about by what is wanted of them: a login says too little. */
export const SSH_CONNECTOR = 'ssh';
export const AGENT_CONNECTOR = 'ssh-agent';

/** Errors: `UsageError`. */
export function serviceNamed({ services }: Config, wanted: string): ServiceConfig {
  const service = services.find(({ name }) => name === wanted);
  if (service !== undefined) return service;
  const known = services.map(({ name }) => name);
  throw new UsageError(`no service ${quote(wanted)} in the file${didYouMean(wanted, known)}`);
}
