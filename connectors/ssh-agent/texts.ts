/** More than a hundred years; what OpenSSH's protocol has room for (`SSH_AGENT_CONSTRAIN_LIFETIME`). */
const LIFETIME_SECONDS_MAX = 2 ** 32 - 1;

/** Seconds; undefined where the text is no number of them. 0 is no limit, as with CyberArk and `ssh-add`. */
export function readLifetime(text: string): number | undefined {
  const seconds = /^\d{1,10}$/.test(text) ? Number(text) : LIFETIME_SECONDS_MAX + 1;
  return seconds > LIFETIME_SECONDS_MAX ? undefined : seconds;
}

/** The words that Go's `strconv.ParseBool` takes, as CyberArk's broker does, in any case; undefined: another. */
export function readYes(text: string): boolean | undefined {
  const word = text.toLowerCase();
  if (['1', 't', 'true'].includes(word)) return true;
  return ['0', 'f', 'false'].includes(word) ? false : undefined;
}
