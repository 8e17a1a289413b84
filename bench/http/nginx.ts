import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from '../harness/child.ts';
import { freePorts, untilAccepting } from '../harness/ports.ts';
import { familyOf } from '../harness/usage.ts';
import type { SidecarSetup } from './sidecar.ts';
import type { Target } from './target.ts';

/** The nginx on PATH as a reverse proxy that adds the credential; undefined where none is installed. */
export async function startNginx({
  cpus,
  token,
  upstreamPort,
}: Omit<SidecarSetup, 'command'>): Promise<Target | undefined> {
  if (spawnSync('nginx', ['-v'], { stdio: 'ignore' }).status !== 0) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'nginx-bench-'));
  const [port] = (await freePorts(1)) as [number];
  const file = join(folder, 'nginx.conf');
  await writeFile(file, configuration(folder, port, token, upstreamPort), { mode: 0o600 });
  const child = new Child('nginx', ['-e', join(folder, 'error.log'), '-p', folder, '-c', file], { cpus });
  const close = async (): Promise<void> => {
    await child.close();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await untilAccepting(child, 'nginx', port);
  } catch (error) {
    await close();
    throw error;
  }
  return { name: 'nginx', port, sendsCredential: false, pids: () => familyOf(child.pid), close };
}

function configuration(folder: string, port: number, token: string, upstreamPort: number): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return `daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 4096; }
http {
  access_log off;
${temporary.map((name) => `  ${name}_temp_path ${folder}/${name};`).join('\n')}
  upstream items { server 127.0.0.1:${upstreamPort}; keepalive 256; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    keepalive_requests 100000000;
    client_max_body_size 0;
    location / {
      proxy_pass http://items;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_max_temp_file_size 0;
      proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer ${token}";
    }
  }
}
`;
}
