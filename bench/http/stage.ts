import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Child } from '../harness/child.ts';
import { placeProcesses, type Placement } from '../harness/cpu.ts';
import { builtCommand, sourceCommand } from '../harness/build.ts';
import type { HttpOptions } from './options.ts';
import { startNginx } from './nginx.ts';
import { startSidecar, type RunningSidecar } from './sidecar.ts';
import { requestTo, type Target } from './target.ts';

/** All that a measurement needs: the upstream, the load generator, and ways to start what is measured. */
export interface Stage {
  readonly options: HttpOptions;
  readonly placement: Placement;
  readonly token: string;
  readonly generator: Child;
  readonly direct: Target;
  /** Tells the reader what is going on. */
  readonly say: (words: string) => void;
  /** `everywhere`: on all processors, as a user starts it. */
  startSidecar(everywhere?: boolean): Promise<RunningSidecar>;
  startHttpProxy3(withAgent: boolean): Promise<Target>;
  startUndici(): Promise<Target>;
  startNginx(): Promise<Target | undefined>;
  /** The small request every target is measured with. */
  itemRequest(target: Target): string;
  close(): Promise<void>;
}

export async function openStage(options: HttpOptions, say: (words: string) => void): Promise<Stage> {
  const placement = placeProcesses();
  const token = randomBytes(24).toString('base64url');
  const command = [...options.nodeFlags, ...(options.source ? sourceCommand() : builtCommand(say))];
  const upstream = nodeChild('upstream', [], placement.upstream, { ...process.env, BENCH_TOKEN: token });
  const { port: upstreamPort } = await upstream.next<{ port: number }>();
  const generator = nodeChild('generator', [], placement.load);
  await generator.next();
  const setup = { command, cpus: placement.proxy, token, upstreamPort };
  const peer = async (name: string, file: string, words: readonly string[]): Promise<Target> => {
    const child = nodeChild(file, [String(upstreamPort), ...words], placement.proxy);
    const { port } = await child.next<{ port: number }>();
    return { name, port, sendsCredential: true, pids: () => [child.pid], close: () => child.close() };
  };
  return {
    options,
    placement,
    token,
    generator,
    direct: { name: 'direct', port: upstreamPort, sendsCredential: true, pids: () => [], close: async () => undefined },
    say,
    startSidecar: (everywhere = false) => startSidecar(everywhere ? { ...setup, cpus: { prefix: [] } } : setup),
    startHttpProxy3: (withAgent) =>
      withAgent
        ? peer('http-proxy-3 + agent', 'bare-http-proxy-3', ['agent'])
        : peer('http-proxy-3', 'bare-http-proxy-3', []),
    startUndici: () => peer('undici', 'bare-undici', []),
    startNginx: () => startNginx(setup),
    itemRequest: (target) => requestTo(target, token, 'GET /v1/items'),
    close: async () => {
      await Promise.all([generator.close(), upstream.close()]);
    },
  };
}

function nodeChild(name: string, words: readonly string[], cpus: Placement['load'], env?: NodeJS.ProcessEnv): Child {
  const file = fileURLToPath(new URL(`./${name}.ts`, import.meta.url));
  return new Child(process.execPath, [file, ...words], { cpus, ipc: true, ...(env === undefined ? {} : { env }) });
}
