import { judge } from './aws/bars.ts';
import { measureBodies } from './aws/bodies.ts';
import { measureCalls, measureLatency, warmUp } from './aws/calls.ts';
import { parseAwsOptions, USAGE, type AwsOptions, type Phase } from './aws/options.ts';
import { proveRequests } from './aws/proof.ts';
import { reportText } from './aws/report.ts';
import type { AwsResult, SignerFigures } from './aws/result.ts';
import type { SignAnswer, SignQuestion } from './aws/signer.ts';
import { nodeChild, openStage, type Stage } from './aws/stage.ts';
import type { Target } from './aws/target.ts';
import { spread } from './harness/statistics.ts';
import { isBusy, thisMachine } from './harness/machine.ts';
import { CAN_READ_USAGE } from './harness/usage.ts';

/** `npm run bench -- aws`. Returns the exit code: a missed bar is printed, only what broke is a failure. */
export async function runAwsBench(words: readonly string[]): Promise<number> {
  let options: AwsOptions;
  try {
    options = parseAwsOptions(words);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}`);
    return 64;
  }
  const result = await measureAws(options, (line) => process.stderr.write(`${line}\n`));
  process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : reportText(result));
  if (result.failures > 0) process.stderr.write(`${result.failures} failures: ${firstFailure(result)}\n`);
  return result.failures > 0 ? 1 : 0;
}

type Figures = Pick<AwsResult, 'proven' | 'signer' | 'calls' | 'ratePerSecond' | 'latency' | 'bodies'>;

/** Measures the phases asked for. `say` is told of progress. Throws where a request is refused before anything counts. */
export async function measureAws(options: AwsOptions, say: (words: string) => void): Promise<AwsResult> {
  const machine = thisMachine();
  const notes: string[] = [];
  if (options.source) notes.push('the sidecar runs from the checkout, not from the build');
  if (options.nodeFlags.length > 0) notes.push(`the sidecar runs with ${options.nodeFlags.join(' ')}`);
  if (isBusy(machine))
    notes.push('the machine was busy when this began: speeds of a moment like this say little, ratios somewhat more');
  if (!CAN_READ_USAGE) notes.push('CPU and memory are read from /proc, which this system does not have: skipped');
  const stage = await openStage(options, say);
  try {
    const figures = await measurePhases(stage);
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

async function measurePhases(stage: Stage): Promise<Figures> {
  const wants = (phase: Phase): boolean => stage.options.phases.includes(phase);
  const signer = wants('signer') ? await measureSigner(stage) : [];
  const nothing = { proven: [], calls: [], latency: [], bodies: [] };
  if (!wants('calls') && !wants('latency') && !wants('bodies')) return { signer, ...nothing };
  const proven = await proveRequests(stage);
  return { signer, proven, ...(await measureTraffic(stage, wants)) };
}

/** Latency before throughput, and bodies on a sidecar of their own: what load leaves in memory would be in their way. */
async function measureTraffic(
  stage: Stage,
  wants: (phase: Phase) => boolean,
): Promise<Omit<Figures, 'proven' | 'signer'>> {
  const onSidecar = async <Result>(measure: (targets: readonly Target[]) => Promise<Result>) => {
    const sidecar = await stage.startSidecar();
    try {
      return await measure([stage.direct, sidecar]);
    } finally {
      await sidecar.close();
    }
  };
  const measureSmall = async (targets: readonly Target[]) => {
    const ratePerSecond = await warmUp(stage, targets);
    const latency = wants('latency') ? await measureLatency(stage, targets, ratePerSecond) : [];
    return { ratePerSecond, latency, calls: wants('calls') ? await measureCalls(stage, targets) : [] };
  };
  const small = wants('latency') || wants('calls') ? await onSidecar(measureSmall) : { latency: [], calls: [] };
  const bodies = wants('bodies') ? await onSidecar((targets) => measureBodies(stage, targets)) : [];
  return { ...small, bodies };
}

async function measureSigner({ options, placement, say }: Stage): Promise<SignerFigures[]> {
  say('signers by turns');
  const child = nodeChild('./signer.ts', placement.proxy);
  try {
    await child.next();
    const { signatures, signerRounds: rounds } = options.sizes;
    const micros = await child.ask<SignAnswer>({ signatures, rounds } satisfies SignQuestion);
    return Object.entries(micros).map(([name, each]) => ({ name, micros: spread(each) }));
  } finally {
    await child.close();
  }
}

function failuresOf({ calls, latency, bodies }: Figures): number {
  return [...calls, ...latency, ...bodies].reduce((sum, { failures }) => sum + failures, 0);
}

function firstFailure({ calls, latency, bodies }: AwsResult): string | undefined {
  return [...calls, ...latency, ...bodies].find((row) => row.firstFailure !== undefined)?.firstFailure;
}
