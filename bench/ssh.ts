import { isBusy, thisMachine } from './harness/machine.ts';
import { CAN_READ_USAGE } from './harness/usage.ts';
import { measureAgent } from './ssh/agent.ts';
import { judge } from './ssh/bars.ts';
import { measureCopies } from './ssh/copies.ts';
import { measureLatency } from './ssh/latency.ts';
import { CIPHER_NAMES, parseSshOptions, USAGE, type Phase, type SshOptions } from './ssh/options.ts';
import { reportText } from './ssh/report.ts';
import type { AgentFigures, CopyFigures, LatencyFigures, SshResult, StoppedFigures } from './ssh/result.ts';
import { clientVersion, missingPrograms } from './ssh/server.ts';
import { openStage, type Stage } from './ssh/stage.ts';
import { measureStopped } from './ssh/stopped.ts';
import type { Sidecar } from './ssh/target.ts';

/** `npm run bench -- ssh`. Returns the exit code: a missed bar is printed, only what broke is a failure. */
export async function runSshBench(words: readonly string[]): Promise<number> {
  let options: SshOptions;
  try {
    options = parseSshOptions(words);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}`);
    return 64;
  }
  const missing = missingPrograms();
  if (missing.length > 0) {
    process.stderr.write(`this bench needs ${missing.join(' and ')} (Debian: openssh-client, openssh-server)\n`);
    return 69;
  }
  const result = await measureSsh(options, (line) => process.stderr.write(`${line}\n`));
  process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : reportText(result));
  if (result.failures > 0) process.stderr.write(`${result.failures} failures: ${firstFailure(result)}\n`);
  return result.failures > 0 ? 1 : 0;
}

interface Figures {
  readonly copies: CopyFigures[];
  readonly latency: LatencyFigures[];
  readonly stopped: StoppedFigures[];
  readonly agent: AgentFigures[];
}

/** Measures the phases asked for. `say` is told of progress. */
export async function measureSsh(options: SshOptions, say: (words: string) => void): Promise<SshResult> {
  const machine = { ...thisMachine(), client: clientVersion() };
  const stage = await openStage(options, say);
  try {
    const figures = await measurePhases(stage);
    const notes = notesOf(options, stage.addon, isBusy(machine));
    const result = { machine, pinned: stage.placement.words, notes, ...figures, failures: failuresOf(figures) };
    return { ...result, bars: judge(result) };
  } finally {
    await stage.close();
  }
}

function notesOf(options: SshOptions, addon: boolean, busy: boolean): string[] {
  const notes: string[] = [];
  if (!addon) notes.push("ssh2's native addon is not there for this Node (npm run addon): its rows are missing");
  if (options.source) notes.push('the sidecar runs from the checkout, not from the build');
  if (options.nodeFlags.length > 0) notes.push(`the sidecar runs with ${options.nodeFlags.join(' ')}`);
  if (busy)
    notes.push(
      'the machine was busy when this began: ratios of a moment like this say little, CPU times somewhat more',
    );
  if (!CAN_READ_USAGE) notes.push('CPU and memory are read from /proc, which this system does not have: skipped');
  return notes;
}

/** Latency and memory on sidecars of their own, before what load leaves behind is in their way. */
async function measurePhases(stage: Stage): Promise<Figures> {
  const figures: Figures = { copies: [], latency: [], stopped: [], agent: [] };
  const wants = (phase: Phase): boolean => stage.options.phases.includes(phase);
  if (wants('stopped')) {
    await onSidecars(stage, async (sidecars) => {
      for (const sidecar of sidecars) figures.stopped.push(await measureStopped(stage, sidecar));
    });
  }
  await onSidecars(stage, async (sidecars) => {
    const targets = [stage.direct, ...sidecars];
    if (wants('latency')) figures.latency.push(...(await measureLatency(stage, targets)));
    if (wants('agent')) figures.agent.push(...(await measureAgent(stage, targets)));
    if (!wants('copies')) return;
    for (const cipher of CIPHER_NAMES) {
      for (const way of ['down', 'up'] as const)
        figures.copies.push(...(await measureCopies(stage, cipher, way, targets)));
    }
  });
  return figures;
}

async function onSidecars(stage: Stage, measure: (sidecars: readonly Sidecar[]) => Promise<void>): Promise<void> {
  const sidecars = await stage.startSidecars();
  try {
    await measure(sidecars);
  } finally {
    await Promise.all(sidecars.map((sidecar) => sidecar.close()));
  }
}

function failuresOf({ copies, latency, stopped, agent }: Figures): number {
  return [...copies, ...latency, ...stopped, ...agent].reduce((sum, { failures }) => sum + failures, 0);
}

function firstFailure({ copies, latency, stopped, agent }: SshResult): string | undefined {
  return [...copies, ...latency, ...stopped, ...agent].find((row) => row.firstFailure !== undefined)?.firstFailure;
}
