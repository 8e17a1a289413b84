import { resolve } from 'node:path';
import { formatListenAddress, type ServiceConfig } from '../../config/config.ts';
import type { AgentEnvironment, Connector, EnvironmentQuestion } from '../../connector/connector.ts';
import { bracketed } from './proxy-variables.ts';

/** What is changed in the environment of a program. */
export interface Changes {
  readonly set: Readonly<Record<string, string>>;
  readonly unset: readonly string[];
}

export type Answer = Exclude<AgentEnvironment, { problem: string }>;

export interface ServiceAnswer {
  readonly service: string;
  readonly kind: Connector['kind'];
  readonly answer: AgentEnvironment;
}

export interface Asking {
  readonly connectors: readonly Connector[];
  readonly agent?: string;
  readonly region?: string;
}

/** What one service asks of the environment; undefined where it asks for nothing. */
export function answerOf(service: ServiceConfig, asking: Asking): ServiceAnswer | undefined {
  const connector = asking.connectors.find(({ name }) => name === service.connector)!;
  const url = connector.kind === 'http' ? httpUrl(service) : addressOf(service);
  const question: EnvironmentQuestion = {
    owner: service.agent,
    target: service.target !== undefined,
    ...(url === undefined ? {} : { url }),
    ...(asking.agent === undefined ? {} : { agent: asking.agent }),
    ...(asking.region === undefined ? {} : { region: asking.region }),
  };
  // What nobody can connect to needs no variables; what the proxy leads to may.
  const isMet = url !== undefined || connector.kind === 'http';
  const own = isMet ? connector.environment?.(service.config, question) : undefined;
  if (own !== undefined && 'problem' in own) return { service: service.name, kind: connector.kind, answer: own };
  const named = own?.url ?? (connector.kind === 'http' && service.target !== undefined ? url : undefined);
  if (own === undefined && named === undefined) return undefined;
  const answer = { set: {}, unset: [], ...own, ...(named === undefined ? {} : { url: named }) };
  return { service: service.name, kind: connector.kind, answer };
}

/** `http://127.0.0.1:8080`; undefined where it has no TCP address. */
export function httpUrl({ listenOn }: ServiceConfig): string | undefined {
  const address = listenOn.find(({ kind }) => kind === 'tcp');
  if (address?.kind !== 'tcp') return undefined;
  return `http://${bracketed(reachable(address.host))}:${address.port}`;
}

/** A Unix socket, where there is one; undefined where others lead through it. */
export function addressOf({ listenOn }: ServiceConfig): string | undefined {
  const socket = listenOn.find(({ kind }) => kind === 'unix');
  if (socket?.kind === 'unix') return `unix://${resolve(socket.path)}`;
  const [address] = listenOn;
  if (address?.kind !== 'tcp') return undefined;
  return formatListenAddress({ ...address, host: reachable(address.host) });
}

/** Where something that listens everywhere is met. */
export function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

/** `ORDERS_DB_URL`. */
export function urlVariable(service: string): string {
  const word = service.toUpperCase().replaceAll(/[^A-Z\d]+/g, '_');
  return `${/^\d/.test(word) ? '_' : ''}${word}_URL`;
}

export interface Gathered extends Changes {
  /** Variables that services want to be different things, with the names of those. They are not set. */
  readonly conflicts: readonly { readonly variable: string; readonly services: readonly string[] }[];
  /** What a service has to say instead. */
  readonly problems: readonly { readonly service: string; readonly problem: string }[];
}

/**
 * One environment of what all services ask for. A variable that two of them want to be different is left out, and
 * removed: a program that silently works on the other's database is worse than one that finds none.
 */
export function gathered(answers: readonly ServiceAnswer[]): Gathered {
  const wanted = new Map<string, Map<string, string>>();
  const want = (variable: string, service: string, value: string): void => {
    wanted.set(variable, (wanted.get(variable) ?? new Map<string, string>()).set(service, value));
  };
  const unset = new Set<string>();
  const problems: { service: string; problem: string }[] = [];
  for (const { service, kind, answer } of answers) {
    if ('problem' in answer) {
      problems.push({ service, problem: answer.problem });
      continue;
    }
    for (const [name, value] of Object.entries(answer.set)) want(name, service, value);
    for (const name of answer.unset) unset.add(name);
    if (answer.url === undefined) continue;
    want(urlVariable(service), service, answer.url);
    if (kind === 'stream') want('DATABASE_URL', service, answer.url);
  }
  const set: Record<string, string> = {};
  const conflicts: { variable: string; services: string[] }[] = [];
  for (const [variable, values] of wanted) {
    const [value, ...others] = new Set(values.values());
    if (others.length === 0 && value !== undefined) {
      set[variable] = value;
      unset.delete(variable);
    } else {
      unset.add(variable);
      conflicts.push({ variable, services: [...values.keys()] });
    }
  }
  return { set, unset: [...unset], conflicts, problems };
}
