import { javaToolOptions } from './java-options.ts';
import { OTHER_PROXIES, proxyVariables, type ProxyDoor } from './proxy-variables.ts';
import type { Changes } from './service-variables.ts';
import { trustVariables, type TrustPaths } from './trust-variables.ts';

export interface EnvironmentParts {
  /** Before. */
  readonly env: NodeJS.ProcessEnv;
  /** Absent where programs are not led to a proxy: there is none, or their connections are redirected. */
  readonly door: ProxyDoor | undefined;
  /** Absent where nothing is intercepted. */
  readonly trust: TrustPaths | undefined;
  /** Names that must not be inherited. */
  readonly secrets: readonly string[];
  /** Of services, the later ones win; all win over the proxy's. */
  readonly services: readonly Changes[];
}

/** All that changes in the environment of a child. What is set is never removed as well. */
export function environmentChanges({ env, door, trust, secrets, services }: EnvironmentParts): Changes {
  const java =
    door === undefined && trust === undefined ? undefined : javaToolOptions(env['JAVA_TOOL_OPTIONS'], door, trust);
  const set: Record<string, string> = {
    ...(door === undefined ? {} : proxyVariables(door)),
    ...(trust === undefined ? {} : trustVariables(trust)),
    ...(java === undefined ? {} : { JAVA_TOOL_OPTIONS: java }),
  };
  for (const { set: more } of services) Object.assign(set, more);
  const unset = new Set([
    ...secrets,
    ...(door === undefined ? [] : OTHER_PROXIES),
    ...services.flatMap((changes) => changes.unset),
  ]);
  return { set, unset: [...unset].filter((name) => !Object.hasOwn(set, name)).sort() };
}

export function changed(env: NodeJS.ProcessEnv, { set, unset }: Changes): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([name]) => !unset.includes(name));
  return { ...Object.fromEntries(kept), ...set };
}
