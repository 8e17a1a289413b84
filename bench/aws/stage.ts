import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { builtCommand, sourceCommand } from '../harness/build.ts';
import { Child } from '../harness/child.ts';
import { placeProcesses, type CpuSet, type Placement } from '../harness/cpu.ts';
import type { AwsOptions } from './options.ts';
import { startSidecar, type RealKey } from './sidecar.ts';
import type { Target } from './target.ts';

/** All that a measurement needs: the upstream, what sends requests and bodies, and a way to start what is measured. */
export interface Stage {
  readonly options: AwsOptions;
  readonly placement: Placement;
  readonly key: RealKey;
  /** Sends calls. */
  readonly generator: Child;
  /** Moves bodies. */
  readonly mover: Child;
  readonly direct: Target;
  /** Tells the reader what is going on. */
  readonly say: (words: string) => void;
  /** `upstreamPort`: default that of `direct`. */
  startSidecar(upstreamPort?: number): Promise<Target>;
  close(): Promise<void>;
}

export async function openStage(options: AwsOptions, say: (words: string) => void): Promise<Stage> {
  const placement = placeProcesses();
  const command = [...options.nodeFlags, ...(options.source ? sourceCommand() : builtCommand(say))];
  const key = { accessKeyId: 'AKIABENCHREALKEY0001', secretAccessKey: randomBytes(30).toString('base64') };
  const children: Child[] = [];
  const start = async <First>(file: string, cpus: CpuSet): Promise<readonly [Child, First]> => {
    const child = nodeChild(file, cpus);
    children.push(child);
    return [child, await child.next<First>()];
  };
  const close = async (): Promise<void> => {
    await Promise.all(children.map((child) => child.close()));
  };
  try {
    const [, { port }] = await start<{ readonly port: number }>('./sink.ts', placement.upstream);
    const [generator] = await start('../http/generator.ts', placement.load);
    const [mover] = await start('./mover.ts', placement.load);
    return {
      ...{ options, placement, key, generator, mover, say, close },
      direct: { name: 'direct', port, bodyPort: () => port, pids: () => [], close: async () => undefined },
      startSidecar: (upstreamPort = port) => startSidecar(command, placement.proxy, key, upstreamPort),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** A module of the bench as a process of its own. */
export function nodeChild(file: string, cpus: CpuSet): Child {
  const path = fileURLToPath(new URL(file, import.meta.url));
  return new Child(process.execPath, ['--conditions=secretless-source', path], { cpus, ipc: true });
}
