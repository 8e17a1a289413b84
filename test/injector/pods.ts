import { Pod } from 'kubernetes-models/v1';
import type { IPod } from 'kubernetes-models/v1';

export const SIDECAR = 'secretless-sidecar';
export const ASKING = { 'secretless.dev/inject': 'true', 'secretless.dev/config': 'agent-config' } as const;

export type PodObject = IPod & { metadata: { annotations?: Record<string, string> } };
export type PodSpec = NonNullable<IPod['spec']>;

/** A pod of one agent, as an API server sends it. */
export function pod(annotations: Record<string, string> = ASKING, spec: Partial<PodSpec> = {}): PodObject {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'agent', annotations },
    spec: { containers: [{ name: 'agent', image: 'agent:1' }], ...spec },
  };
}

export function withAgent(container: object, spec: Partial<PodSpec> = {}, annotations = {}): PodObject {
  const containers = [{ name: 'agent', image: 'agent:1', ...container }] as PodSpec['containers'];
  return pod({ ...ASKING, ...annotations }, { ...spec, containers });
}

/** Against the types of Kubernetes: throws with what is wrong. */
export function validate(object: unknown): void {
  new Pod(object as IPod).validate();
}

/** What an API server adds to a pod between two calls of a webhook, as 1.37 does. */
export function defaulted(object: PodObject): PodObject {
  const copy = structuredClone(object);
  const token = {
    mountPath: '/var/run/secrets/kubernetes.io/serviceaccount',
    name: 'kube-api-access-x',
    readOnly: true,
  };
  for (const container of [...copy.spec!.containers, ...(copy.spec!.initContainers ?? [])]) {
    container.terminationMessagePath ??= '/dev/termination-log';
    container.terminationMessagePolicy ??= 'File';
    container.imagePullPolicy ??= 'Always';
    container.resources ??= {};
    (container.volumeMounts ??= []).unshift(token);
  }
  (copy.spec!.volumes ??= []).unshift({ name: token.name, projected: { defaultMode: 420, sources: [] } });
  return copy;
}

/** Every rule of the restricted Pod Security profile that a container can break; returns those that are broken. */
export function restrictedProblems(container: PodSpec['containers'][number]): string[] {
  const security = container.securityContext;
  return [
    ...(security?.allowPrivilegeEscalation === false ? [] : ['allowPrivilegeEscalation']),
    ...(security?.runAsNonRoot === true && security.runAsUser !== 0 ? [] : ['runAsNonRoot']),
    ...(security?.seccompProfile?.type === 'RuntimeDefault' ? [] : ['seccompProfile']),
    ...(security?.capabilities?.drop?.includes('ALL') === true ? [] : ['capabilities.drop']),
    ...((security?.capabilities?.add ?? []).length === 0 ? [] : ['capabilities.add']),
    ...(security?.privileged === true ? ['privileged'] : []),
    ...(security?.readOnlyRootFilesystem === true ? [] : ['readOnlyRootFilesystem']),
    ...((container.ports ?? []).some(({ hostPort }) => hostPort !== undefined) ? ['hostPort'] : []),
  ];
}
