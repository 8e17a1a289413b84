import { defaultPort, type Origin } from '../connector/origin.ts';
import { readHosts, type HostReading } from './pattern-host.ts';
import { compileRegex, type RegexProgram } from '../connector/pattern/regex-program.ts';
import { parseRegex } from '../connector/pattern/regex-syntax.ts';

/** Characters of a rebuilt URL; a longer one matches nothing. */
const URL_CHARACTERS_MAX = 8192;

/** One entry of `authenticateURLsMatching`. */
export interface UrlPattern {
  readonly source: string;
  /** True where it leaves some of the host open, so that the client has a say in where the credential goes. */
  readonly wide: boolean;
  /** For people: the origins it is bound to, `https://api.github.com` or with `:*` for any port; absent where wide. */
  readonly origins?: readonly string[];
  /** `origin` and `target` as `parseRequestTarget` returns them. */
  matches(origin: Origin, target: string): boolean;
  /** False where no URL of the origin matches, whatever its path. */
  mayMatch(origin: Origin): boolean;
}

/**
 * Compiles one entry of `authenticateURLsMatching`. Throws an Error whose message says what is wrong with it.
 *
 * The pattern is RE2 syntax, as in CyberArk's files, but it is never searched for in the text that the client sent.
 * The request is parsed first; the URL is then rebuilt from its parts, host in lower case, as
 * `scheme://host[:port]/path?query`, and compared from the beginning:
 *
 * 1. The match begins at the scheme, or at the host where the pattern has no scheme. `^` is implied.
 * 2. A pattern that spells a host out is **bound** to it: the parsed host must be that host, whole. It is spelled out
 *    when letters, digits, `-`, `_` and dots (`\.` or `.`) follow `://`, or begin the pattern, and then come the end, `$`,
 *    `/`, `:`, `?` or `.*`. Choices count as spelled out: `(api|uploads)\.github\.com`.
 * 3. A bound pattern without a port means the scheme's own port. `:8443` means that port, `:\d+` any. A default port
 *    may be written or left out on either side.
 * 4. Every other pattern is **wide**: it works, and `check` warns. What stands before its first `/` speaks of the host
 *    and is not looked for in path or query, a dot there is a dot, and a match may end inside the host only after a
 *    written dot.
 * 5. The scheme is the client's own. Clients of a forward proxy write `http://`, also where `forceSSL` upgrades.
 *
 * | pattern | matches | not |
 * |---|---|---|
 * | `^http[s]*://api\.github\.com` | that host, http on 80 and https on 443, any path | `http://api.github.com.evil.test/`, `http://api.github.com:8080/`, `http://api.github.com@evil.test/` |
 * | `^http://api\.example\.com/` | that host, http on 80, any path | `https://api.example.com/` |
 * | `^https?://localhost:\d+/v1/` | localhost on any port, paths under `/v1/` | `http://localhost/other` |
 * | `api\.github\.com` | that host, http on 80 and https on 443 | `http://evil.test/api.github.com` |
 * | `^http://maps\.` (wide) | every host whose first label is `maps` | `http://mapsx.example.com/` |
 * | `^https://.*\.example\.com/` (wide) | every host under `example.com` | `https://evil.test/a.example.com/`, `https://aexample.com/` |
 * | `^http://.*` (wide) | every http URL | every https URL |
 * | `^http`, `.*` (wide) | every URL | nothing |
 *
 * The whole RE2 syntax for ASCII is understood: `(?i)`, `(?P<name>…)`, `\A`, `\z`, `\b`, `\Q…\E`, `[[:alpha:]]`, `{2,5}`. Unicode
 * classes are not. Matching takes time linear in the URL whatever the pattern; a URL over 8192 characters matches nothing.
 */
export function compileUrlPattern(source: string): UrlPattern {
  const readings = readHosts(parseRegex(source)).map((reading) =>
    reading.kind === 'bound'
      ? { ...reading, program: compileRegex(reading.after) }
      : { ...reading, program: compileRegex(reading.sequence) },
  );
  const matches = (origin: Origin, target: string): boolean =>
    target.length <= URL_CHARACTERS_MAX && readings.some((reading) => readingMatches(reading, origin, target));
  const mayMatch = (origin: Origin): boolean => readings.some((reading) => readingMayMatch(reading, origin));
  const origins = new Set<string>();
  for (const reading of readings) {
    if (reading.kind === 'wide') return { source, wide: true, matches, mayMatch };
    for (const one of reading.origins) origins.add(one);
  }
  return { source, wide: false, origins: [...origins], matches, mayMatch };
}

type CompiledReading = HostReading & { readonly program: RegexProgram };

/** Whether a reading speaks of the origin, as far as that can be said before a path is known. */
function isOf(reading: HostReading, { scheme, host, port }: Origin): boolean {
  if (reading.kind === 'wide') return true;
  if (!reading.hosts.has(host) || !reading.schemes.includes(scheme)) return false;
  return port === defaultPort(scheme) || reading.portWritten;
}

function readingMayMatch(reading: CompiledReading, origin: Origin): boolean {
  if (reading.kind === 'bound') return isOf(reading, origin);
  return readingMatches(reading, origin, '/') || overAuthorities(reading, origin, ['/'], true);
}

function readingMatches(reading: CompiledReading, origin: Origin, target: string): boolean {
  if (!isOf(reading, origin)) return false;
  // A lone slash is there or not in the same URL (RFC 9110 section 4.2.3).
  return overAuthorities(reading, origin, target === '/' ? ['/', ''] : [target], false);
}

/** `open`: the target goes on. */
function overAuthorities(reading: CompiledReading, origin: Origin, targets: readonly string[], open: boolean): boolean {
  const usualPort = origin.port === defaultPort(origin.scheme);
  const bare = origin.host.includes(':') ? `[${origin.host}]` : origin.host;
  const written = `${bare}:${origin.port}`;
  // So is a default port.
  const authorities = usualPort ? [bare, written] : [written];
  return authorities.some((authority) =>
    targets.some((target) => runOver(reading, origin.scheme, bare, { authority, target, open })),
  );
}

function runOver(
  reading: CompiledReading,
  scheme: string,
  host: string,
  { authority, target, open }: { readonly authority: string; readonly target: string; readonly open: boolean },
): boolean {
  const text = `${scheme}://${authority}${target}`;
  if (text.length > URL_CHARACTERS_MAX) return false;
  const hostStart = scheme.length + 3;
  const hostEnd = hostStart + host.length;
  const authorityEnd = hostStart + authority.length;
  const start = reading.kind === 'wide' && reading.start === 'host' ? hostStart : 0;
  const from = reading.kind === 'bound' ? hostEnd : start;
  const accept = (end: number): boolean => {
    if (end >= authorityEnd) return true;
    // After a written colon the pattern has said that a port follows, and not which.
    if (end > hostEnd) return end === hostEnd + 1;
    if (reading.kind === 'bound') return false;
    return end <= hostStart || end === hostEnd || text[end - 1] === '.';
  };
  return reading.program.run({ text, from, start, hostStart, accept, open });
}
