import { judge } from './egress/bars.ts';
import { measureBodies } from './egress/bodies.ts';
import { measureLoads, warmUp } from './egress/loads.ts';
import { parseEgressOptions, USAGE, type EgressOptions, type Phase } from './egress/options.ts';
import { reportText } from './egress/report.ts';
import type { BodyFigures, EgressResult, Kind, LeafFigures, LoadFigures } from './egress/result.ts';
import { benchChild, openStage, type Stage, type Targets } from './egress/stage.ts';
import { isBusy, thisMachine } from './harness/machine.ts';
import { CAN_READ_USAGE } from './harness/usage.ts';

/** `npm run bench -- egress`. Returns the exit code: a missed bar is printed, only what broke is a failure. */
export async function runEgressBench(words: readonly string[]): Promise<number> {
  let options: EgressOptions;
  try {
    options = parseEgressOptions(words);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}`);
    return 64;
  }
  const result = await measureEgress(options, (line) => process.stderr.write(`${line}\n`));
  process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : reportText(result, options.sizes));
  if (result.failures > 0) process.stderr.write(`${result.failures} failures: ${firstFailure(result)}\n`);
  return result.failures > 0 ? 1 : 0;
}

interface Figures {
  readonly loads: readonly LoadFigures[];
  readonly bodies: readonly BodyFigures[];
  readonly leaves: LeafFigures | undefined;
}

/** Measures the phases asked for. `say` is told of progress. */
export async function measureEgress(options: EgressOptions, say: (words: string) => void): Promise<EgressResult> {
  const machine = thisMachine();
  const stage = await openStage(options, say);
  try {
    const leaves = options.phases.includes('leaves') ? await measureLeaves(stage) : undefined;
    const figures = { ...(await measureTraffic(stage)), leaves };
    const notes = notesOf(stage, isBusy(machine));
    const result = { machine, pinned: stage.placement.words, notes, ...figures, failures: failuresOf(figures) };
    return { ...result, bars: judge(result) };
  } finally {
    await stage.close();
  }
}

function notesOf({ options, mitmproxyVersion }: Stage, busy: boolean): string[] {
  const notes: string[] = [];
  if (mitmproxyVersion === undefined) notes.push('mitmproxy was skipped: there is none on PATH (--with-mitmproxy)');
  else notes.push(`mitmproxy ${mitmproxyVersion}; it is given no credential to add, the client sends it`);
  if (options.source) notes.push('the sidecar runs from the checkout, not from the build');
  if (options.nodeFlags.length > 0) notes.push(`the sidecar runs with ${options.nodeFlags.join(' ')}`);
  if (busy) notes.push('the machine was busy when this began: figures of a moment like this say little');
  if (!CAN_READ_USAGE) notes.push('CPU and memory are read from /proc, which this system does not have: skipped');
  return notes;
}

/** In a child of its own, on the processor of the proxy. */
async function measureLeaves({ placement, options, say }: Stage): Promise<LeafFigures> {
  say(`certificates for ${options.sizes.leaves} names`);
  const child = benchChild('leaves', placement.proxy);
  try {
    await child.next();
    return await child.ask<LeafFigures>({ names: options.sizes.leaves });
  } finally {
    await child.close();
  }
}

/** In the order of the phases, whatever order they were asked for in: bodies leave the most behind in memory. */
const LOADS: readonly Kind[] = ['latency', 'messages', 'requests', 'streams', 'handshakes'];

async function measureTraffic(stage: Stage): Promise<Omit<Figures, 'leaves'>> {
  const wants = (phase: Phase): boolean => stage.options.phases.includes(phase);
  const figures = { loads: [] as LoadFigures[], bodies: [] as BodyFigures[] };
  if (!LOADS.some(wants) && !wants('bodies') && !wants('untouched')) return figures;
  const targets = await stage.startTargets();
  try {
    await warmUp(stage, peersOf(targets));
    for (const kind of LOADS.filter(wants))
      figures.loads.push(...(await measureLoads(stage, kind, forKind(kind, targets))));
    const moved = [
      targets.direct,
      ...(wants('bodies') ? peersOf(targets).slice(1) : []),
      ...(wants('untouched') ? [targets.untouched] : []),
    ];
    if (moved.length === 1) return figures;
    for (const way of ['up', 'down'] as const) figures.bodies.push(...(await measureBodies(stage, way, moved)));
    return figures;
  } finally {
    await targets.close();
  }
}

function peersOf({ direct, sidecar, mitmproxy }: Targets): Targets['direct'][] {
  return [direct, sidecar, ...(mitmproxy === undefined ? [] : [mitmproxy])];
}

/** mitmproxy hands no message on before its stream ends. What passes untouched costs a tunnel, and nothing after that. */
function forKind(kind: Kind, targets: Targets): Targets['direct'][] {
  if (kind === 'messages') return [targets.direct, targets.sidecar];
  return kind === 'handshakes' ? [...peersOf(targets), targets.untouched] : peersOf(targets);
}

function failuresOf({ loads, bodies }: Figures): number {
  return [...loads, ...bodies].reduce((sum, { failures }) => sum + failures, 0);
}

function firstFailure({ loads, bodies }: EgressResult): string | undefined {
  return [...loads, ...bodies].find((row) => row.firstFailure !== undefined)?.firstFailure;
}
