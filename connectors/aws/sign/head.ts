import { SigningProblem } from './problem.ts';

/** The parts of a request head that are signed; a `RequestHead` of the SDK is one. */
export interface SignableHead {
  readonly method: string;
  /** Origin form, as received, latin1. */
  readonly target: string;
  /** Flat list: name, value, name, value …; latin1. */
  readonly headers: readonly string[];
}

/**
 * Fields that speak for the agent or for its clock. A server that folds `_` into `-` would read the other spelling as
 * the same field, so both go.
 */
const AGENTS_OWN: ReadonlySet<string> = new Set([
  'authorization',
  'date',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-region-set',
  'x-amz-s3session-token',
  'x-amz-security-token',
]);

/** The list without the agent's authorization, clock, session token and payload hash. */
export function withoutAgentsOwn(headers: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at]!;
    const lower = name.toLowerCase();
    if (AGENTS_OWN.has(lower.includes('_') ? lower.replaceAll('_', '-') : lower)) continue;
    kept.push(name, headers[at + 1]!);
  }
  return kept;
}

/** The one value of a field, `undefined` where there is none. Errors: `ambiguous-authorization` for two. */
export function onlyValue(headers: readonly string[], name: string): string | undefined {
  let value: string | undefined;
  for (let at = 0; at < headers.length; at += 2) {
    if (headers[at]!.toLowerCase() !== name) continue;
    if (value !== undefined)
      throw new SigningProblem('ambiguous-authorization', 'a field that a signature depends on is there twice');
    value = headers[at + 1]!;
  }
  return value;
}
