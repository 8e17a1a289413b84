/** Names that an injected pod has. The library chart gives the same. */

export const PREFIX = 'secretless.dev/';
/** Written by the injector: its version. Never believed: what counts is what stands in the pod. */
export const INJECTED = `${PREFIX}injected`;
export const AGENT_CONTAINERS = `${PREFIX}agent-containers`;

export const SIDECAR = 'secretless-sidecar';
/** User and group of the sidecar's process. */
export const SIDECAR_ID = 65532;
export const HTTP_PORT = 5335;
export const HTTP_PORT_NAME = 'secretless-http';

export const VOLUMES = {
  config: 'secretless-config',
  state: 'secretless-state',
  share: 'secretless-share',
  secret: 'secretless-secret',
  token: 'secretless-token',
} as const;

export const PATHS = {
  config: '/etc/secretless',
  state: '/var/lib/secretless',
  share: '/run/secretless',
  secret: '/var/run/secrets/secretless',
  token: '/var/run/secrets/secretless-token',
} as const;

/** Key of the ConfigMap, and name of the file. */
export const CONFIG_KEY = 'secretless.yml';

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const OBJECT_NAME = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`);
const CONTAINER_NAME = new RegExp(`^${LABEL}$`);
const OBJECT_NAME_CHARACTERS_MAX = 253;

/** Whether a ConfigMap or a Secret can have this name (RFC 1123 subdomain). */
export function isObjectName(text: string): boolean {
  return text.length <= OBJECT_NAME_CHARACTERS_MAX && OBJECT_NAME.test(text);
}

export function isContainerName(text: string): boolean {
  return CONTAINER_NAME.test(text);
}
