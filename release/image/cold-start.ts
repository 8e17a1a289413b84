import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { join } from 'node:path';
import type { Image } from './build.ts';
import { Container, makeVolumes, ONE_SERVICE } from './run.ts';

const ROUNDS = 10;
/** Of `/proc/PID/stat`, on every Linux that Node runs on. */
const TICK_MS = 10;

export interface ColdStart {
  readonly medianMs: number;
  readonly fastestMs: number;
  /** Median of its processor time, on all its threads. */
  readonly cpuMs: number;
}

/** Starts one HTTP service again and again: the time from exec to the first 200 of `/readyz`. */
export async function coldStart(image: Image, scratch: string): Promise<ColdStart> {
  const volumes = makeVolumes(image, mkdtempSync(join(scratch, 'cold-')));
  const port = await freePort();
  writeFileSync(join(volumes.config, 'secretless.yml'), CONFIG.replace('PORT', String(port)));
  const rounds: { ms: number; cpu: number }[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const sidecar = new Container({ image, volumes, words: WORDS, env: { TOKEN: 'of-nobody' } });
    const readyMs = await sidecar.readyMs();
    const begun = performance.now();
    while (!(await isReady(port))) await pause(1);
    rounds.push({ ms: readyMs + performance.now() - begun, cpu: cpuMs(sidecar.pid()) });
    await sidecar.end();
  }
  const ms = rounds.map((each) => each.ms);
  return { medianMs: median(ms), fastestMs: Math.min(...ms), cpuMs: median(rounds.map(({ cpu }) => cpu)) };
}

const WORDS = ['start', '-f', '/etc/secretless/secretless.yml', '--watch'];
const CONFIG = `${ONE_SERVICE}telemetry: { listenOn: 'tcp://127.0.0.1:PORT' }\n`;

async function isReady(port: number): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined);
  await answer?.arrayBuffer();
  return answer?.status === 200;
}

/** Fields 14 and 15 of proc_pid_stat(5): all its threads, in the kernel too. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
