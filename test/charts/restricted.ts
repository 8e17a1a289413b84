import type { Manifest } from './openapi.ts';

interface SecurityContext {
  readonly runAsNonRoot?: boolean;
  readonly runAsUser?: number;
  readonly privileged?: boolean;
  readonly allowPrivilegeEscalation?: boolean;
  readonly procMount?: string;
  readonly seccompProfile?: { readonly type: string };
  readonly appArmorProfile?: { readonly type: string };
  readonly seLinuxOptions?: { readonly type?: string; readonly user?: string; readonly role?: string };
  readonly windowsOptions?: { readonly hostProcess?: boolean };
  readonly capabilities?: { readonly drop?: readonly string[]; readonly add?: readonly string[] };
}

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly restartPolicy?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly Variable[];
  readonly envFrom?: readonly unknown[];
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number; readonly hostPort?: number }[];
  readonly lifecycle?: Hooks;
  readonly startupProbe?: Hook;
  readonly livenessProbe?: Hook;
  readonly readinessProbe?: Hook;
  readonly securityContext?: SecurityContext;
  readonly [part: string]: unknown;
}

export interface Variable {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly secretKeyRef?: { readonly name: string; readonly key: string } };
}

interface Hook {
  readonly httpGet?: { readonly path: string; readonly port: string; readonly host?: string };
  readonly tcpSocket?: { readonly host?: string };
}

interface Hooks {
  readonly postStart?: Hook & { readonly exec?: { readonly command: readonly string[] } };
  readonly preStop?: Hook;
}

export interface PodSpec {
  readonly containers: readonly Container[];
  readonly initContainers?: readonly Container[];
  readonly volumes?: readonly Volume[];
  readonly hostNetwork?: boolean;
  readonly hostPID?: boolean;
  readonly hostIPC?: boolean;
  readonly terminationGracePeriodSeconds?: number;
  readonly securityContext?: SecurityContext & { readonly sysctls?: readonly { readonly name: string }[] };
}

export interface Volume {
  readonly name: string;
  readonly [source: string]: unknown;
}

export interface Pod {
  readonly metadata: { readonly labels: Record<string, string>; readonly annotations?: Record<string, string> };
  readonly spec: PodSpec;
}

/** The pod that a workload makes; undefined where the object makes none. */
export function podOf({ kind, metadata, spec }: Manifest): Pod | undefined {
  if (kind === 'Pod') return { metadata, spec } as unknown as Pod;
  const parts = spec as {
    readonly template?: Pod;
    readonly jobTemplate?: { readonly spec: { readonly template: Pod } };
  };
  return parts?.jobTemplate?.spec.template ?? parts?.template;
}

const VOLUMES = new Set([
  ...[
    'name',
    'configMap',
    'csi',
    'downwardAPI',
    'emptyDir',
    'ephemeral',
    'persistentVolumeClaim',
    'projected',
    'secret',
  ],
]);
const SYSCTLS = new Set([
  ...['kernel.shm_rmid_forced', 'net.ipv4.ip_local_port_range', 'net.ipv4.ip_unprivileged_port_start'],
  ...['net.ipv4.tcp_syncookies', 'net.ipv4.ping_group_range', 'net.ipv4.ip_local_reserved_ports'],
  ...['net.ipv4.tcp_keepalive_time', 'net.ipv4.tcp_fin_timeout', 'net.ipv4.tcp_keepalive_intvl'],
  ...['net.ipv4.tcp_keepalive_probes', 'net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem'],
]);
const SELINUX = new Set([undefined, '', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t']);

/**
 * What the restricted profile refuses in a pod, one line each: every control of baseline and restricted
 * (https://kubernetes.io/docs/concepts/security/pod-security-standards/).
 */
export function restrictedProblems({ spec, metadata }: Pod): string[] {
  const problems: string[] = [];
  const pod = spec.securityContext ?? {};
  for (const shared of ['hostNetwork', 'hostPID', 'hostIPC'] as const) {
    if (spec[shared] === true) problems.push(`pod: ${shared}`);
  }
  for (const volume of spec.volumes ?? []) {
    for (const source of Object.keys(volume)) {
      if (!VOLUMES.has(source)) problems.push(`volume ${volume.name}: ${source}`);
    }
  }
  for (const { name } of pod.sysctls ?? []) if (!SYSCTLS.has(name)) problems.push(`pod: sysctl ${name}`);
  for (const [name, value] of Object.entries(metadata.annotations ?? {})) {
    const isProfile = name.startsWith('container.apparmor.security.beta.kubernetes.io/');
    if (isProfile && value !== 'runtime/default' && !value.startsWith('localhost/'))
      problems.push(`pod: AppArmor ${value}`);
  }
  problems.push(...contextProblems('pod', pod));
  for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
    problems.push(...containerProblems(container, pod));
  }
  return problems;
}

function contextProblems(name: string, context: SecurityContext): string[] {
  const { seccompProfile, appArmorProfile, seLinuxOptions, windowsOptions, runAsUser, runAsNonRoot } = context;
  const found: [boolean, string][] = [
    [runAsUser === 0, 'runAsUser 0'],
    [runAsNonRoot === false, 'runAsNonRoot false'],
    [seccompProfile !== undefined && !['RuntimeDefault', 'Localhost'].includes(seccompProfile.type), 'seccompProfile'],
    [appArmorProfile?.type === 'Unconfined', 'appArmorProfile'],
    [!SELINUX.has(seLinuxOptions?.type), 'seLinuxOptions.type'],
    [(seLinuxOptions?.user ?? '') !== '' || (seLinuxOptions?.role ?? '') !== '', 'seLinuxOptions.user or role'],
    [windowsOptions?.hostProcess === true, 'hostProcess'],
  ];
  return found.flatMap(([bad, what]) => (bad ? `${name}: ${what}` : []));
}

function containerProblems(container: Container, pod: SecurityContext): string[] {
  const { name, ports = [], securityContext: own = {} } = container;
  const { drop = [], add = [] } = own.capabilities ?? {};
  const hooks = [container.startupProbe, container.livenessProbe, container.readinessProbe];
  const all = [...hooks, container.lifecycle?.postStart, container.lifecycle?.preStop];
  const found: [boolean, string][] = [
    [own.privileged === true, 'privileged'],
    [own.allowPrivilegeEscalation !== false, 'allowPrivilegeEscalation is not false'],
    [!drop.includes('ALL'), 'does not drop ALL'],
    [add.some((capability) => capability !== 'NET_BIND_SERVICE'), `adds ${add.join(', ')}`],
    [(own.runAsNonRoot ?? pod.runAsNonRoot) !== true, 'runAsNonRoot is not true'],
    [(own.seccompProfile ?? pod.seccompProfile) === undefined, 'no seccompProfile'],
    [!['', 'Default'].includes(own.procMount ?? ''), 'procMount'],
    [ports.some(({ hostPort = 0 }) => hostPort !== 0), 'hostPort'],
    [all.some((hook) => (hook?.httpGet?.host ?? hook?.tcpSocket?.host ?? '') !== ''), 'a probe or hook with a host'],
  ];
  return [...contextProblems(name, own), ...found.flatMap(([bad, what]) => (bad ? `${name}: ${what}` : []))];
}
