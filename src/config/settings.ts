import { join } from 'node:path';
import { parseAddress, socketPathProblem } from './address.ts';
import type { LedgerConfig, LimitsConfig, ListenAddress, TelemetryConfig } from './config.ts';
import type { Context } from './context.ts';
import type { Path } from './node.ts';
import { resolveIn } from './paths.ts';
import type { Document } from './schema.ts';
import { parseDuration, parseSize } from '../units.ts';
import type { Loose } from './validate.ts';

type WrittenDocument = Loose<Document>;

interface Bounds {
  readonly atLeast?: number;
  readonly atMost?: number;
}

/** Seconds of a duration that is in the file, or the default. */
export function durationAt(
  written: string | undefined,
  path: Path,
  seconds: number,
  { report }: Context,
  { atLeast = 0 }: Bounds = {},
): number {
  if (written === undefined) return seconds;
  const found = parseDuration(written);
  if (found === undefined) report.error(path, 'must be at most 24h');
  else if (found < atLeast) report.error(path, `must be at least ${atLeast < 1 ? '1ms' : `${atLeast}s`}`);
  return found ?? seconds;
}

/** Bytes of a size that is in the file, or the default. */
export function sizeAt<Default extends number | undefined>(
  written: string | number | undefined,
  path: Path,
  bytes: Default,
  { report }: Context,
  { atLeast = 0, atMost = Number.MAX_SAFE_INTEGER }: Bounds = {},
): number | Default {
  if (written === undefined) return bytes;
  const found = parseSize(written);
  if (found === undefined) report.error(path, 'is too large');
  else if (found < atLeast) report.error(path, `must be at least ${atLeast} bytes`);
  else if (found > atMost) report.error(path, `must be at most ${atMost} bytes`);
  return found ?? bytes;
}

const DEFAULT_TELEMETRY: ListenAddress = { kind: 'tcp', host: '127.0.0.1', port: 5335 };

export function buildTelemetry(written: WrittenDocument['telemetry'], { options, report }: Context): TelemetryConfig {
  const log = { level: written?.log?.level ?? ('info' as const) };
  if (options.telemetry !== undefined) return { listenOn: options.telemetry, log };
  if (written?.listenOn === undefined) return { listenOn: DEFAULT_TELEMETRY, log };
  if (written.listenOn === 'off') return { listenOn: undefined, log };
  const path = ['telemetry', 'listenOn'];
  const parsed = parseAddress(written.listenOn);
  if ('problem' in parsed) {
    report.error(path, `${parsed.problem}, or is "off"`);
    return { listenOn: undefined, log };
  }
  // Metrics hold no credential, so a wider address is the operator's choice; a missing host is still worth a word.
  if (parsed.warning !== undefined) report.warn(path, parsed.warning.replace('use the credential', 'read the metrics'));
  return { listenOn: parsed.address, log };
}

const KIB = 1024;
const MIB = 1024 * KIB;

export function buildLedger(written: WrittenDocument['ledger'], context: Context): LedgerConfig {
  const { options } = context;
  const rotateBytes = sizeAt(written?.rotate, ['ledger', 'rotate'], 50 * MIB, context, { atLeast: KIB });
  return {
    file: written?.file === undefined ? join(options.home, 'ledger.jsonl') : resolveIn(options.file, written.file),
    durability: written?.durability ?? 'write',
    rotateBytes,
    keep: written?.keep ?? 5,
  };
}

export function buildControl(written: WrittenDocument['control'], { options, report }: Context): { socket: string } {
  const socket =
    written?.socket === undefined ? join(options.home, 'control.sock') : resolveIn(options.file, written.socket);
  const problem = socketPathProblem(socket);
  if (problem !== undefined) report.error(['control', 'socket'], problem);
  return { socket };
}

export function buildLimits(written: WrittenDocument['limits'], context: Context): LimitsConfig {
  const at = (key: string): Path => ['limits', key];
  return {
    connections: written?.connections ?? 10_000,
    headerBytes: sizeAt(written?.headerBytes, at('headerBytes'), 32 * KIB, context, { atLeast: KIB, atMost: MIB }),
    headerSeconds: durationAt(written?.header, at('header'), 10, context, { atLeast: 0.001 }),
    keepAliveSeconds: durationAt(written?.keepAlive, at('keepAlive'), 60, context, { atLeast: 0.001 }),
    requestSeconds: durationAt(written?.request, at('request'), 0, context),
    drainSeconds: durationAt(written?.drain, at('drain'), 25, context),
  };
}
