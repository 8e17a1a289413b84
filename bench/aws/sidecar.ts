import type { CpuSet } from '../harness/cpu.ts';
import { freePorts } from '../harness/ports.ts';
import { startSidecarProcess } from '../harness/sidecar.ts';
import type { BodyMode } from './requests.ts';
import type { Target } from './target.ts';

export interface RealKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Services of one sidecar: as it comes, and one for each compatibility mode. */
const SERVICES = { usual: '', unsigned: 'chunked: unsigned', strip: 'trailers: strip' } as const;
type Service = keyof typeof SERVICES;

/** Starts a sidecar with rules, ledger and telemetry on, as a user would; the real key comes from its environment. */
export async function startSidecar(
  command: readonly string[],
  cpus: CpuSet,
  key: RealKey,
  upstreamPort: number,
): Promise<Target> {
  const [telemetryPort, ...free] = (await freePorts(4)) as [number, number, number, number];
  const ports = new Map(Object.keys(SERVICES).map((name, at) => [name as Service, free[at]!]));
  const { pid, close } = await startSidecarProcess({
    command,
    cpus,
    env: { BENCH_KEY_ID: key.accessKeyId, BENCH_KEY: key.secretAccessKey },
    configuration: configuration(ports, telemetryPort, upstreamPort),
    telemetryPort,
  });
  const port = ports.get('usual')!;
  return { name: 'sidecar', port, bodyPort: (mode) => ports.get(serviceOf(mode))!, pids: () => [pid], close };
}

function serviceOf(mode: BodyMode): Service {
  if (mode === 'chunks-unsigned') return 'unsigned';
  return mode === 'trailer-strip' ? 'strip' : 'usual';
}

function configuration(ports: ReadonlyMap<Service, number>, telemetryPort: number, upstreamPort: number): string {
  const services = [...ports].map(
    ([name, port]) => `  ${name}:
    connector: aws
    listenOn: tcp://127.0.0.1:${port}
    target: http://127.0.0.1:${upstreamPort}
    agent: bench
    cache: 1h
    credentials:
      accessKeyId: { from: env, get: BENCH_KEY_ID }
      secretAccessKey: { from: env, get: BENCH_KEY }
    config: { ${SERVICES[name]} }
`,
  );
  return `version: "2"
services:
${services.join('')}rules:
  - { id: no-deletes, effect: deny, aws: { actions: [DeleteItem, DeleteObject, DeleteBucket] } }
  - { id: table, effect: allow, agents: [bench], aws: { services: [dynamodb], actions: [PutItem, GetItem] } }
  - { id: objects, effect: allow, agents: [bench], aws: { services: [s3], buckets: [bench] } }
telemetry: { listenOn: "tcp://127.0.0.1:${telemetryPort}", log: { level: info } }
`;
}
