import { barsText } from '../harness/bars.ts';
import { numberText, spreadText, table } from '../harness/table.ts';
import { PHASES, TRANSPORTS } from './options.ts';
import type { ChurnFigures, CopyFigures, IdleFigures, Load, PostgresResult, TransactionFigures } from './result.ts';

const LOADS: Readonly<Record<Load, string>> = {
  select: 'select-only, prepared, 1 client',
  select8: 'select-only, prepared, 8 clients',
  tpcb: 'TPC-B, prepared, 4 clients',
  connect: 'select-only, a connection for each transaction, 1 client',
};

/** The result for a reader: medians, with the lowest and highest round in parentheses. */
export function reportText(result: PostgresResult): string {
  const { machine, pinned, notes } = result;
  const load = machine.load.map((value) => value.toFixed(1)).join(' ');
  const head = [
    `node ${machine.node}, ${machine.server}, ${machine.system}, ${machine.processors} processors, load average ${load}`,
    pinned,
    ...notes,
  ];
  const parts = [`${head.join('\n')}\n`];
  for (const transport of TRANSPORTS) {
    for (const phase of PHASES) {
      const rows = result.transactions.filter((row) => row.transport === transport && row.load === phase);
      if (rows.length > 0) parts.push(`${LOADS[rows[0]!.load]}, ${transport} upstream\n${transactionsText(rows)}`);
    }
    for (const way of ['out', 'in'] as const) {
      const rows = result.copies.filter((row) => row.transport === transport && row.way === way);
      if (rows.length > 0) parts.push(`COPY ${way}, ${megabytes(rows)} MB, ${transport} upstream\n${copiesText(rows)}`);
    }
  }
  if (result.idle.length > 0) parts.push(`connections that rest\n${idleText(result.idle)}`);
  if (result.churn.length > 0) parts.push(`connections one after another\n${churnText(result.churn)}`);
  parts.push(barsText(result.bars));
  return parts.join('\n');
}

function transactionsText(rows: readonly TransactionFigures[]): string {
  const cells = rows.map((row) => [
    row.target,
    spreadText(row.perSecond),
    spreadText(row.latencyMs, 3),
    spreadText(row.cpuMicros),
    spreadText(row.overDirect, 2),
    spreadText(row.overPgbouncer, 2),
  ]);
  return table(['target', 'tps', 'latency ms', 'CPU µs/transaction', '/direct', '/pgbouncer'], cells);
}

function megabytes(rows: readonly CopyFigures[]): string {
  return numberText(rows[0]!.bytes / 1e6, 0);
}

function copiesText(rows: readonly CopyFigures[]): string {
  const cells = rows.map((row) => [
    row.target,
    spreadText(row.mbPerSecond),
    spreadText(row.cpuSeconds, 2),
    spreadText(row.residentMore, 1),
    spreadText(row.overDirect, 2),
  ]);
  return table(['target', 'MB/s', 'CPU s', 'MB more', '/direct'], cells);
}

function idleText(rows: readonly IdleFigures[]): string {
  const cells = rows.map((row) => [
    `${row.target}, ${row.transport}`,
    String(row.connections),
    numberText(row.before, 1),
    numberText(row.more, 1),
  ]);
  return table(['target', 'connections', 'MB before', 'MB more'], cells);
}

function churnText(rows: readonly ChurnFigures[]): string {
  const cells = rows.map((row) => [
    `${row.target}, ${row.transport}`,
    String(row.connections),
    numberText(row.perSecond, 0),
    `${numberText(row.residentBefore, 1)} → ${numberText(row.residentAfter, 1)}`,
    `${row.filesBefore ?? '-'} → ${row.filesAfter ?? '-'}`,
  ]);
  return table(['target', 'connections', 'a second', 'resident MB', 'descriptors'], cells);
}
