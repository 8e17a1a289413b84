import type { CpuSet } from '../harness/cpu.ts';
import { freePorts } from '../harness/ports.ts';
import { startSidecarProcess } from '../harness/sidecar.ts';
import type { Target } from './target.ts';

export interface SidecarSetup {
  /** Words for node that start the command line. */
  readonly command: readonly string[];
  readonly cpus: CpuSet;
  readonly token: string;
  readonly upstreamPort: number;
}

export interface RunningSidecar extends Target {
  /** From the start of the process to the first 200 on `/readyz`. */
  readonly readyMs: number;
}

/** Starts a sidecar with rules, ledger and telemetry on, as a user would; the credential comes from its environment. */
export async function startSidecar({ command, cpus, token, upstreamPort }: SidecarSetup): Promise<RunningSidecar> {
  const [port, telemetryPort] = (await freePorts(2)) as [number, number];
  const { pid, readyMs, close } = await startSidecarProcess({
    command,
    cpus,
    env: { BENCH_TOKEN: token },
    configuration: configuration(port, telemetryPort, upstreamPort),
    telemetryPort,
  });
  return { name: 'sidecar', port, sendsCredential: false, pids: () => [pid], readyMs, close };
}

function configuration(port: number, telemetryPort: number, upstreamPort: number): string {
  return `version: "2"
services:
  items:
    connector: http
    listenOn: tcp://127.0.0.1:${port}
    target: http://127.0.0.1:${upstreamPort}
    agent: bench
    credentials:
      token: { from: env, get: BENCH_TOKEN }
    config:
      headers: { Authorization: "Bearer {{ .token }}" }
rules:
  - { id: no-deletes, effect: deny, methods: [DELETE] }
  - { id: no-admin, effect: deny, services: [items], paths: ["/admin/**"] }
  - { id: items, effect: allow, agents: [bench], services: [items], methods: [GET, POST], paths: ["/v1/**"] }
telemetry: { listenOn: "tcp://127.0.0.1:${telemetryPort}", log: { level: info } }
`;
}
