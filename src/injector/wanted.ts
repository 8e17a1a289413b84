import { AGENT_CONTAINERS, isContainerName } from './names.ts';
import type { Annotations } from './pod.ts';
import { quoted, type Problems } from './problems.ts';

/** What a pod asks for. */
export interface Wanted {
  /** Name of the ConfigMap. */
  readonly config: string;
  readonly image?: string;
  /** Names of the containers that use the sidecar; absent: all that are no init containers. */
  readonly agents?: readonly string[];
  /** Absent: as the cluster can. */
  readonly native?: boolean;
  /** Secret whose keys become variables of the sidecar. */
  readonly envSecret?: string;
  /** Secret whose keys become files of the sidecar. */
  readonly secret?: string;
  /** Audience of a service account token that only the sidecar has. */
  readonly tokenAudience?: string;
  /** Port of `egress.listenOn`: the agents get proxy variables and trust files. */
  readonly egressPort?: number;
}

/** Of pods that CyberArk's annotations speak for, too: the injector writes it. */
export function readAgents(annotations: Annotations, problems: Problems): readonly string[] | undefined {
  const text = annotations[AGENT_CONTAINERS];
  if (text === undefined) return undefined;
  const names = text.split(',').map((name) => name.trim());
  const bad = names.find((name) => !isContainerName(name));
  if (bad !== undefined) problems.mistake(`${AGENT_CONTAINERS}: ${quoted(bad)} is no name of a container`);
  return [...new Set(names)];
}
