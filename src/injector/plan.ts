import { appended, pointerPart, prepended, type Operation } from './json-patch.ts';
import { AGENT_CONTAINERS, INJECTED, PATHS, SIDECAR, VOLUMES } from './names.ts';
import type { Container, Pod, PodSpec } from './pod.ts';
import { quoted, type Problems } from './problems.ts';
import { refuseUnsafe } from './refusals.ts';
import { AGENT_MOUNT, sidecarContainer, sidecarVolumes, type SidecarParts } from './sidecar-container.ts';
import { containerDifference, isSameVolume } from './standing.ts';
import type { Wanted } from './wanted.ts';

export interface EnvironmentVariable {
  readonly name: string;
  readonly value: string;
}

/** What leads the programs of an agent to the proxy at a port of the pod, and makes them trust it. */
export type AgentEnvironment = (port: number) => readonly EnvironmentVariable[];

export interface PlanOptions extends SidecarParts {
  /** Of this program. */
  readonly version: string;
  readonly agentEnvironment: AgentEnvironment;
}

/**
 * The steps that give a pod its sidecar: none where all of it is there, only what is missing where another webhook came
 * in between. What must not be is told to `problems`, and then the steps mean nothing.
 */
export function planInjection(pod: Pod, wanted: Wanted, options: PlanOptions, problems: Problems): Operation[] {
  const { spec } = pod;
  refuseUnsafe(spec, wanted, problems);
  const agents = agentNames(spec, wanted, problems);
  if ((spec.terminationGracePeriodSeconds ?? GRACE_SECONDS) < GRACE_SECONDS) {
    problems.warn(`terminationGracePeriodSeconds is less than ${GRACE_SECONDS}: connections may be cut at the end`);
  }
  // Insertions at the front come last: they move what stands behind.
  return [
    ...annotated(pod, options.version, agents),
    ...volumesAdded(spec, wanted, problems),
    ...lists(spec).flatMap(([path, containers]) =>
      containers.flatMap((container, at) =>
        agents.includes(container.name) ? agentAdded(`${path}/${at}`, container, wanted, options, problems) : [],
      ),
    ),
    ...containerAdded(spec, wanted, options, problems),
  ];
}

/** What draining takes, and Kubernetes gives by default. */
const GRACE_SECONDS = 30;

function lists({ containers, initContainers = [] }: PodSpec): readonly (readonly [string, readonly Container[]])[] {
  return [
    ['/spec/containers', containers],
    ['/spec/initContainers', initContainers],
  ];
}

function agentNames(spec: PodSpec, wanted: Wanted, problems: Problems): readonly string[] {
  const known = lists(spec).flatMap(([, containers]) => containers.map(({ name }) => name));
  const agents = wanted.agents ?? spec.containers.map(({ name }) => name).filter((name) => name !== SIDECAR);
  if (agents.length === 0) problems.mistake('there is no container beside the sidecar');
  for (const name of agents) {
    if (name === SIDECAR) problems.mistake(`${AGENT_CONTAINERS}: ${SIDECAR} is the sidecar`);
    else if (!known.includes(name)) problems.mistake(`${AGENT_CONTAINERS}: there is no container ${quoted(name)}`);
  }
  return agents;
}

function annotated({ metadata: { annotations = {} } }: Pod, version: string, agents: readonly string[]): Operation[] {
  const written = { [INJECTED]: version, [AGENT_CONTAINERS]: annotations[AGENT_CONTAINERS] ?? agents.join(',') };
  return Object.entries(written)
    .filter(([name, value]) => annotations[name] !== value)
    .map(([name, value]) => ({ op: 'add', path: `/metadata/annotations/${pointerPart(name)}`, value }));
}

function volumesAdded(spec: PodSpec, wanted: Wanted, problems: Problems): Operation[] {
  const ours = sidecarVolumes(wanted);
  const own = new Set<string>(Object.values(VOLUMES));
  for (const volume of spec.volumes ?? []) {
    const match = ours.find(({ name }) => name === volume.name);
    if (match === undefined ? own.has(volume.name) : !isSameVolume(match, volume)) {
      problems.mistake(`volume ${quoted(volume.name)} is not the one that this injector adds: rename it`);
    }
  }
  const missing = ours.filter(({ name }) => !(spec.volumes ?? []).some((volume) => volume.name === name));
  return appended('/spec/volumes', spec.volumes, missing);
}

function containerAdded(spec: PodSpec, wanted: Wanted, options: PlanOptions, problems: Problems): Operation[] {
  const container = sidecarContainer(wanted, options);
  const [home, other] = options.native
    ? (['initContainers', 'containers'] as const)
    : (['containers', 'initContainers'] as const);
  const found = (spec[home] ?? []).filter(({ name }) => name === SIDECAR);
  const astray = [...(spec[other] ?? []), ...(spec.ephemeralContainers ?? [])].some(({ name }) => name === SIDECAR);
  if (found.length === 0 && !astray) return [prepended(`/spec/${home}`, spec[home], container)];
  const difference =
    found.length === 1 && !astray ? containerDifference(container, found[0]!, projectedOf(spec)) : 'place';
  if (difference !== undefined) {
    problems.refuse(
      `container ${SIDECAR} is not the one that this injector adds (its ${quoted(difference)} differs): rename or remove it`,
    );
  }
  return [];
}

function projectedOf({ volumes = [] }: PodSpec): ReadonlySet<string> {
  return new Set(volumes.filter(({ projected }) => projected !== undefined).map(({ name }) => name));
}

function agentAdded(
  path: string,
  container: Container,
  wanted: Wanted,
  { agentEnvironment }: PlanOptions,
  problems: Problems,
): Operation[] {
  const { env, volumeMounts } = container;
  const there = (volumeMounts ?? []).find(({ mountPath }) => mountPath.replace(/\/+$/, '') === PATHS.share);
  if (there !== undefined && there.name !== VOLUMES.share) {
    problems.mistake(`container ${quoted(container.name)} mounts something else at ${PATHS.share}: use another path`);
  }
  const mount = there === undefined ? [AGENT_MOUNT] : [];
  return [
    ...appended(`${path}/volumeMounts`, volumeMounts, mount),
    ...environmentAdded(`${path}/env`, container.name, env, wanted.egressPort, agentEnvironment, problems),
  ];
}

function environmentAdded(
  path: string,
  name: string,
  env: Container['env'],
  port: number | undefined,
  agentEnvironment: AgentEnvironment,
  problems: Problems,
): Operation[] {
  if (port === undefined) return [];
  const present = new Map((env ?? []).map((variable) => [variable.name, variable.value]));
  const wanted = agentEnvironment(port);
  const missing = wanted.filter((variable) => !present.has(variable.name));
  const other = wanted.filter(({ name, value }) => present.has(name) && present.get(name) !== value);
  if (other.length > 0) {
    const names = other.map((variable) => variable.name).join(', ');
    problems.warn(`container ${quoted(name)} keeps its own ${names}`);
  }
  return appended(path, env, missing);
}
