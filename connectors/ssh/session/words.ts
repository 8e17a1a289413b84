import type { SidecarError } from 'secretless-sidecar/connector';

/** What the downstream hears of an error: one line of fixed words, the rule's id and the correlation id. */
export function wordsFor(error: SidecarError, id: string): string {
  const next = error.retryAfterSeconds === undefined ? error.next : `try again in ${error.retryAfterSeconds} s`;
  const rule = error.rule === undefined ? '' : `rule ${error.rule}, `;
  return `secretless: ${error.sentence}; ${next} (${rule}${id})`;
}
