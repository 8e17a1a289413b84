import { ERRORS, type ErrorCode } from '../../src/error.ts';

/** What a user reads of a refusal. */
export interface Refusal {
  readonly code: ErrorCode | 'unknown';
  readonly next: string;
  readonly rule?: string;
  /** Correlation id. */
  readonly id: string;
}

const LINE = /secretless: ([^;\r\n]+); ([^\r\n]+?) \((?:rule ([^,)\r\n]+), )?([\w-]+)\)/g;

/** Refusals in what a program printed, each once. */
export function refusals(text: string): Refusal[] {
  const found = new Map<string, Refusal>();
  for (const [whole, sentence, next, rule, id] of text.matchAll(LINE)) {
    const entry = Object.entries(ERRORS).find(([, known]) => known.sentence === sentence);
    const code = (entry?.[0] ?? 'unknown') as Refusal['code'];
    found.set(whole, { code, next: next!, id: id!, ...(rule !== undefined && { rule }) });
  }
  return [...found.values()];
}

/** Codes and rules alone. */
export function refusedBy(text: string): readonly string[] {
  return refusals(text).map(({ code, rule }) => (rule === undefined ? code : `${code} ${rule}`));
}
