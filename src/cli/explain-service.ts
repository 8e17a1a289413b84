import { formatListenAddress, type Config, type ServiceConfig } from '../config/config.ts';
import { quote } from '../config/problem.ts';
import { UsageError } from './command.ts';
import { didYouMean } from './suggest.ts';

/** The connector whose requests are asked about by what they want: their signature cannot be written on a command line. */
export const AWS_CONNECTOR = 'aws';
/** Those that are asked about by what is wanted of them: a login says too little. */
export const SSH_CONNECTOR = 'ssh';
export const AGENT_CONNECTOR = 'ssh-agent';

/** Addresses that the service is asked at; of one without any, those of `egress`. */
export function listenersOf({ egress }: Config, service: ServiceConfig): string[] {
  return (isLed(service) ? (egress?.listenOn ?? []) : service.listenOn).map(formatListenAddress);
}

/** Who asks the service, where nobody is named. Errors: `UsageError` where that must be somebody with a token. */
export function usualAskerOf({ egress, agents }: Config, { agent, ...service }: ServiceConfig): string {
  if (egress === undefined || !isLed(service)) return agent;
  if (egress.agent !== undefined) return egress.agent;
  if (Object.keys(agents).length === 0) return 'local';
  throw new UsageError('who asks through `egress` shows a token: say with --agent who it is');
}

/** Whether `egress` leads to it: by its target, or by the hosts that its connector knows. */
function isLed({ connector, listenOn, target }: Pick<ServiceConfig, 'connector' | 'listenOn' | 'target'>): boolean {
  return listenOn.length === 0 && (target !== undefined || connector === AWS_CONNECTOR);
}

/** Errors: `UsageError`. */
export function serviceNamed({ services }: Config, wanted: string): ServiceConfig {
  const service = services.find(({ name }) => name === wanted);
  if (service !== undefined) return service;
  const known = services.map(({ name }) => name);
  throw new UsageError(`no service ${quote(wanted)} in the file${didYouMean(wanted, known)}`);
}
