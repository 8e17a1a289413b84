import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from '../harness/child.ts';
import type { CpuSet } from '../harness/cpu.ts';
import { freePorts, untilAccepting } from '../harness/ports.ts';
import type { Transport } from './options.ts';
import type { Server } from './server.ts';
import type { Target } from './target.ts';

/** The haproxy on PATH, passing bytes through: client and server log in and speak TLS with each other. Undefined: none. */
export async function startHaproxy(cpus: CpuSet, server: Server, transport: Transport): Promise<Target | undefined> {
  if (spawnSync('haproxy', ['-v'], { stdio: 'ignore' }).status !== 0) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'haproxy-bench-'));
  const [port] = (await freePorts(1)) as [number];
  const file = join(folder, 'haproxy.cfg');
  await writeFile(file, configuration(port, server.port));
  const child = new Child('haproxy', ['-db', '-q', '-f', file], { cpus });
  const close = async (): Promise<void> => {
    await child.close('SIGINT'); // SIGTERM lets every connection end first
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await untilAccepting(child, 'haproxy', port);
  } catch (error) {
    await close();
    throw error;
  }
  const env = { PGPASSWORD: server.password, PGSSLMODE: transport === 'tls' ? 'require' : 'disable' };
  return { name: 'haproxy', port, env, pids: () => [child.pid], close };
}

function configuration(port: number, serverPort: number): string {
  return `global
  maxconn 4096
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen postgres
  bind 127.0.0.1:${port}
  server postgres 127.0.0.1:${serverPort}
`;
}
