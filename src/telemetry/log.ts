import { fdStream, type LogStream } from './log-stream.ts';
import { logText, singleLine } from './log-text.ts';
import { printable } from './printable.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** For operators, not auditors: what nobody may lose is an event of the ledger. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** A log that adds `fields` to each line. */
  child(fields: object): Log;
  /** Lines below this level are no longer written. */
  limit(level: LogLevel): void;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** Default: standard error. */
  readonly stream?: LogStream;
}

const STANDARD_ERROR = 2;
/** Keys of the line itself; a field of that name is printed as `_name`. */
const LINE_KEYS = new Set(['level', 'time', 'message']);

/**
 * One line per event: JSON `{level, time, …fields, message}`, or short text where the stream is a terminal. Fields
 * pass `printable`, so errors are code, fault, detail and messages of their causes, and a `Secret` is `[secret]`.
 */
export function openLog({ level, stream }: LogOptions): Log {
  const target = stream ?? fdStream(STANDARD_ERROR, process.stderr.isTTY);
  const colour = target.isTTY === true && process.env['NO_COLOR'] === undefined;
  const write = target.isTTY
    ? (line: string) => target.write(logText(line, colour))
    : (line: string) => target.write(singleLine(line));
  return new LineLog(write, { least: RANK[level] }, {});
}

const RANK = { debug: 0, info: 1, warn: 2, error: 3 } as const satisfies Record<LogLevel, number>;

class LineLog implements Log {
  readonly #write: (line: string) => unknown;
  /** Of this log and of all its children. */
  readonly #limit: { least: number };
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(write: (line: string) => unknown, limit: { least: number }, fields: Readonly<Record<string, unknown>>) {
    this.#write = write;
    this.#limit = limit;
    this.#fields = fields;
  }

  debug(fields: object, message: string): void {
    this.#line('debug', fields, message);
  }

  info(fields: object, message: string): void {
    this.#line('info', fields, message);
  }

  warn(fields: object, message: string): void {
    this.#line('warn', fields, message);
  }

  error(fields: object, message: string): void {
    this.#line('error', fields, message);
  }

  child(fields: object): Log {
    return new LineLog(this.#write, this.#limit, { ...this.#fields, ...lineFields(fields) });
  }

  limit(level: LogLevel): void {
    this.#limit.least = RANK[level];
  }

  #line(level: LogLevel, fields: object, message: string): void {
    if (RANK[level] < this.#limit.least) return;
    const time = new Date().toISOString();
    const line = { level, time, ...this.#fields, ...lineFields(fields), message };
    this.#write(`${JSON.stringify(line)}\n`);
  }
}

function lineFields(fields: object): Record<string, unknown> {
  if (fields instanceof Error) return { error: printable(fields) };
  const line: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) line[LINE_KEYS.has(key) ? `_${key}` : key] = printable(value);
  return line;
}
