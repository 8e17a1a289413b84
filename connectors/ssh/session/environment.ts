/** What OpenSSH servers take by default in Debian, what tells programs about colours, and git's second protocol. */
const ALWAYS = ['LANG', 'LC_*', 'TZ', 'COLORTERM', 'NO_COLOR', 'GIT_PROTOCOL'];

/** Whether a variable that the downstream sends goes on; `names` on top of those that always do, `*` for any letters. */
export function environmentFilter(names: readonly string[]): (name: Uint8Array) => boolean {
  const all = [...ALWAYS, ...names].map((name) => name.replaceAll('*', '[A-Za-z0-9_]*'));
  const pattern = new RegExp(`^(?:${all.join('|')})$`);
  return (name) => pattern.test(Buffer.from(name).toString('latin1'));
}
