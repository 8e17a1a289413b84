import { barsText } from '../harness/bars.ts';
import type { Spread } from '../harness/statistics.ts';
import { numberText, spreadText, table } from '../harness/table.ts';
import type { BodyFigures, HttpResult, TargetFigures } from './result.ts';

/** The result for a reader: medians, with the lowest and highest round in parentheses. */
export function reportText(
  result: HttpResult,
  sizes: { readonly connections: number; readonly perSecond: number },
): string {
  const { machine, pinned, notes } = result;
  const load = machine.load.map((value) => value.toFixed(1)).join(' ');
  const parts = [
    [
      `node ${machine.node}, ${machine.system}, ${machine.processors} processors, load average ${load}`,
      pinned,
      ...notes,
    ]
      .map((line) => `${line}\n`)
      .join(''),
  ];
  if (result.throughput !== undefined) parts.push(throughputText(result.throughput, sizes.connections));
  if (result.latency !== undefined) parts.push(latencyText(result.latency, sizes.perSecond));
  if (result.start !== undefined) {
    const { ready, bareNode } = result.start;
    parts.push(`start to ready, ms: ${spreadText(ready)}; an empty program on this node: ${spreadText(bareNode)}\n`);
  }
  if (result.idle !== undefined) {
    const { resident, connections, silentMore, keptMore } = result.idle;
    parts.push(
      `resident idle, MB: ${numberText(resident, 1)}; ${connections} idle connections: ` +
        `${numberText(silentMore, 1)} more if never used, ${numberText(keptMore, 1)} more after one exchange each\n`,
    );
  }
  if (result.body !== undefined) parts.push(bodyText(result.body));
  parts.push(barsText(result.bars));
  return parts.join('\n');
}

function throughputText(rows: readonly TargetFigures[], connections: number): string {
  const direct = rows.find(({ target }) => target === 'direct');
  const bare = rows.find(({ target }) => target === 'http-proxy-3');
  const cells = rows.map((row) => [
    row.target,
    spreadText(row.perSecond),
    spreadText(row.p50, 2),
    spreadText(row.p99, 2),
    spreadText(row.cpuMicros),
    spreadText(row.residentMb),
    ratioText(row.perSecond, direct?.perSecond),
    ratioText(row.perSecond, bare?.perSecond),
    ratioText(row.cpuMicros, bare?.cpuMicros),
  ]);
  const header = [
    'target',
    'requests/s',
    'p50 ms',
    'p99 ms',
    'CPU µs/request',
    'peak MB',
    '/direct',
    '/http-proxy-3',
    'CPU/http-proxy-3',
  ];
  return `as fast as it goes, ${connections} connections\n${table(header, cells)}`;
}

function latencyText(rows: readonly TargetFigures[], perSecond: number): string {
  const cells = rows.map((row) => [
    row.target,
    spreadText(row.p50, 2),
    spreadText(row.p99, 2),
    spreadText(row.addedP50, 2),
    spreadText(row.addedP99, 2),
    spreadText(row.cpuMicros),
  ]);
  return `${perSecond} requests/s, time from when each was due\n${table(['target', 'p50 ms', 'p99 ms', 'added p50', 'added p99', 'CPU µs/request'], cells)}`;
}

function bodyText(rows: readonly BodyFigures[]): string {
  const cells = rows.map((row) => {
    const same = (target: string): Spread | undefined =>
      rows.find((other) => other.target === target && other.way === row.way)?.mbPerSecond;
    return [
      `${row.way} ${row.target}`,
      spreadText(row.mbPerSecond),
      spreadText(row.cpuSeconds, 2),
      spreadText(row.residentMore, 1),
      ratioText(row.mbPerSecond, same('direct')),
      ratioText(row.mbPerSecond, same('undici')),
    ];
  });
  const size = (rows[0]?.bytes ?? 0) / 1024 / 1024;
  return `bodies of ${size} MiB\n${table(['way and target', 'MB/s', 'CPU s', 'MB more', '/direct', '/undici'], cells)}`;
}

function ratioText(ours: Spread | undefined, theirs: Spread | undefined): string {
  return ours === undefined || theirs === undefined ? '-' : (ours.median / theirs.median).toFixed(2);
}
