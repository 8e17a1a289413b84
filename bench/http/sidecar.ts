import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Child } from '../harness/child.ts';
import type { CpuSet } from '../harness/cpu.ts';
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

const READY_MS_MAX = 60_000;
const POLL_MS = 3;

/** Starts a sidecar with rules, ledger and telemetry on, as a user would; the credential comes from its environment. */
export async function startSidecar({ command, cpus, token, upstreamPort }: SidecarSetup): Promise<RunningSidecar> {
  const home = await mkdtemp(join(tmpdir(), 'secretless-bench-'));
  const [port, telemetryPort] = (await freePorts(2)) as [number, number];
  const file = join(home, 'secretless.yml');
  await writeFile(file, configuration(port, telemetryPort, upstreamPort));
  const env = { PATH: process.env['PATH'], SECRETLESS_HOME: home, BENCH_TOKEN: token };
  const begun = performance.now();
  const child = new Child(process.execPath, [...command, 'start', '-f', file], { cpus, env });
  const close = async (): Promise<void> => {
    await child.close();
    await rm(home, { recursive: true, force: true });
  };
  try {
    while (!(await isReady(telemetryPort))) {
      if (child.ended || performance.now() - begun > READY_MS_MAX)
        throw new Error(`the sidecar did not start:\n${child.said}`);
      await pause(POLL_MS);
    }
  } catch (error) {
    await close();
    throw error;
  }
  const readyMs = performance.now() - begun;
  return { name: 'sidecar', port, sendsCredential: false, pids: () => [child.pid], readyMs, close };
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

function isReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const question = get({ host: '127.0.0.1', port, path: '/readyz', agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    question.on('error', () => resolve(false));
  });
}

/** Ports that nobody listens on at this moment. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}
