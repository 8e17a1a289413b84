import { Type, type Static } from '../schema.ts';

/**
 * What the injector reads of a pod (https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/). All
 * else passes unseen.
 */

const Text = Type.String();
const Reference = Type.Object({ name: Type.Optional(Text) });

const EnvironmentVariable = Type.Object({
  name: Text,
  value: Type.Optional(Text),
  valueFrom: Type.Optional(
    Type.Object({
      secretKeyRef: Type.Optional(Reference),
      configMapKeyRef: Type.Optional(Reference),
      fileKeyRef: Type.Optional(Type.Object({ volumeName: Type.Optional(Text) })),
    }),
  ),
});

const EnvironmentSource = Type.Object({
  secretRef: Type.Optional(Reference),
  configMapRef: Type.Optional(Reference),
});

const Mount = Type.Object({
  name: Text,
  mountPath: Text,
  readOnly: Type.Optional(Type.Boolean()),
  subPath: Type.Optional(Text),
  subPathExpr: Type.Optional(Text),
});

const WindowsOptions = Type.Object({ hostProcess: Type.Optional(Type.Boolean()) });

const ContainerSecurity = Type.Object({
  runAsUser: Type.Optional(Type.Number()),
  privileged: Type.Optional(Type.Boolean()),
  capabilities: Type.Optional(Type.Object({ add: Type.Optional(Type.Array(Text)) })),
  windowsOptions: Type.Optional(WindowsOptions),
});

const Container = Type.Object({
  name: Text,
  restartPolicy: Type.Optional(Text),
  env: Type.Optional(Type.Array(EnvironmentVariable)),
  envFrom: Type.Optional(Type.Array(EnvironmentSource)),
  volumeMounts: Type.Optional(Type.Array(Mount)),
  volumeDevices: Type.Optional(Type.Array(Type.Object({ name: Text }))),
  ports: Type.Optional(
    Type.Array(Type.Object({ name: Type.Optional(Text), containerPort: Type.Optional(Type.Number()) })),
  ),
  securityContext: Type.Optional(ContainerSecurity),
});

const ProjectedSource = Type.Object({
  secret: Type.Optional(Reference),
  configMap: Type.Optional(Reference),
  serviceAccountToken: Type.Optional(Type.Object({ audience: Type.Optional(Text) })),
});

const Volume = Type.Object({
  name: Text,
  hostPath: Type.Optional(Type.Object({})),
  secret: Type.Optional(Type.Object({ secretName: Type.Optional(Text) })),
  configMap: Type.Optional(Reference),
  projected: Type.Optional(Type.Object({ sources: Type.Optional(Type.Array(ProjectedSource)) })),
});

const PodSpec = Type.Object({
  containers: Type.Array(Container),
  initContainers: Type.Optional(Type.Array(Container)),
  ephemeralContainers: Type.Optional(Type.Array(Container)),
  volumes: Type.Optional(Type.Array(Volume)),
  hostNetwork: Type.Optional(Type.Boolean()),
  hostPID: Type.Optional(Type.Boolean()),
  hostIPC: Type.Optional(Type.Boolean()),
  shareProcessNamespace: Type.Optional(Type.Boolean()),
  securityContext: Type.Optional(
    Type.Object({ runAsUser: Type.Optional(Type.Number()), windowsOptions: Type.Optional(WindowsOptions) }),
  ),
  hostAliases: Type.Optional(
    Type.Array(Type.Object({ ip: Type.Optional(Text), hostnames: Type.Optional(Type.Array(Text)) })),
  ),
  hostnameOverride: Type.Optional(Text),
  dnsConfig: Type.Optional(Type.Object({ nameservers: Type.Optional(Type.Array(Text)) })),
  os: Type.Optional(Type.Object({ name: Type.Optional(Text) })),
  terminationGracePeriodSeconds: Type.Optional(Type.Number()),
});

const Metadata = Type.Object({
  name: Type.Optional(Text),
  generateName: Type.Optional(Text),
  annotations: Type.Optional(Type.Record(Text, Text)),
});

/** Only what says whether a pod asks for anything. */
export const AnnotatedSchema = Type.Object({ metadata: Type.Optional(Metadata) });

export const PodSchema = Type.Object({ metadata: Metadata, spec: PodSpec });

export type Annotated = Static<typeof AnnotatedSchema>;
export type Pod = Static<typeof PodSchema>;
export type PodSpec = Pod['spec'];
export type Container = PodSpec['containers'][number];
export type Volume = NonNullable<PodSpec['volumes']>[number];
export type Annotations = Readonly<Record<string, string>>;
