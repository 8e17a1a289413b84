import { nearest } from '../config/nearest.ts';
import { readBroker } from './broker-annotations.ts';
import { INJECTED, isObjectName, PREFIX } from './names.ts';
import type { Annotations } from './pod.ts';
import { quoted, type Problems } from './problems.ts';
import { readAgents, type Wanted } from './wanted.ts';

const KEYS = [
  'inject',
  'config',
  'image',
  'agent-containers',
  'native',
  'env-secret',
  'secret',
  'token-audience',
  'egress',
] as const;
const KNOWN = new Set<string>([...KEYS.map((key) => `${PREFIX}${key}`), INJECTED]);

/**
 * Reads what a pod asks for; undefined where it asks for nothing, or where `problems` says what is wrong. A name under
 * `secretless.dev/` that nobody knows is a problem even then: a misspelt `inject` must not start an agent without sidecar.
 */
export function readAnnotations(annotations: Annotations, problems: Problems): Wanted | undefined {
  for (const name of Object.keys(annotations)) if (isForeign(name)) problems.mistake(unknown(name));
  const inject = own(annotations, 'inject');
  if (inject === undefined) {
    // Names without `inject` would be without effect: somebody forgot it.
    const broker = readBroker(annotations, problems);
    const heeded: string = broker === undefined ? '' : 'agent-containers';
    const without = KEYS.find((key) => key !== heeded && own(annotations, key) !== undefined);
    if (without !== undefined && problems.denial === undefined) {
      problems.mistake(`${PREFIX}${without} does nothing without ${PREFIX}inject: "true"`);
    }
    return broker;
  }
  if (inject === 'false') return undefined;
  if (inject !== 'true') {
    problems.mistake(`${PREFIX}inject is "true" or "false", not ${quoted(inject)}`);
    return undefined;
  }
  return readOwn(annotations, problems);
}

function isForeign(name: string): boolean {
  return name.startsWith(PREFIX) && !KNOWN.has(name);
}

function unknown(name: string): string {
  const meant = nearest(
    name.slice(PREFIX.length),
    [...KNOWN].map((known) => known.slice(PREFIX.length)),
  );
  const hint = meant === undefined ? `known are ${KEYS.join(', ')}` : `did you mean ${PREFIX}${meant}?`;
  return `annotation ${quoted(name)} is not known (${hint})`;
}

function own(annotations: Annotations, key: (typeof KEYS)[number]): string | undefined {
  const name = `${PREFIX}${key}`;
  return Object.hasOwn(annotations, name) ? annotations[name] : undefined;
}

function readOwn(annotations: Annotations, problems: Problems): Wanted | undefined {
  const config = own(annotations, 'config');
  if (config === undefined) {
    problems.mistake(`${PREFIX}config is missing: name the ConfigMap that has the key secretless.yml`);
    return undefined;
  }
  const names = { config, envSecret: own(annotations, 'env-secret'), secret: own(annotations, 'secret') };
  for (const [key, name] of Object.entries(names)) {
    if (name === undefined || isObjectName(name)) continue;
    const annotation = key === 'envSecret' ? 'env-secret' : key;
    problems.mistake(
      `${PREFIX}${annotation}: ${quoted(name)} is no name of a ${key === 'config' ? 'ConfigMap' : 'Secret'}`,
    );
  }
  return {
    config,
    ...optional('image', own(annotations, 'image')),
    ...optional('agents', readAgents(annotations, problems)),
    ...optional('native', readNative(own(annotations, 'native'), problems)),
    ...optional('envSecret', names.envSecret),
    ...optional('secret', names.secret),
    ...optional('tokenAudience', readAudience(own(annotations, 'token-audience'), problems)),
    ...optional('egressPort', readPort(own(annotations, 'egress'), problems)),
  };
}

function optional<Key extends string, Value>(key: Key, value: Value | undefined): Partial<Record<Key, Value>> {
  return value === undefined ? {} : ({ [key]: value } as Record<Key, Value>);
}

function readNative(text: string | undefined, problems: Problems): boolean | undefined {
  if (text === undefined || text === 'true' || text === 'false')
    return text === undefined ? undefined : text === 'true';
  problems.mistake(`${PREFIX}native is "true" or "false", not ${quoted(text)}`);
  return undefined;
}

const AUDIENCE = /^[\x21-\x7e]{1,253}$/;

function readAudience(text: string | undefined, problems: Problems): string | undefined {
  if (text !== undefined && !AUDIENCE.test(text)) {
    problems.mistake(`${PREFIX}token-audience: ${quoted(text)} is no audience of a token`);
  }
  return text;
}

function readPort(text: string | undefined, problems: Problems): number | undefined {
  if (text === undefined) return undefined;
  const port = /^[1-9][0-9]{0,4}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65535) return port;
  problems.mistake(`${PREFIX}egress is the port of \`egress.listenOn\`, such as "3128", not ${quoted(text)}`);
  return undefined;
}
