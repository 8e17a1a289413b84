import { compileNames, type Matcher } from './glob.ts';
import type { Rule } from './rules.ts';
import { anyOf, compileAny, compileWild, lettersAnd, type StarClass } from './wild.ts';

/** Fingerprint of a host's key; undefined where it is not proven. */
export type HostKeyMatcher = (fingerprint: string | undefined) => boolean;

/** No shell reads more into one of these than itself: no quote, `$`, `;`, `~`, bracket or line break is among them. */
const PLAIN_IN_COMMANDS = lettersAnd(' _@%+=:,./-');
/**
 * What names and addresses are made of. Resolvers have taken `127.0.0.1 x.internal` for 127.0.0.1 (glibc, CVE-2016-10739),
 * so that a rule on `*.internal` must not cover a blank.
 */
const PLAIN_IN_HOSTS = lettersAnd('_.:[]-');
/** `10.0.0.*` is meant for addresses, and `10.0.0.1.evil.example` is a name that leads anywhere. */
const PLAIN_IN_IPV4 = anyOf('0123456789.');
const PLAIN_IN_IPV6 = anyOf('0123456789abcdef:.');
const ANYTHING: StarClass = () => true;
const SLASH = 0x2f;
const NO_SLASH: StarClass = (unit) => unit !== SLASH;

/** A fingerprint as `ssh-keygen -l` shows it: 32 bytes in base64, whose last character carries four bits. */
const FINGERPRINT = /^SHA256:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]$/;

export function compileCommands(patterns: readonly string[], effect: Rule['effect']): Matcher {
  return compileAny(patterns, (pattern) => compileWild(pattern, effect === 'allow' ? PLAIN_IN_COMMANDS : ANYTHING));
}

/** Case does not matter: to most that keep repositories it does not either. */
export function compileRepositories(patterns: readonly string[]): Matcher {
  const matches = compileAny(patterns, (pattern) => {
    if (/^\/|\/$|\.git$/i.test(pattern)) throw new Error(`"${pattern}": without slashes around it and \`.git\``);
    return compileWild(pattern.toLowerCase(), NO_SLASH);
  });
  return (repository) => matches(repository.toLowerCase());
}

/** Addresses match addresses, and paths of sockets match those; `*` alone matches both. */
export function compileDestinations(patterns: readonly string[], effect: Rule['effect']): Matcher {
  return compileAny(patterns, (pattern) => {
    if (/^\*+$/.test(pattern)) return () => true;
    return pattern.startsWith('/') ? compileSocketPath(pattern, effect) : compileAddress(pattern, effect);
  });
}

/** `/run/app/../docker.sock` and `/run//docker.sock` are other names of sockets: a star covers none, and a deny rule each. */
function compileSocketPath(pattern: string, effect: Rule['effect']): Matcher {
  const denies = effect === 'deny';
  const matches = compileWild(pattern, denies ? ANYTHING : NO_SLASH);
  return (destination) => {
    if (!destination.startsWith('/')) return false;
    if (/\/(?:\.{0,2}\/|\.{1,2}$)/.test(destination)) return denies || destination === pattern;
    return matches(destination);
  };
}

/** Host and port are matched apart, so that no star of the one reaches into the other. A deny rule takes what is neither. */
function compileAddress(pattern: string, effect: Rule['effect']): Matcher {
  const [host, port] = splitAddress(pattern) ?? [];
  if (host === undefined || port === undefined || !/^[0-9*]+$/.test(port)) {
    throw new Error(`"${pattern}" is no host:port, with an IPv6 address in brackets, and no absolute path`);
  }
  const denies = effect === 'deny';
  const matchesHost = host === '' ? (text: string) => text === '' : compileHost(lowerCase(host), denies);
  const matchesPort = compileNames([port]);
  return (destination) => {
    if (destination.startsWith('/')) return false;
    const actual = splitAddress(destination);
    if (actual === undefined) return denies;
    return matchesPort(actual[1]) && matchesHost(lowerCase(actual[0]));
  };
}

function compileHost(host: string, denies: boolean): Matcher {
  if (!denies) return compileWild(host, starOf(host));
  const matches = compileWild(host, ANYTHING);
  // The dot of the root is no part of a name to whoever resolves it (RFC 1034 section 3.1).
  return (text) => matches(text) || matches(text.replace(/\.$/, ''));
}

function starOf(host: string): StarClass {
  if (host.startsWith('[')) return PLAIN_IN_IPV6;
  return /^[0-9.*]*[0-9][0-9.*]*$/.test(host) ? PLAIN_IN_IPV4 : PLAIN_IN_HOSTS;
}

/** Undefined where there is no port, or colons in the host without brackets around it. */
function splitAddress(text: string): readonly [host: string, port: string] | undefined {
  const colon = text.lastIndexOf(':');
  if (colon < 0) return undefined;
  const host = text.slice(0, colon);
  if (host.includes(':') && !(host.startsWith('[') && host.endsWith(']'))) return undefined;
  return [host, text.slice(colon + 1)];
}

/** Of ASCII alone: what else folds to a letter of it is another name. */
function lowerCase(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

export function compileHostKeys(patterns: readonly string[], effect: Rule['effect']): HostKeyMatcher {
  for (const pattern of patterns) {
    if (pattern === '*' || FINGERPRINT.test(pattern)) continue;
    throw new Error(`"${pattern}" is no SHA256 fingerprint (SHA256: and 43 characters), and not \`*\``);
  }
  if (patterns.includes('*')) return () => true;
  const known = new Set(patterns);
  return (fingerprint) => (fingerprint === undefined ? effect === 'deny' : known.has(fingerprint));
}
