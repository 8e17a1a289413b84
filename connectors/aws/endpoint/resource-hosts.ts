import type { Partition } from './partitions.ts';

/** Hosts that belong to one resource of a customer and begin with its id. */
export interface ResourceHost {
  /** What stands with the id: `execute-api`. */
  readonly name: string;
  /** Signing name. */
  readonly service: string;
  readonly shape: ResourceShape;
  /** Most labels of an id. */
  readonly idLabelsMax: number;
}

/** Ids of two labels: a service of VPC Lattice and a cluster of Neptune. */
const TWO_LABELS: ReadonlySet<string> = new Set(['neptune', 'vpc-lattice-svcs']);

/** `<id>.<name>.<region>.<suffix>`, `<id>.<region>.<name>.<suffix>` or `<id>.<name>.<region>.on.aws`. */
export type ResourceShape = 'name-first' | 'region-first' | 'on-aws';

function hosts(shape: ResourceShape, text: string): ResourceHost[] {
  return text.split(' ').map((word) => {
    const [name, service = name] = word.split('@') as [string, string?];
    return { name, service, shape, idLabelsMax: TWO_LABELS.has(name) ? 2 : 1 };
  });
}

/** From the service guides; what none of them names is no host of AWS for the sidecar. */
const ALL: readonly ResourceHost[] = [
  ...hosts(
    'name-first',
    'execute-api appsync-api@appsync appsync-realtime-api@appsync iot@iotdata jobs.iot@iot-jobs-data data.mediastore@mediastore ' +
      'ddb@dynamodb streams-ddb@dynamodb control-kinesis@kinesis data-kinesis@kinesis mediaconvert kinesisvideo s3-object-lambda',
  ),
  ...hosts('region-first', 'es aoss neptune@neptune-db neptune-graph cloudsearch osis'),
  ...hosts('on-aws', 'lambda-url@lambda aos@es vpc-lattice-svcs'),
];

const BY_SHAPE: Readonly<Record<ResourceShape, ReadonlyMap<string, ResourceHost>>> = {
  'name-first': mapOf('name-first'),
  'region-first': mapOf('region-first'),
  'on-aws': mapOf('on-aws'),
};

/** The kind of resource that is called `name` in hosts of this shape. */
export function resourceHost(shape: ResourceShape, name: string): ResourceHost | undefined {
  return BY_SHAPE[shape].get(name);
}

/** Kinds that are signed under a name. */
export function resourceHostsOf(service: string): readonly ResourceHost[] {
  return ALL.filter((kind) => kind.service === service);
}

/** Suffix of the hosts of shape `on-aws`. */
export function onAwsSuffix(partition: Partition): string {
  return partition.dualStackSuffix.replace(/^api\./, 'on.');
}

/** The host of the resource `id`, labels with dots between them. */
export function hostOfResource(
  { name, shape }: ResourceHost,
  id: string,
  partition: Partition,
  region: string,
): string {
  switch (shape) {
    case 'name-first':
      return `${id}.${name}.${region}.${partition.suffix}`;
    case 'region-first':
      return `${id}.${region}.${name}.${partition.suffix}`;
    case 'on-aws':
      return `${id}.${name}.${region}.${onAwsSuffix(partition)}`;
    default:
      return shape satisfies never;
  }
}

function mapOf(shape: ResourceShape): ReadonlyMap<string, ResourceHost> {
  return new Map(ALL.filter((kind) => kind.shape === shape).map((kind) => [kind.name, kind]));
}
