import type { CpuSet } from '../harness/cpu.ts';
import { freePorts } from '../harness/ports.ts';
import { startSidecarProcess } from '../harness/sidecar.ts';
import type { Transport } from './options.ts';
import type { Server } from './server.ts';
import type { Target } from './target.ts';

/** Starts a sidecar with rules, ledger and telemetry on, as a user would; the credential comes from its environment. */
export async function startSidecar(
  command: readonly string[],
  cpus: CpuSet,
  server: Server,
  transport: Transport,
): Promise<Target> {
  const [port, telemetryPort] = (await freePorts(2)) as [number, number];
  const { pid, close } = await startSidecarProcess({
    command,
    cpus,
    env: { BENCH_PASSWORD: server.password },
    configuration: configuration(port, telemetryPort, server, transport),
    telemetryPort,
  });
  return { name: 'sidecar', port, env: { PGSSLMODE: 'disable' }, pids: () => [pid], close };
}

function configuration(port: number, telemetryPort: number, server: Server, transport: Transport): string {
  const tls =
    transport === 'tls'
      ? `sslmode: verify-full\n      sslrootcert: { from: file, get: ${server.authorityFile} }`
      : 'sslmode: disable';
  return `version: "2"
services:
  orders:
    connector: postgres
    listenOn: tcp://127.0.0.1:${port}
    agent: bench
    cache: 1h
    credentials:
      host: 127.0.0.1
      port: "${server.port}"
      username: ${server.user}
      password: { from: env, get: BENCH_PASSWORD }
      ${tls}
rules:
  - { id: no-replication, effect: deny, replication: true }
  - { id: orders, effect: allow, agents: [bench], services: [orders], databases: [${server.database}] }
telemetry: { listenOn: "tcp://127.0.0.1:${telemetryPort}", log: { level: info } }
`;
}
