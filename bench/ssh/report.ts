import { barsText } from '../harness/bars.ts';
import { numberText, spreadText, table } from '../harness/table.ts';
import { CIPHERS } from './options.ts';
import type { AgentFigures, CopyFigures, LatencyFigures, SshResult, StoppedFigures } from './result.ts';

/** The result for a reader: medians, with the lowest and highest in parentheses. */
export function reportText(result: SshResult): string {
  const { machine, pinned, notes } = result;
  const load = machine.load.map((value) => value.toFixed(1)).join(' ');
  const head = [
    `node ${machine.node}, ${machine.client}, ${machine.system}, ${machine.processors} processors, load average ${load}`,
    pinned,
    ...notes,
  ];
  const parts = [`${head.join('\n')}\n`];
  const { copies, latency, stopped, agent } = result;
  if (copies.length > 0) parts.push(`${copies[0]!.mib} MiB of zeros, one cipher on both legs\n${copiesText(copies)}`);
  if (latency.length > 0) parts.push(`ssh host true, ${latency[0]!.connections} connections\n${latencyText(latency)}`);
  if (stopped.length > 0) parts.push(`a reader that grants 2 GiB and stops\n${stoppedText(stopped)}`);
  if (agent.length > 0) parts.push(`signatures of ssh-agent, as git asks for them\n${agentText(agent)}`);
  parts.push(barsText(result.bars));
  return parts.join('\n');
}

function copiesText(rows: readonly CopyFigures[]): string {
  const cells = rows.map((row) => [
    CIPHERS[row.cipher],
    row.way,
    row.target,
    spreadText(row.mibPerSecond),
    spreadText(row.overDirect, 2),
    spreadText(row.cpuSecondsPerGib, 2),
    spreadText(row.residentMore),
  ]);
  return table(['cipher', 'way', 'target', 'MiB/s', '/direct', 'CPU s/GiB', 'MB more'], cells);
}

function latencyText(rows: readonly LatencyFigures[]): string {
  return table(
    ['target', 'ms', 'added ms'],
    rows.map((row) => [row.target, spreadText(row.ms, 1), numberText(row.addedMs, 1)]),
  );
}

function stoppedText(rows: readonly StoppedFigures[]): string {
  return table(
    ['target', 'seconds', 'MB before', 'MB more'],
    rows.map((row) => [row.target, String(row.seconds), numberText(row.before, 1), numberText(row.more, 1)]),
  );
}

function agentText(rows: readonly AgentFigures[]): string {
  return table(
    ['target', 'ms', 'added ms'],
    rows.map((row) => [row.target, spreadText(row.ms, 2), numberText(row.addedMs, 2)]),
  );
}
