import { visible } from '../telemetry/log-text.ts';

/** Shown first and bare, in this order; `prev` is for `verify` only. */
const LEADING = ['time', 'seq', 'type', 'service', 'result'];
const HIDDEN = new Set([...LEADING, 'principal', 'prev']);

/** One line of the ledger for a person: `time seq type service result agent=… key=value`. Ends with a newline. */
export function eventText(line: string): string {
  let event: Record<string, unknown>;
  try {
    event = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return `${visible(line)}\n`;
  }
  const words = LEADING.filter((name) => event[name] !== undefined).map((name) => plain(event[name]));
  const { agent } = (event['principal'] ?? {}) as { agent?: unknown };
  if (agent !== undefined) words.push(`agent=${plain(agent)}`);
  for (const [name, value] of Object.entries(event))
    if (!HIDDEN.has(name)) words.push(`${visible(name)}=${plain(value)}`);
  return `${words.join(' ')}\n`;
}

function plain(value: unknown): string {
  return visible(typeof value === 'string' && !value.includes(' ') ? value : JSON.stringify(value));
}
