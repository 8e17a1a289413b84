import { judge } from './http/bars.ts';
import { measureBodies } from './http/body.ts';
import { parseHttpOptions, USAGE, type HttpOptions, type Phase } from './http/options.ts';
import { reportText } from './http/report.ts';
import type { HttpResult } from './http/result.ts';
import { openStage, type Stage } from './http/stage.ts';
import { measureIdle, measureStart } from './http/start.ts';
import type { Target } from './http/target.ts';
import { measureLatency, measureThroughput, warmUp } from './http/traffic.ts';
import { thisMachine } from './harness/machine.ts';
import { CAN_READ_USAGE } from './harness/usage.ts';

/** `npm run bench -- http`. Returns the exit code: a missed bar is printed, only what broke is a failure. */
export async function runHttpBench(words: readonly string[]): Promise<number> {
  let options: HttpOptions;
  try {
    options = parseHttpOptions(words);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}`);
    return 64;
  }
  const result = await measureHttp(options, (line) => process.stderr.write(`${line}\n`));
  process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : reportText(result, options.sizes));
  if (result.failures > 0) process.stderr.write(`${result.failures} exchanges failed\n`);
  return result.failures > 0 ? 1 : 0;
}

type Figures = Pick<HttpResult, 'throughput' | 'latency' | 'start' | 'idle' | 'body'>;

/** Measures the phases asked for. `say` is told of progress. */
export async function measureHttp(options: HttpOptions, say: (words: string) => void): Promise<HttpResult> {
  const machine = thisMachine();
  const notes: string[] = [];
  if (options.source) notes.push('the sidecar runs from the checkout, not from the build');
  if (options.nodeFlags.length > 0) notes.push(`the sidecar runs with ${options.nodeFlags.join(' ')}`);
  if (!CAN_READ_USAGE) notes.push('CPU and memory are read from /proc, which this system does not have: skipped');
  const stage = await openStage(options, say);
  try {
    const figures = await measurePhases(stage, notes);
    const result = {
      machine,
      pinned: stage.placement.words,
      notes,
      ...figures,
      failures: failuresOf(figures),
    };
    return { ...result, bars: judge(result) };
  } finally {
    await stage.close();
  }
}

async function measurePhases(stage: Stage, notes: string[]): Promise<Figures> {
  const wants = (phase: Phase): boolean => stage.options.phases.includes(phase);
  const start = wants('start') ? await measureStart(stage) : undefined;
  const idle = wants('idle') ? await measureIdle(stage) : undefined;
  const loaded =
    wants('throughput') || wants('latency') || wants('body') ? await measureLoaded(stage, wants, notes) : {};
  return { ...(start === undefined ? {} : { start }), ...(idle === undefined ? {} : { idle }), ...loaded };
}

/** Latency before throughput and bodies: what they leave in memory would be in its way. */
async function measureLoaded(stage: Stage, wants: (phase: Phase) => boolean, notes: string[]): Promise<Figures> {
  const opened: Target[] = [];
  const open = async <T extends Target>(starting: Promise<T>): Promise<T> => {
    const target = await starting;
    opened.push(target);
    return target;
  };
  try {
    const sidecar = await open(stage.startSidecar());
    const undici = await open(stage.startUndici());
    const traffic = wants('throughput') || wants('latency');
    const peers = traffic ? [await open(stage.startHttpProxy3(false)), await open(stage.startHttpProxy3(true))] : [];
    const nginx = await stage.startNginx();
    if (nginx === undefined) notes.push('nginx was skipped: there is none on PATH');
    else opened.push(nginx);
    const all = [stage.direct, sidecar, ...peers, undici, ...(nginx === undefined ? [] : [nginx])];
    await warmUp(stage, all);
    const latency = wants('latency') ? await measureLatency(stage, all) : undefined;
    const throughput = wants('throughput') ? await measureThroughput(stage, all) : undefined;
    const body = wants('body') ? await measureBodies(stage, [stage.direct, sidecar, undici]) : undefined;
    return {
      ...(throughput === undefined ? {} : { throughput }),
      ...(latency === undefined ? {} : { latency }),
      ...(body === undefined ? {} : { body }),
    };
  } finally {
    await Promise.all(opened.map((target) => target.close()));
  }
}

function failuresOf({ throughput = [], latency = [], body = [], idle }: Figures): number {
  return [...throughput, ...latency, ...body].reduce((sum, { failures }) => sum + failures, idle?.failures ?? 0);
}
