import { isBrokerImage } from './image.ts';
import { isObjectName } from './names.ts';
import type { Annotations } from './pod.ts';
import { quoted, type Problems } from './problems.ts';
import { readAgents, type Wanted } from './wanted.ts';

/** Of CyberArk's sidecar-injector; the second until its version 0.1.1. */
export const BROKER_PREFIXES = ['conjur.org/', 'sidecar-injector.cyberark.com/'] as const;
/** As that injector reads them. */
const YES = new Set(['y', 'yes', 'true', 'on']);
const WITHOUT_EFFECT = ['conjurConnConfig', 'conjurAuthConfig', 'container-name'] as const;

/**
 * What a pod asks for in the words of CyberArk's sidecar-injector (its README, "Configuration"): `inject`, `inject-type:
 * secretless`, `secretless-config`, `container-image`. Undefined where it asks for nothing, or `problems` says why not.
 */
export function readBroker(annotations: Annotations, problems: Problems): Wanted | undefined {
  const prefix = BROKER_PREFIXES.find((each) => YES.has(annotations[`${each}inject`]?.toLowerCase() ?? ''));
  if (prefix === undefined) return undefined;
  const read = (key: string): string | undefined => annotations[`${prefix}${key}`];
  const type = read('inject-type');
  if (type !== 'secretless') {
    problems.mistake(
      type === undefined
        ? `${prefix}inject-type is missing: this injector knows secretless alone`
        : `${prefix}inject-type: ${quoted(type)} is not known here, only secretless: leave it to CyberArk's injector, in a namespace without the label secretless.dev/injection`,
    );
    return undefined;
  }
  const mode = read('container-mode');
  if (mode !== undefined && mode !== 'sidecar') {
    problems.mistake(`${prefix}container-mode: ${quoted(mode)} is not known here, only sidecar`);
  }
  for (const key of WITHOUT_EFFECT) {
    if (read(key) !== undefined) problems.warn(`${prefix}${key} has no effect: what it names is not read`);
  }
  const config = readConfig(`${prefix}secretless-config`, read('secretless-config'), problems);
  if (config === undefined) return undefined;
  const image = readImage(`${prefix}container-image`, read('container-image'), problems);
  const agents = readAgents(annotations, problems);
  return { config, ...(image === undefined ? {} : { image }), ...(agents === undefined ? {} : { agents }) };
}

const FILE_SCHEME = 'configfile#';
const RESOURCE_SCHEME = 'k8s/crd#';

function readConfig(annotation: string, text: string | undefined, problems: Problems): string | undefined {
  if (text === undefined) {
    problems.mistake(`${annotation} is missing: name the ConfigMap that has the key secretless.yml`);
    return undefined;
  }
  if (text.startsWith(RESOURCE_SCHEME)) {
    problems.mistake(
      `${annotation}: a configuration in a custom resource is not read: put it into a ConfigMap under the key secretless.yml, and name that`,
    );
    return undefined;
  }
  const name = text.startsWith(FILE_SCHEME) ? text.slice(FILE_SCHEME.length) : text;
  if (isObjectName(name)) return name;
  problems.mistake(`${annotation}: ${quoted(text)} is no name of a ConfigMap`);
  return undefined;
}

/** Templates of CyberArk name its broker: that is what this program stands in for. */
function readImage(annotation: string, text: string | undefined, problems: Problems): string | undefined {
  if (text === undefined || !isBrokerImage(text)) return text;
  problems.warn(`${annotation} names CyberArk's broker: the image of this injector is used`);
  return undefined;
}
