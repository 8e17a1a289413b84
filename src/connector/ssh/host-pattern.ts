import { createHmac, timingSafeEqual } from 'node:crypto';
import { base64Decode } from './base64.ts';
import { WireError } from './wire.ts';

const PATTERNS_MAX = 256;
const PATTERN_LETTERS_MAX = 1024;
const SHA1_BYTES = 20;

/** Whether a line of `known_hosts` is about a host: its name, or `[name]:port` where the port is not 22. */
export type HostMatch = (name: string) => boolean;

/** The first field of a line (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"). Errors: `WireError`. */
export function readHostPatterns(field: string): HostMatch {
  if (field.startsWith('|')) return hashedHost(field);
  const patterns = field.split(',');
  if (patterns.length > PATTERNS_MAX) throw new WireError('too many names');
  const wanted: string[] = [];
  const unwanted: string[] = [];
  for (const pattern of patterns) {
    const isUnwanted = pattern.startsWith('!');
    const bare = (isUnwanted ? pattern.slice(1) : pattern).toLowerCase();
    if (bare === '' || bare.length > PATTERN_LETTERS_MAX) throw new WireError('a name that is empty or too long');
    (isUnwanted ? unwanted : wanted).push(bare);
  }
  return (name) => {
    const matches = (pattern: string): boolean => isMatch(pattern, name);
    return wanted.some(matches) && !unwanted.some(matches);
  };
}

/** `|1|salt|hash`: HMAC-SHA-1 of one name, the salt as its key (OpenSSH `hostfile.c`). */
function hashedHost(field: string): HostMatch {
  const [, salt, hash] = /^\|1\|([A-Za-z0-9+/=]+)\|([A-Za-z0-9+/=]+)$/.exec(field) ?? [];
  if (salt === undefined || hash === undefined) throw new WireError('a hashed name of an unknown kind');
  const [key, expected] = [base64Decode(Buffer.from(salt)), base64Decode(Buffer.from(hash))];
  if (key.length !== SHA1_BYTES || expected.length !== SHA1_BYTES) throw new WireError('a hashed name that is cut');
  return (name) => timingSafeEqual(createHmac('sha1', key).update(name).digest(), expected);
}

/** `*` stands for any letters, `?` for one. In time that is linear in the letters times the pattern at worst. */
function isMatch(pattern: string, name: string): boolean {
  let [at, letter, star, resume] = [0, 0, -1, 0];
  while (letter < name.length) {
    if (pattern[at] === '*') {
      star = at;
      at += 1;
      resume = letter;
    } else if (at < pattern.length && (pattern[at] === '?' || pattern[at] === name[letter])) {
      at += 1;
      letter += 1;
    } else if (star >= 0) {
      at = star + 1;
      resume += 1;
      letter = resume;
    } else return false;
  }
  while (pattern[at] === '*') at += 1;
  return at === pattern.length;
}
