import { BlockList, isIP } from 'node:net';
import { SIDECAR, SIDECAR_ID, HTTP_PORT, VOLUMES } from './names.ts';
import type { Container, PodSpec, Volume } from './pod.ts';
import { quoted, type Problems } from './problems.ts';
import type { Wanted } from './wanted.ts';

/**
 * What in a pod would let its other containers at what only the sidecar has: its memory, its files, its Secrets, or what
 * it sends. Whoever writes pods can leave the sidecar out altogether; this is against a container that gets more than its
 * author meant, and against a pod that only looks as if it kept the credentials away.
 */
export function refuseUnsafe(spec: PodSpec, wanted: Wanted, problems: Problems): void {
  refusePod(spec, problems);
  refuseNames(spec, problems);
  const volumes = new Map((spec.volumes ?? []).map((volume) => [volume.name, volume]));
  for (const container of spec.containers) refuseContainer(container, true, spec, problems);
  for (const container of spec.initContainers ?? []) {
    refuseContainer(container, container.restartPolicy === 'Always', spec, problems);
  }
  for (const container of spec.ephemeralContainers ?? []) refuseContainer(container, true, spec, problems);
  for (const volume of volumes.values()) refuseVolume(volume, wanted, problems);
  for (const container of others(spec)) {
    refuseMounts(container, problems);
    refuseVariables(container, wanted, problems);
  }
}

/** All containers but the sidecar. */
export function others(spec: PodSpec): readonly Container[] {
  const all = [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])];
  return all.filter(({ name }) => name !== SIDECAR);
}

function refusePod(spec: PodSpec, problems: Problems): void {
  if (spec.hostPID === true) problems.refuse('hostPID shows every process of the node: remove it');
  if (spec.hostIPC === true) problems.refuse('hostIPC shares memory with the node: remove it');
  if (spec.hostNetwork === true) {
    problems.refuse('hostNetwork would open the listeners of the sidecar to the whole node: remove it');
  }
  if (spec.shareProcessNamespace === true) {
    problems.refuse('shareProcessNamespace would show the process of the sidecar to the agent: remove it');
  }
  if (spec.os?.name !== undefined && spec.os.name !== 'linux') problems.mistake('the sidecar runs on linux alone');
  if (spec.securityContext?.windowsOptions?.hostProcess === true) problems.refuse('hostProcess is the node: remove it');
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8);
loopback.addAddress('0.0.0.0');
loopback.addAddress('::1', 'ipv6');
loopback.addAddress('::', 'ipv6');

/** However it is written: `0:0:0:0:0:0:0:1`, `::ffff:7f00:1`, and zeros in front, which Kubernetes takes for decimal. */
function leadsBack(written: string): boolean {
  const ip = written.replaceAll(/(^|\.)0+(?=[0-9])/g, '$1');
  const family = isIP(ip);
  return family !== 0 && loopback.check(ip, family === 6 ? 'ipv6' : 'ipv4');
}

/** Names that lead back into the pod would make the sidecar log in to the agent. */
function refuseNames({ hostAliases = [], hostnameOverride, dnsConfig }: PodSpec, problems: Problems): void {
  for (const { ip = '', hostnames = [] } of hostAliases) {
    if (!leadsBack(ip) || hostnames.every((name) => name === 'localhost')) continue;
    problems.refuse(
      `hostAliases lead ${quoted(hostnames.join(', '))} to this pod, where an agent could take logins in`,
    );
  }
  if (hostnameOverride?.includes('.') === true) {
    problems.refuse(
      `hostnameOverride leads ${quoted(hostnameOverride)} to this pod, where an agent could take logins in`,
    );
  }
  for (const server of dnsConfig?.nameservers ?? []) {
    if (leadsBack(server)) problems.refuse('dnsConfig asks this pod itself for names: name another server');
  }
}

/** With any of these a process reads memory or files of others, namespaces or not (capabilities(7)). */
const BREAKING = new Set([
  ...['ALL', 'SYS_ADMIN', 'SYS_PTRACE', 'SYS_MODULE', 'SYS_RAWIO', 'BPF', 'PERFMON', 'DAC_READ_SEARCH'],
  ...['CHECKPOINT_RESTORE', 'SYS_BOOT', 'SYSLOG'],
]);
/** The network is shared: what goes out in clear could be read, and led elsewhere. */
const LISTENING = new Set(['NET_ADMIN', 'NET_RAW']);

function refuseContainer(container: Container, isLasting: boolean, spec: PodSpec, problems: Problems): void {
  if (container.name === SIDECAR) return;
  const { securityContext } = container;
  const name = `container ${quoted(container.name)}`;
  if (securityContext?.privileged === true) problems.refuse(`${name} is privileged, which is the node: remove it`);
  if (securityContext?.windowsOptions?.hostProcess === true) problems.refuse(`${name} is hostProcess: remove it`);
  for (const written of securityContext?.capabilities?.add ?? []) {
    const capability = written.toUpperCase().replace(/^CAP_/, '');
    if (BREAKING.has(capability))
      problems.refuse(`${name} adds ${quoted(written)}, which sees other processes: remove it`);
    if (isLasting && LISTENING.has(capability)) {
      problems.refuse(
        `${name} adds ${quoted(written)}, which sees and turns what the sidecar sends: leave it to an init container that ends`,
      );
    }
  }
  const user = securityContext?.runAsUser ?? spec.securityContext?.runAsUser;
  if (user === SIDECAR_ID) {
    problems.refuse(
      `${name} runs as user ${SIDECAR_ID}, which is the sidecar's: set securityContext.runAsUser to another`,
    );
  }
  if ((container.ports ?? []).some(({ containerPort }) => containerPort === HTTP_PORT)) {
    problems.mistake(`${name} names port ${HTTP_PORT}, which is the sidecar's: use another`);
  }
}

const OWN_VOLUMES = new Set<string>(Object.values(VOLUMES));

function refuseMounts({ name, volumeMounts = [], volumeDevices = [] }: Container, problems: Problems): void {
  for (const { name: volume, readOnly, subPath, subPathExpr } of volumeMounts) {
    if (!OWN_VOLUMES.has(volume)) continue;
    const isShared =
      volume === VOLUMES.share && readOnly === true && subPath === undefined && subPathExpr === undefined;
    if (isShared) continue;
    problems.refuse(`container ${quoted(name)} mounts ${volume}, which is the sidecar's: remove the mount`);
  }
  for (const { name: volume } of volumeDevices) {
    if (OWN_VOLUMES.has(volume)) problems.refuse(`container ${quoted(name)} has ${volume} as a device: remove it`);
  }
}

function refuseVolume(volume: Volume, wanted: Wanted, problems: Problems): void {
  if (OWN_VOLUMES.has(volume.name)) return;
  const name = `volume ${quoted(volume.name)}`;
  if (volume.hostPath !== undefined) {
    problems.refuse(`${name} is a folder of the node, where the files of every pod are: use another kind of volume`);
  }
  const projected = volume.projected?.sources ?? [];
  const secrets = [volume.secret?.secretName, ...projected.map(({ secret }) => secret?.name)];
  if (secrets.some((secret) => isSecretOf(wanted, secret))) problems.refuse(`${name} ${HAS_SECRET}`);
  const configs = [volume.configMap?.name, ...projected.map(({ configMap }) => configMap?.name)];
  if (configs.includes(wanted.config)) problems.refuse(`${name} ${HAS_CONFIG}`);
  const audiences = projected.map(({ serviceAccountToken }) => serviceAccountToken?.audience);
  if (wanted.tokenAudience !== undefined && audiences.includes(wanted.tokenAudience)) {
    problems.refuse(`${name} has a token for the audience that is the sidecar's: remove it`);
  }
}

const HAS_SECRET = 'holds a Secret that only the sidecar may have: remove it';
const HAS_CONFIG = 'holds the ConfigMap of the sidecar, which agents need not know: remove it';

function refuseVariables({ name, env = [], envFrom = [] }: Container, wanted: Wanted, problems: Problems): void {
  const secrets = [
    ...env.map(({ valueFrom }) => valueFrom?.secretKeyRef),
    ...envFrom.map(({ secretRef }) => secretRef),
  ];
  const configs = [
    ...env.map(({ valueFrom }) => valueFrom?.configMapKeyRef),
    ...envFrom.map(({ configMapRef }) => configMapRef),
  ];
  // Of a file in a volume that the container need not mount.
  if (env.some(({ valueFrom }) => OWN_VOLUMES.has(valueFrom?.fileKeyRef?.volumeName ?? ''))) {
    problems.refuse(`the environment of container ${quoted(name)} comes from a volume of the sidecar: remove it`);
  }
  if (secrets.some((secret) => isSecretOf(wanted, secret?.name))) {
    problems.refuse(`the environment of container ${quoted(name)} ${HAS_SECRET}`);
  }
  if (configs.some((config) => config?.name === wanted.config)) {
    problems.refuse(`the environment of container ${quoted(name)} ${HAS_CONFIG}`);
  }
}

function isSecretOf({ envSecret, secret }: Wanted, name: string | undefined): boolean {
  return name !== undefined && (name === envSecret || name === secret);
}
