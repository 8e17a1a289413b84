import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Child } from './child.ts';
import type { CpuSet } from './cpu.ts';

export interface SidecarProcess {
  /** Words for node that start the command line. */
  readonly command: readonly string[];
  readonly cpus: CpuSet;
  /** What its providers find in the environment, beside what it needs itself. */
  readonly env: NodeJS.ProcessEnv;
  /** The text of secretless.yml. */
  readonly configuration: string;
  readonly telemetryPort: number;
}

export interface StartedSidecar {
  readonly pid: number;
  /** From the start of the process to the first 200 on `/readyz`. */
  readonly readyMs: number;
  readonly close: () => Promise<void>;
}

const READY_MS_MAX = 60_000;
const POLL_MS = 3;

/** Starts a sidecar as a user would, in a home of its own; returns when it is ready. Throws what it said where it is not. */
export async function startSidecarProcess(setup: SidecarProcess): Promise<StartedSidecar> {
  const { command, cpus, env, configuration, telemetryPort } = setup;
  const home = await mkdtemp(join(tmpdir(), 'secretless-bench-'));
  const file = join(home, 'secretless.yml');
  await writeFile(file, configuration);
  const begun = performance.now();
  const child = new Child(process.execPath, [...command, 'start', '-f', file], {
    cpus,
    env: { PATH: process.env['PATH'], SECRETLESS_HOME: home, ...env },
  });
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
  return { pid: child.pid, readyMs: performance.now() - begun, close };
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
