import { formatListenAddress, type Config } from '../config/config.ts';
import { quote } from '../config/problem.ts';
import { connectors } from '../main.ts';
import { Policy } from '../policy/policy.ts';
import type { Facts } from '../policy/request.ts';
import { UsageError } from './command.ts';
import { answerOf, type Explained } from './explained.ts';
import { AGENT_CONNECTOR, AWS_CONNECTOR, serviceNamed, SSH_CONNECTOR } from './explain-service.ts';

/** A login to a stream service, as far as policy can tell logins apart. */
export interface Login {
  readonly service: string;
  readonly database?: string | undefined;
  readonly application?: string | undefined;
  readonly replication: boolean;
}

/** What policy would say to a login, for each listener of the service. Errors: `UsageError`. */
export function explainLogin(config: Config, login: Login): Explained[] {
  const service = serviceNamed(config, login.service);
  if (service.connector === AWS_CONNECTOR) {
    throw new UsageError(`service ${quote(service.name)} takes requests to AWS: say with --aws what is asked for`);
  }
  if (service.connector === SSH_CONNECTOR || service.connector === AGENT_CONNECTOR) {
    throw new UsageError(`service ${quote(service.name)} is one of SSH: say with --ssh what is asked for`);
  }
  if (connectors.find(({ name }) => name === service.connector)?.kind === 'http') {
    throw new UsageError(`service ${quote(service.name)} takes HTTP requests: explain a URL, or a path and --listener`);
  }
  const facts: Facts = {
    ...(login.database === undefined ? {} : { database: login.database }),
    ...(login.application === undefined ? {} : { application: login.application }),
    replication: login.replication,
  };
  const { name, connector, agent } = service;
  const request = { service: name, connector, principal: { agent, attested: 'listener' } as const, facts };
  const answer = answerOf(new Policy(config.rules).explain(request), true);
  return service.listenOn.map((address) => ({
    listener: formatListenAddress(address),
    service: name,
    connector,
    agent,
    ...facts,
    ...answer,
  }));
}

/** `login to database "orders" as application "psql"`. */
export function loginText({ database, application, replication }: Login): string {
  const where = database === undefined ? '' : ` to database ${quote(database)}`;
  const who = application === undefined ? '' : ` as application ${quote(application)}`;
  return `login${where}${who}${replication ? ' for a replication stream' : ''}`;
}
