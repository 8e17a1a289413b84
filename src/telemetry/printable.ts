import { SidecarError } from '../error.ts';

const TEXT_CHARACTERS_MAX = 4096;
const MESSAGE_CHARACTERS_MAX = 500;
const CAUSES_MAX = 5;
const DEPTH_MAX = 4;
const ENTRIES_MAX = 50;

/** What a log line says of an error: never its stack, never its other fields (they may hold options, hosts, bytes). */
export interface PrintableError {
  readonly code?: string;
  readonly fault?: string;
  /** Log-only words of a `SidecarError`; the message of any other error. */
  readonly detail?: string;
  /** Messages down the chain of causes, outermost first. */
  readonly causes?: readonly string[];
}

/**
 * A copy of `value` that is safe to print: plain objects and arrays bounded in depth and size, errors as
 * `PrintableError`, bytes as their count, URLs without user, query and fragment, other objects by their `toJSON`
 * (a `Secret` masks itself) or their class name.
 */
export function printable(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return shortened(value, TEXT_CHARACTERS_MAX);
  if (typeof value === 'bigint' || typeof value === 'symbol') return String(value);
  if (typeof value === 'function') return '[function]';
  return typeof value === 'object' && value !== null ? printableObject(value, depth) : value;
}

function printableObject(value: object, depth: number): unknown {
  if (value instanceof Error) return printableError(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'invalid date' : value.toISOString();
  if (value instanceof URL) return `${value.protocol}//${value.host}${value.pathname}`;
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (depth >= DEPTH_MAX) return '[deep]';
  if (Array.isArray(value)) return value.slice(0, ENTRIES_MAX).map((item) => printable(item, depth + 1));
  if (!isPlain(value)) return printableInstance(value, depth);
  const copy: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value).slice(0, ENTRIES_MAX)) copy[key] = printable(item, depth + 1);
  return copy;
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function printableInstance(value: object, depth: number): unknown {
  if ('toJSON' in value && typeof value.toJSON === 'function') {
    const json: unknown = (value.toJSON as () => unknown)();
    return json === value ? '[object]' : printable(json, depth + 1);
  }
  return `[${value.constructor.name}]`;
}

export function printableError(error: Error): PrintableError {
  const causes = causeMessages(error);
  const own = error instanceof SidecarError ? error.detail : error.message;
  const code = error instanceof SidecarError ? error.code : systemCode(error);
  return {
    ...(code === undefined ? {} : { code }),
    ...(error instanceof SidecarError ? { fault: error.fault } : {}),
    ...(own === undefined ? {} : { detail: shortened(own, MESSAGE_CHARACTERS_MAX) }),
    ...(causes.length === 0 ? {} : { causes }),
  };
}

/** `ECONNREFUSED`, `ERR_TLS_…`: words of the platform, never free text. */
function systemCode(error: Error): string | undefined {
  const code: unknown = 'code' in error ? error.code : undefined;
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,63}$/.test(code) ? code : undefined;
}

function causeMessages(error: Error): string[] {
  const messages: string[] = [];
  let cause = error.cause;
  while (cause !== undefined && cause !== null && messages.length < CAUSES_MAX) {
    messages.push(causeMessage(cause));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return messages;
}

function causeMessage(cause: unknown): string {
  // What is thrown but is no error may be anything, a credential included: its text stays unseen.
  if (!(cause instanceof Error)) return `[${typeof cause}]`;
  const code = cause instanceof SidecarError ? cause.code : systemCode(cause);
  const words = cause instanceof SidecarError ? (cause.detail ?? cause.sentence) : cause.message;
  return shortened(code === undefined || words.includes(code) ? words : `${code}: ${words}`, MESSAGE_CHARACTERS_MAX);
}

function shortened(text: string, charactersMax: number): string {
  return text.length <= charactersMax ? text : `${text.slice(0, charactersMax)}… (${text.length} characters)`;
}
