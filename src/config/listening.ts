import { parseAddress } from './address.ts';
import { formatListenAddress, type ListenAddress } from './config.ts';
import type { Context } from './context.ts';
import type { Path } from './node.ts';

/** What an address that is wider than loopback is warned with; undefined: `warning` as it stands. */
export type Wording = (warning: string) => string | undefined;

/** The addresses of a listener, each once. `wording` changes a warning, or leaves it out. */
export function buildListenOn(
  written: readonly (string | undefined)[] | undefined,
  path: Path,
  { report }: Context,
  wording: Wording = (warning) => warning,
): ListenAddress[] {
  const found = new Map<string, ListenAddress>();
  (written ?? []).forEach((text, at) => {
    if (text === undefined) return;
    const place = [...path, at];
    const parsed = parseAddress(text);
    if ('problem' in parsed) return report.error(place, parsed.problem);
    const warning = parsed.warning === undefined ? undefined : wording(parsed.warning);
    if (warning !== undefined) report.warn(place, warning);
    const key = formatListenAddress(parsed.address);
    if (found.has(key)) return report.error(place, 'the address is written twice');
    found.set(key, parsed.address);
  });
  return [...found.values()];
}

/** Mode bits of Unix sockets. */
export function buildSocketMode(written: string | undefined, path: Path, { report }: Context): number {
  const mode = written === undefined ? 0o600 : Number.parseInt(written, 8);
  if ((mode & 0o022) !== 0) {
    report.warn(path, 'users besides the owner may connect to the socket and use the credential');
  }
  return mode;
}
