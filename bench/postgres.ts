import { isBusy, thisMachine } from './harness/machine.ts';
import { CAN_READ_USAGE } from './harness/usage.ts';
import { judge } from './postgres/bars.ts';
import { missingClients } from './postgres/clients.ts';
import { measureChurn, measureIdle } from './postgres/connections.ts';
import { measureCopies } from './postgres/copy.ts';
import { parsePostgresOptions, USAGE, type Phase, type PostgresOptions, type Transport } from './postgres/options.ts';
import { reportText } from './postgres/report.ts';
import type {
  ChurnFigures,
  CopyFigures,
  IdleFigures,
  Load,
  PostgresResult,
  TransactionFigures,
} from './postgres/result.ts';
import { openStage, type Stage } from './postgres/stage.ts';
import type { Target } from './postgres/target.ts';
import { measureTransactions, warmUp } from './postgres/traffic.ts';

/** `npm run bench -- postgres`. Returns the exit code: a missed bar is printed, only what broke is a failure. */
export async function runPostgresBench(words: readonly string[]): Promise<number> {
  let options: PostgresOptions;
  try {
    options = parsePostgresOptions(words);
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}`);
    return 64;
  }
  const missing = missingClients();
  if (missing.length > 0) {
    process.stderr.write(
      `this bench needs ${missing.join(' and ')} on PATH (Debian: postgresql-client, postgresql-contrib)\n`,
    );
    return 69;
  }
  const result = await measurePostgres(options, (line) => process.stderr.write(`${line}\n`));
  process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : reportText(result));
  if (result.failures > 0) process.stderr.write(`${result.failures} failures: ${firstFailure(result)}\n`);
  return result.failures > 0 ? 1 : 0;
}

interface Figures {
  readonly transactions: TransactionFigures[];
  readonly copies: CopyFigures[];
  readonly idle: IdleFigures[];
  readonly churn: ChurnFigures[];
}

/** Measures the phases asked for. `say` is told of progress. */
export async function measurePostgres(options: PostgresOptions, say: (words: string) => void): Promise<PostgresResult> {
  const machine = thisMachine();
  const notes = new Set<string>();
  if (options.source) notes.add('the sidecar runs from the checkout, not from the build');
  if (options.nodeFlags.length > 0) notes.add(`the sidecar runs with ${options.nodeFlags.join(' ')}`);
  if (isBusy(machine))
    notes.add('the machine was busy when this began: ratios of a moment like this say little, CPU times somewhat more');
  if (!CAN_READ_USAGE) notes.add('CPU and memory are read from /proc, which this system does not have: skipped');
  const stage = await openStage(options, say);
  try {
    const figures: Figures = { transactions: [], copies: [], idle: [], churn: [] };
    for (const transport of options.transports) await measureTransport(stage, transport, figures, notes);
    const result = {
      machine: { ...machine, server: `PostgreSQL ${stage.server.version}` },
      pinned: stage.placement.words,
      notes: [...notes],
      ...figures,
      failures: failuresOf(figures),
    };
    return { ...result, bars: judge(result) };
  } finally {
    await stage.close();
  }
}

/** Memory is measured first, on a sidecar of its own: what load leaves behind would be in its way. */
async function measureTransport(
  stage: Stage,
  transport: Transport,
  figures: Figures,
  notes: Set<string>,
): Promise<void> {
  const wants = (phase: Phase): boolean => stage.options.phases.includes(phase);
  if (wants('idle')) figures.idle.push(await alone(stage, transport, measureIdle));
  if (wants('churn')) figures.churn.push(await alone(stage, transport, measureChurn));
  const loads = (['select', 'select8', 'tpcb', 'connect'] satisfies Load[]).filter(wants);
  if (loads.length === 0 && !wants('copy')) return;
  const { targets, close } = await openTargets(stage, transport, notes);
  try {
    await warmUp(stage, transport, targets);
    for (const load of loads)
      figures.transactions.push(...(await measureTransactions(stage, transport, load, targets)));
    if (!wants('copy')) return;
    for (const way of ['out', 'in'] as const)
      figures.copies.push(...(await measureCopies(stage, transport, way, targets)));
  } finally {
    await close();
  }
}

async function alone<Result>(
  stage: Stage,
  transport: Transport,
  measure: (stage: Stage, transport: Transport, target: Target) => Promise<Result>,
): Promise<Result> {
  const sidecar = await stage.startSidecar(transport);
  try {
    return await measure(stage, transport, sidecar);
  } finally {
    await sidecar.close();
  }
}

async function openTargets(
  stage: Stage,
  transport: Transport,
  notes: Set<string>,
): Promise<{ readonly targets: readonly Target[]; readonly close: () => Promise<void> }> {
  const targets: Target[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(targets.map((target) => target.close()));
  };
  try {
    targets.push(stage.direct(transport), await stage.startSidecar(transport));
    const peers = { haproxy: await stage.startHaproxy(transport), pgbouncer: await stage.startPgbouncer(transport) };
    for (const [name, peer] of Object.entries(peers)) {
      if (peer === undefined) notes.add(`${name} was skipped: there is none on PATH`);
      else targets.push(peer);
    }
    return { targets, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function failuresOf({ transactions, copies, idle, churn }: Figures): number {
  return [...transactions, ...copies, ...idle, ...churn].reduce((sum, { failures }) => sum + failures, 0);
}

function firstFailure({ transactions, copies }: PostgresResult): string {
  const failed = [...transactions, ...copies].find((row) => row.firstFailure !== undefined);
  return failed === undefined ? 'connections' : `${failed.target}, ${failed.transport}: ${failed.firstFailure}`;
}
