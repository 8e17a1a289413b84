import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Child } from '../harness/child.ts';
import type { CpuSet } from '../harness/cpu.ts';
import { freePorts, untilAccepting } from '../harness/ports.ts';
import { familyOf } from '../harness/usage.ts';
import { SERVED_HOST } from './hosts.ts';
import { MITMPROXY, type Origin, type Target } from './target.ts';

const run = promisify(execFile);

export interface Mitmproxy {
  readonly program: string;
  readonly version: string;
  /** Removes what was installed for this run. */
  close(): Promise<void>;
}

/** The one on PATH; else, where that is wanted, one of its own from PyPI. */
export async function findMitmproxy(install: boolean, say: (words: string) => void): Promise<Mitmproxy | undefined> {
  const found = await versionOf('mitmdump');
  if (found !== undefined) return { program: 'mitmdump', version: found, close: async () => undefined };
  if (!install || spawnSync('python3', ['--version']).status !== 0) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'mitmproxy-bench-'));
  const close = (): Promise<void> => rm(folder, { recursive: true, force: true });
  try {
    say('installing mitmproxy …');
    await run('python3', ['-m', 'venv', folder]);
    await run(join(folder, 'bin/pip'), ['install', '--quiet', '--disable-pip-version-check', 'mitmproxy']);
    const program = join(folder, 'bin/mitmdump');
    return { program, version: (await versionOf(program)) ?? 'unknown', close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function versionOf(program: string): Promise<string | undefined> {
  try {
    const { stdout } = await run(program, ['--version']);
    return /^Mitmproxy:\s*(\S+)/m.exec(stdout)?.[1];
  } catch {
    return undefined;
  }
}

/** Opens everything, verifies the upstream, keeps and prints nothing, and does not wait for the end of a body. */
export async function startMitmproxy({ program }: Mitmproxy, cpus: CpuSet, origin: Origin): Promise<Target> {
  const [proxyPort] = (await freePorts(1)) as [number];
  const folder = await mkdtemp(join(tmpdir(), 'mitmproxy-bench-run-'));
  const upstreamCa = join(folder, 'upstream-ca.pem');
  await writeFile(upstreamCa, origin.ca);
  const settings = [
    `confdir=${folder}`,
    `ssl_verify_upstream_trusted_ca=${upstreamCa}`,
    'stream_large_bodies=1m',
    'flow_detail=0',
  ].flatMap((setting) => ['--set', setting]);
  const words = ['--quiet', '--listen-host', '127.0.0.1', '--listen-port', String(proxyPort), ...settings];
  const child = new Child(program, words, { cpus });
  const close = async (): Promise<void> => {
    await child.close('SIGINT');
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await untilAccepting(child, MITMPROXY, proxyPort);
    const ca = await readFile(join(folder, 'mitmproxy-ca-cert.pem'), 'utf8');
    return {
      name: MITMPROXY,
      route: { proxyPort, host: SERVED_HOST, port: origin.port, ca },
      sendsCredential: true,
      pids: () => familyOf(child.pid),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
