import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CpuSet } from '../harness/cpu.ts';
import { freePorts } from '../harness/ports.ts';
import { startSidecarProcess } from '../harness/sidecar.ts';
import { OPEN_HOST, SERVED_HOST } from './hosts.ts';
import { SIDECAR, type Origin, type Target } from './target.ts';

export interface SidecarSetup {
  /** Words for node that start the command line. */
  readonly command: readonly string[];
  readonly cpus: CpuSet;
  readonly token: string;
  readonly origin: Origin;
}

/** Starts a sidecar with rules, ledger and telemetry on, as a user would; the credential comes from its environment. */
export async function startSidecar({ command, cpus, token, origin }: SidecarSetup): Promise<Target> {
  const [proxyPort, telemetryPort] = (await freePorts(2)) as [number, number];
  const home = await mkdtemp(join(tmpdir(), 'secretless-bench-egress-'));
  const clean = (): Promise<void> => rm(home, { recursive: true, force: true });
  const upstreamCa = join(home, 'upstream-ca.pem');
  await writeFile(upstreamCa, origin.ca);
  try {
    const { pid, close } = await startSidecarProcess({
      command,
      cpus,
      env: { BENCH_TOKEN: token, SECRETLESS_HOME: home },
      configuration: configuration({ proxyPort, telemetryPort, upstreamCa, upstreamPort: origin.port }),
      telemetryPort,
    });
    const ca = await readFile(join(home, 'egress-ca.pem'), 'utf8');
    return {
      name: SIDECAR,
      route: { proxyPort, host: SERVED_HOST, port: origin.port, ca },
      sendsCredential: false,
      pids: () => [pid],
      close: async () => {
        await close();
        await clean();
      },
    };
  } catch (error) {
    await clean();
    throw error;
  }
}

interface Places {
  readonly proxyPort: number;
  readonly telemetryPort: number;
  readonly upstreamCa: string;
  readonly upstreamPort: number;
}

function configuration({ proxyPort, telemetryPort, upstreamCa, upstreamPort }: Places): string {
  return `version: "2"
services:
  items:
    connector: http
    target: https://${SERVED_HOST}:${upstreamPort}
    credentials:
      token: { from: env, get: BENCH_TOKEN }
    config:
      headers: { Authorization: "Bearer {{ .token }}" }
    tls: { ca: ${upstreamCa} }
egress:
  listenOn: tcp://127.0.0.1:${proxyPort}
  agent: bench
  allow: ["https://${OPEN_HOST}:${upstreamPort}"]
  resolve: { ${OPEN_HOST}: 127.0.0.1 }
rules:
  - { id: no-deletes, effect: deny, methods: [DELETE] }
  - { id: no-admin, effect: deny, services: [items], paths: ["/admin/**"] }
  - { id: items, effect: allow, agents: [bench], services: [items], methods: [GET, POST], paths: ["/v1/**"] }
telemetry: { listenOn: "tcp://127.0.0.1:${telemetryPort}", log: { level: info } }
`;
}
