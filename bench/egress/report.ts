import { barsText } from '../harness/bars.ts';
import { numberText, spreadText, table } from '../harness/table.ts';
import type { Sizes } from './options.ts';
import type { BodyFigures, EgressResult, Kind, LoadFigures } from './result.ts';

/** The result for a reader: medians, with the lowest and highest in parentheses. */
export function reportText(result: EgressResult, sizes: Sizes): string {
  const { machine, pinned, notes, loads, bodies, leaves } = result;
  const load = machine.load.map((value) => value.toFixed(1)).join(' ');
  const head = [
    `node ${machine.node}, ${machine.system}, ${machine.processors} processors, load average ${load}`,
    pinned,
    ...notes,
  ];
  const titles: Readonly<Record<Kind, string>> = {
    latency: `${sizes.perSecond} requests/s on ${sizes.connections} kept connections, ms`,
    messages: 'messages of gRPC, each after the one before came back, ms',
    requests: `HTTP/1.1, closed loop on ${sizes.connections} connections`,
    streams: `HTTP/2, closed loop of ${sizes.streams} streams on one connection`,
    handshakes: `new tunnels with a handshake and a request each, ${sizes.openers} at a time`,
  };
  const parts = [`${head.join('\n')}\n`];
  for (const [kind, title] of Object.entries(titles)) {
    const rows = loads.filter((row) => row.kind === kind);
    if (rows.length > 0) parts.push(`${title}\n${loadsText(rows)}`);
  }
  if (bodies.length > 0) parts.push(`one body of ${bodies[0]!.mib} MiB\n${bodiesText(bodies)}`);
  if (leaves !== undefined) {
    const { names, p50, p99, cpuMicros } = leaves;
    const figures = `p50 ${numberText(p50)} ms, p99 ${numberText(p99)} ms, CPU ${numberText(cpuMicros, 0)} µs`;
    parts.push(`certificates issued for ${names} names: ${figures}\n`);
  }
  parts.push(barsText(result.bars));
  return parts.join('\n');
}

function loadsText(rows: readonly LoadFigures[]): string {
  const cells = rows.map((row) => [
    row.target,
    spreadText(row.perSecond),
    spreadText(row.p50, 2),
    spreadText(row.p99, 2),
    spreadText(row.addedP50, 2),
    spreadText(row.addedP99, 2),
    spreadText(row.cpuMicros),
  ]);
  return table(['target', 'per second', 'p50', 'p99', 'added p50', 'added p99', 'CPU µs'], cells);
}

function bodiesText(rows: readonly BodyFigures[]): string {
  const cells = rows.map((row) => [
    `${row.target} ${row.way}`,
    spreadText(row.mbPerSecond),
    spreadText(row.overDirect, 2),
    spreadText(row.cpuSecondsPerGib, 2),
    spreadText(row.residentMore),
  ]);
  return table(['target', 'MB/s', '/direct', 'CPU s/GiB', 'MB more'], cells);
}
