import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from '../harness/child.ts';
import type { CpuSet } from '../harness/cpu.ts';
import { freePorts, untilAccepting } from '../harness/ports.ts';
import { handOver, UNPRIVILEGED } from '../harness/user.ts';
import type { Transport } from './options.ts';
import type { Server } from './server.ts';
import type { Target } from './target.ts';

/** The pgbouncer on PATH in session mode: trusts its clients, logs in with SCRAM itself. Undefined: none. */
export async function startPgbouncer(cpus: CpuSet, server: Server, transport: Transport): Promise<Target | undefined> {
  if (spawnSync('pgbouncer', ['--version'], { stdio: 'ignore' }).status !== 0) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'pgbouncer-bench-'));
  const [port] = (await freePorts(1)) as [number];
  const [file, users] = [join(folder, 'pgbouncer.ini'), join(folder, 'users.txt')];
  await writeFile(file, configuration(port, server, users, transport), { mode: 0o600 });
  await writeFile(users, `"${server.user}" "${server.password}"\n`, { mode: 0o600 });
  await chmod(folder, 0o711);
  await handOver(file, users);
  const child = new Child('pgbouncer', [file], { cpus, user: UNPRIVILEGED });
  const close = async (): Promise<void> => {
    await child.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await untilAccepting(child, 'pgbouncer', port);
  } catch (error) {
    await close();
    throw error;
  }
  return { name: 'pgbouncer', port, env: { PGSSLMODE: 'disable' }, pids: () => [child.pid], close };
}

function configuration(port: number, server: Server, users: string, transport: Transport): string {
  const tls =
    transport === 'tls'
      ? `server_tls_sslmode = verify-full\nserver_tls_ca_file = ${server.authorityFile}\n`
      : 'server_tls_sslmode = disable\n';
  return `[databases]
${server.database} = host=127.0.0.1 port=${server.port} dbname=${server.database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = trust
auth_file = ${users}
pool_mode = session
max_client_conn = 2000
default_pool_size = 1000
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
${tls}`;
}
