import { CONFIG_KEY, HTTP_PORT, HTTP_PORT_NAME, PATHS, SIDECAR, SIDECAR_ID, VOLUMES } from './names.ts';
import type { Wanted } from './wanted.ts';

/** Amounts as Kubernetes writes them, for `requests` and `limits`. */
export interface Resources {
  readonly requests?: Readonly<Record<string, string>>;
  readonly limits?: Readonly<Record<string, string>>;
}

export interface SidecarParts {
  readonly image: string;
  readonly resources: Resources;
  /** An init container that goes on running (Kubernetes 1.29), or a container beside the others. */
  readonly native: boolean;
  /** Address that probes reach, `0.0.0.0` or `[::]`. */
  readonly host: string;
}

export interface MountPart {
  readonly name: string;
  readonly mountPath: string;
  readonly readOnly?: true;
}

/**
 * The sidecar as a pod has it. What the API server would add to a container is written out, so that the pod looks the same
 * when it comes again (`reinvocationPolicy`).
 */
export function sidecarContainer(wanted: Wanted, { image, resources, native, host }: SidecarParts) {
  return {
    name: SIDECAR,
    image,
    imagePullPolicy: 'IfNotPresent',
    args: [
      ...['start', '-f', `${PATHS.config}/${CONFIG_KEY}`, '--watch', '--sidecar', native ? 'native' : 'plain'],
      ...['--telemetry', `tcp://${host}:${HTTP_PORT}`, '--trust', PATHS.share],
    ],
    ...(native ? { restartPolicy: 'Always' } : {}),
    env: [
      { name: 'SECRETLESS_HOME', value: PATHS.state },
      // Without a value, so that no key of the Secret can give it one.
      { name: 'NODE_OPTIONS' },
    ],
    ...(wanted.envSecret === undefined ? {} : { envFrom: [{ secretRef: { name: wanted.envSecret } }] }),
    ports: [{ name: HTTP_PORT_NAME, containerPort: HTTP_PORT, protocol: 'TCP' }],
    startupProbe: probe('/readyz', 1, 60),
    livenessProbe: probe('/livez', 10, 3),
    readinessProbe: probe('/readyz', 5, 2),
    // Holds back the containers after it: those that start before the sidecar would meet a closed port.
    ...(native ? {} : { lifecycle: { postStart: { exec: { command: WAIT_COMMAND } } } }),
    resources,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: SIDECAR_ID,
      runAsGroup: SIDECAR_ID,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      privileged: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    },
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'FallbackToLogsOnError',
    volumeMounts: sidecarMounts(wanted),
  };
}

/** As the image has them; containers without a shell know no name of the program. */
const WAIT_COMMAND = [
  '/opt/secretless/bin/node',
  '/opt/secretless/app/dist/src/cli/secretless.js',
  ...['wait-ready', '--timeout', '60'],
];

function probe(path: string, periodSeconds: number, failureThreshold: number) {
  const httpGet = { path, port: HTTP_PORT_NAME, scheme: 'HTTP' };
  return { httpGet, periodSeconds, failureThreshold, timeoutSeconds: 3, successThreshold: 1 };
}

function sidecarMounts({ secret, tokenAudience }: Wanted): MountPart[] {
  return [
    { name: VOLUMES.config, mountPath: PATHS.config, readOnly: true },
    { name: VOLUMES.state, mountPath: PATHS.state },
    { name: VOLUMES.share, mountPath: PATHS.share },
    ...(secret === undefined ? [] : [{ name: VOLUMES.secret, mountPath: PATHS.secret, readOnly: true } as const]),
    ...(tokenAudience === undefined ? [] : [{ name: VOLUMES.token, mountPath: PATHS.token, readOnly: true } as const]),
  ];
}

/** Sockets and certificates; never where the agent could put something in their place. */
export const AGENT_MOUNT: MountPart = { name: VOLUMES.share, mountPath: PATHS.share, readOnly: true };

const READABLE_BY_ALL = 0o444;
const TOKEN_SECONDS = 3600;

export function sidecarVolumes({ config, secret, tokenAudience }: Wanted) {
  const file = [{ key: CONFIG_KEY, path: CONFIG_KEY }];
  return [
    { name: VOLUMES.config, configMap: { name: config, items: file, defaultMode: READABLE_BY_ALL } },
    { name: VOLUMES.state, emptyDir: {} },
    { name: VOLUMES.share, emptyDir: { medium: 'Memory' } },
    ...(secret === undefined
      ? []
      : [{ name: VOLUMES.secret, secret: { secretName: secret, defaultMode: READABLE_BY_ALL } }]),
    ...(tokenAudience === undefined ? [] : [tokenVolume(tokenAudience)]),
  ];
}

function tokenVolume(audience: string) {
  const serviceAccountToken = { audience, expirationSeconds: TOKEN_SECONDS, path: 'token' };
  return { name: VOLUMES.token, projected: { sources: [{ serviceAccountToken }], defaultMode: READABLE_BY_ALL } };
}
