import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { builtCommand, sourceCommand } from '../harness/build.ts';
import { Child } from '../harness/child.ts';
import { placeProcesses, type CpuSet, type Placement } from '../harness/cpu.ts';
import { findMitmproxy, startMitmproxy, type Mitmproxy } from './mitmproxy.ts';
import type { EgressOptions } from './options.ts';
import { startSidecar } from './sidecar.ts';
import { directTo, untouchedBy, type Origin, type Target } from './target.ts';

/** What is measured, all of it running. */
export interface Targets {
  readonly direct: Target;
  readonly sidecar: Target;
  readonly untouched: Target;
  /** Undefined where there is none. */
  readonly mitmproxy: Target | undefined;
  close(): Promise<void>;
}

/** All that a measurement needs: the upstream, the load generator, and a way to start what is measured. */
export interface Stage {
  readonly options: EgressOptions;
  readonly placement: Placement;
  readonly token: string;
  readonly generator: Child;
  readonly mitmproxyVersion: string | undefined;
  /** Tells the reader what is going on. */
  readonly say: (words: string) => void;
  startTargets(): Promise<Targets>;
  close(): Promise<void>;
}

export async function openStage(options: EgressOptions, say: (words: string) => void): Promise<Stage> {
  const placement = placeProcesses();
  const token = randomBytes(24).toString('base64url');
  const command = [...options.nodeFlags, ...(options.source ? sourceCommand() : builtCommand(say))];
  const mitmproxy = await findMitmproxy(options.withMitmproxy, say);
  const upstream = benchChild('upstream', placement.upstream, { ...process.env, BENCH_TOKEN: token });
  const origin = await upstream.next<Origin>();
  const generator = benchChild('generator', placement.load);
  await generator.next();
  return {
    ...{ options, placement, token, generator, say, mitmproxyVersion: mitmproxy?.version },
    async startTargets() {
      const sidecar = await startSidecar({ command, cpus: placement.proxy, token, origin });
      const peer = await startPeer(mitmproxy, placement.proxy, origin, sidecar);
      const close = async (): Promise<void> => {
        await Promise.all([sidecar.close(), peer?.close()]);
      };
      return { direct: directTo(origin), sidecar, untouched: untouchedBy(sidecar, origin), mitmproxy: peer, close };
    },
    async close() {
      await Promise.all([generator.close(), upstream.close(), mitmproxy?.close()]);
    },
  };
}

async function startPeer(
  mitmproxy: Mitmproxy | undefined,
  cpus: CpuSet,
  origin: Origin,
  sidecar: Target,
): Promise<Target | undefined> {
  if (mitmproxy === undefined) return undefined;
  try {
    return await startMitmproxy(mitmproxy, cpus, origin);
  } catch (error) {
    await sidecar.close();
    throw error;
  }
}

/** A process of this bench, by the name of its module. */
export function benchChild(name: string, cpus: CpuSet, env: NodeJS.ProcessEnv = process.env): Child {
  const file = fileURLToPath(new URL(`./${name}.ts`, import.meta.url));
  return new Child(process.execPath, ['--conditions=secretless-source', file], { cpus, ipc: true, env });
}
