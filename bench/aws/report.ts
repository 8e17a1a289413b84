import { barsText } from '../harness/bars.ts';
import { spreadText, table } from '../harness/table.ts';
import { MIB } from './options.ts';
import type { BodyMode, CallShape } from './requests.ts';
import type { AwsResult, BodyFigures, CallFigures, SignerFigures } from './result.ts';

const SHAPES: Readonly<Record<CallShape, string>> = {
  hash: 'x-amz-content-sha256 (SDK for JavaScript)',
  'no-hash': 'no hash announced (boto)',
};

const MODES: Readonly<Record<BodyMode, string>> = {
  hash: 'PUT, hex hash',
  unsigned: 'PUT, UNSIGNED-PAYLOAD',
  trailer: 'PUT, unsigned with trailer, passed',
  'trailer-strip': 'PUT, unsigned with trailer, `trailers: strip`',
  chunks: 'PUT, signed chunks, signed anew',
  'chunks-unsigned': 'PUT, signed chunks, `chunked: unsigned`',
  get: 'GET',
};

/** The result for a reader: medians, with the lowest and highest round in parentheses. */
export function reportText(result: AwsResult): string {
  const { machine, pinned, notes, proven } = result;
  const load = machine.load.map((value) => value.toFixed(1)).join(' ');
  const head = [
    `node ${machine.node}, ${machine.system}, ${machine.processors} processors, load average ${load}`,
    pinned,
    ...notes,
    ...(proven.length === 0 ? [] : [`${proven.length} shapes of requests went to a server that verifies: all right`]),
  ];
  const parts = [`${head.join('\n')}\n`];
  if (result.signer.length > 0) parts.push(`one signature\n${signerText(result.signer)}`);
  if (result.calls.length > 0) parts.push(`PutItem of 1 KiB, as fast as it goes\n${callsText(result.calls)}`);
  if (result.latency.length > 0)
    parts.push(
      `PutItem of 1 KiB, ${result.ratePerSecond} a second, time from when each was due\n${callsText(result.latency)}`,
    );
  if (result.bodies.length > 0) {
    const size = result.bodies[0]!.bytes / MIB;
    parts.push(`objects of ${size} MiB\n${bodiesText(result.bodies)}`);
  }
  parts.push(barsText(result.bars));
  return parts.join('\n');
}

function signerText(rows: readonly SignerFigures[]): string {
  const cells = rows.map(({ name, micros }) => [name, spreadText(micros, 1)]);
  return table(['', 'µs'], cells);
}

function callsText(rows: readonly CallFigures[]): string {
  const cells = rows.map((row) => [
    SHAPES[row.shape],
    String(row.connections),
    row.target,
    spreadText(row.perSecond),
    spreadText(row.p50, 2),
    spreadText(row.p99, 2),
    spreadText(row.addedP50, 2),
    spreadText(row.addedP99, 2),
    spreadText(row.cpuMicros),
  ]);
  const header = [
    ...['client', 'connections', 'target', 'requests/s', 'p50 ms', 'p99 ms'],
    ...['added p50', 'added p99', 'CPU µs/request'],
  ];
  return table(header, cells);
}

function bodiesText(rows: readonly BodyFigures[]): string {
  const cells = rows.map((row) => [
    MODES[row.mode],
    row.target,
    spreadText(row.mibPerSecond),
    spreadText(row.overDirect, 2),
    spreadText(row.cpuSecondsPerGib, 2),
    spreadText(row.peakMb),
    spreadText(row.residentMore),
  ]);
  return table(['body', 'target', 'MiB/s', '/direct', 'CPU s/GiB', 'peak MB', 'MB more'], cells);
}
