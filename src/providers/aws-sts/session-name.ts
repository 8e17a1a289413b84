import { createHash } from 'node:crypto';
import type { FetchContext } from '../../credential/store.ts';

/** Characters of a role session name and of a source identity (STS API reference, AssumeRole). */
const REFUSED = /[^\w+=,.@-]/g;
const CHARACTERS_MIN = 2;
const CHARACTERS_MAX = 64;
const HASH_DIGITS = 8;

const PLACEHOLDERS = /\{(agent|service)\}/g;

/** True where `template` holds `{agent}`. */
export function namesAgent(template: string): boolean {
  return template.includes('{agent}');
}

/** The template with `{agent}` and `{service}` filled in, in one pass: a name that holds `{service}` stays as it is. */
export function render(template: string, { agent, service }: FetchContext): string {
  return template.replace(PLACEHOLDERS, (_, word) => (word === 'agent' ? (agent ?? '') : service));
}

/**
 * A name that STS takes, of the same text always the same. Whatever must change gets a hash of the whole at its end, so
 * that no two agents come to share a name.
 */
export function sessionName(text: string): string {
  const fit = text.replace(REFUSED, '-');
  if (fit === text && text.length >= CHARACTERS_MIN && text.length <= CHARACTERS_MAX) return text;
  const hash = createHash('sha256').update(text).digest('hex').slice(0, HASH_DIGITS);
  return `${fit.slice(0, CHARACTERS_MAX - HASH_DIGITS - 1)}-${hash}`;
}
