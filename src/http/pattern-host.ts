import { formatAuthority, type Origin } from '../connector/origin.ts';
import { parseHost } from './authority.ts';
import {
  firstOf,
  isChar,
  isLoneSet,
  isOpenRepeat,
  isSubset,
  mapInner,
  onlyChar,
  overlaps,
  someSet,
} from '../connector/pattern/regex-nodes.ts';
import { compileRegex } from '../connector/pattern/regex-program.ts';
import {
  codesOf,
  foldCase,
  only,
  SET_FLAGS,
  type RegexNode,
  type Sequence,
} from '../connector/pattern/regex-syntax.ts';

/** One alternative of a pattern, read for the host it speaks of. */
export type HostReading = BoundReading | WideReading;

/** It spells its hosts out. */
export interface BoundReading {
  readonly kind: 'bound';
  readonly schemes: readonly Origin['scheme'][];
  /** The only hosts it can match, as `parseHost` writes them. */
  readonly hosts: ReadonlySet<string>;
  /** Whether it names a port; if not, only the scheme's own port is meant. */
  readonly portWritten: boolean;
  /** What has to match right after the host. */
  readonly after: Sequence;
  /** For people: `https://api.github.com`, `http://localhost:*`. */
  readonly origins: readonly string[];
}

/** It leaves some of the host open. */
export interface WideReading {
  readonly kind: 'wide';
  /** What runs against the rebuilt URL. */
  readonly sequence: Sequence;
  /** Where the match begins: at the scheme, or at the host where no scheme is written. */
  readonly start: 'scheme' | 'host';
}

const SCHEMES = ['http', 'https'] as const;
const HOST_CHARACTERS = foldCase(only('abcdefghijklmnopqrstuvwxyz0123456789-_.'));
const ALNUM = foldCase(only('abcdefghijklmnopqrstuvwxyz0123456789'));
/** Hosts that one pattern may spell out: `(api|uploads)\.github\.com` is two. */
const HOSTS_MAX = 64;
const ANYTHING: RegexNode = {
  kind: 'repeat',
  body: [{ kind: 'set', members: new Uint8Array(SET_FLAGS).fill(1), form: 'open' }],
  min: 0,
  max: Infinity,
};

/** Reads a parsed pattern. Throws an Error with the reason where it can never match. */
export function readHosts(pattern: Sequence): HostReading[] {
  return alternatives(pattern).map(readAlternative);
}

/** Splits where the choice decides about scheme or host: `^(http://a|http://b)/`, `(https?://)?a`, `a|b`. */
function alternatives(sequence: Sequence): Sequence[] {
  const [first, ...rest] = sequence;
  if (first === undefined) return [sequence];
  if (first.kind === 'assert' && first.assertion === 'start') return alternatives(rest);
  if (first.kind === 'either' && (rest.length === 0 || namesSlash(first))) {
    return first.branches.flatMap((branch) => alternatives([...branch, ...rest]));
  }
  if (first.kind === 'repeat' && first.min === 0 && first.max === 1 && namesSlash(first)) {
    return [...alternatives([...first.body, ...rest]), ...alternatives(rest)];
  }
  return [sequence];
}

function readAlternative(sequence: Sequence): HostReading {
  const slash = sequence.findIndex(namesSlash);
  if (
    slash > 0 &&
    isChar(sequence[slash - 1], ':') &&
    isChar(sequence[slash], '/') &&
    isChar(sequence[slash + 1], '/')
  ) {
    const scheme = sequence.slice(0, slash - 1).map(confineOpen);
    const schemes = SCHEMES.filter((name) => endsIn(scheme, name, (end) => end === name.length));
    if (schemes.length === 0) throw new Error('begins with neither http:// nor https://');
    return readAfter([...scheme, ...sequence.slice(slash - 1, slash + 2)], sequence.slice(slash + 2), schemes);
  }
  // A pattern such as `^http` or `.*` that is satisfied before any host begins.
  const folded = sequence.map(foldOnly);
  if (SCHEMES.some((name) => endsIn(folded, `${name}://`, () => true))) return wide(folded, 'scheme');
  const begins = firstOf(sequence);
  if (!begins.empty && codesOf(begins.members).every((code) => '/?#'.includes(String.fromCharCode(code)))) {
    throw new Error('begins in the path: write the host before it');
  }
  // `^http.*\.example\.com`: the `.*` runs over `://` into the host.
  const open = sequence.findIndex(isOpenRepeat);
  const before = folded.slice(0, Math.max(open, 0));
  const schemes = SCHEMES.filter((name) => before.length > 0 && endsIn(before, `${name}://`, () => true));
  if (schemes.length > 0) {
    const prefix = [...before, ANYTHING, { kind: 'assert', assertion: 'hostStart' } as const];
    return readAfter(prefix, sequence.slice(open), schemes);
  }
  return readAfter([], sequence, SCHEMES);
}

function readAfter(prefix: Sequence, rest: Sequence, schemes: readonly Origin['scheme'][]): HostReading {
  const start = prefix.length === 0 ? 'host' : 'scheme';
  const bound = bindHosts(rest);
  if (bound === undefined) return wide([...prefix, ...confineHost(rest)], start);
  const hosts = new Set(bound.texts.flatMap(validHost));
  if (hosts.size === 0) throw new Error(`names a host that cannot exist: ${bound.texts[0]!.slice(0, 80)}`);
  const after = rest.slice(bound.length);
  const { portWritten } = bound;
  const origins = schemes.flatMap((scheme) => [...hosts].map((host) => describe(scheme, host, portWritten, after)));
  return { kind: 'bound', schemes, hosts, portWritten, after, origins };
}

function wide(sequence: Sequence, start: WideReading['start']): WideReading {
  return { kind: 'wide', sequence, start };
}

interface Bound {
  /** Every host spelled out. */
  readonly texts: readonly string[];
  /** Nodes that spell it. */
  readonly length: number;
  readonly portWritten: boolean;
}

/** The hosts that a sequence spells out completely; undefined where it leaves some of a host open. */
function bindHosts(rest: Sequence): Bound | undefined {
  let texts: readonly string[] = [''];
  let length = 0;
  const bracket = isChar(rest[0], '[') ? rest.findIndex((node) => isChar(node, ']')) : -1;
  if (bracket > 0) {
    length = bracket + 1;
    const literal = rest.slice(0, length).map(onlyChar);
    if (literal.includes(undefined)) return undefined;
    texts = [literal.join('')];
  } else {
    for (const node of rest) {
      const spelled = spell(node);
      if (spelled === undefined || texts.length * spelled.length > HOSTS_MAX) break;
      texts = cross(texts, spelled);
      length++;
    }
  }
  const openEnd = isOpenRepeat(rest[length]);
  const next = firstOf(rest.slice(openEnd ? length + 1 : length));
  if (overlaps(next.members, HOST_CHARACTERS)) return undefined;
  if (texts.includes('')) return undefined;
  // `maps\.` ends in the middle of a name; `maps\./` does not, and is refused as a host.
  if ((openEnd || next.empty) && texts.some((text) => text.endsWith('.'))) return undefined;
  return { texts, length, portWritten: next.namesColon };
}

/** All texts that a node stands for, if they are few and made of host characters. */
function spell(node: RegexNode): readonly string[] | undefined {
  switch (node.kind) {
    case 'assert':
      return undefined;
    case 'set': {
      if (node.form === 'dot') return ['.'];
      if (node.form === 'open' || !isSubset(node.members, HOST_CHARACTERS)) return undefined;
      return [...new Set(codesOf(node.members).map((code) => String.fromCharCode(code).toLowerCase()))];
    }
    case 'repeat': {
      if (node.max > HOSTS_MAX || node.body.some((part) => part.kind === 'set' && part.form === 'dot'))
        return undefined;
      const once = spellAll(node.body);
      let texts: readonly string[] = [''];
      const all: string[] = [];
      for (let count = 0; count <= node.max; count++) {
        if (count >= node.min) all.push(...texts);
        if (once === undefined || all.length > HOSTS_MAX || texts.length * once.length > HOSTS_MAX) return undefined;
        texts = cross(texts, once);
      }
      return [...new Set(all)];
    }
    case 'either': {
      const branches = node.branches.map(spellAll);
      return branches.includes(undefined) ? undefined : [...new Set(branches.flatMap((texts) => texts ?? []))];
    }
    default:
      return node satisfies never;
  }
}

function spellAll(sequence: Sequence): readonly string[] | undefined {
  let texts: readonly string[] = [''];
  for (const node of sequence) {
    const spelled = spell(node);
    if (spelled === undefined || texts.length * spelled.length > HOSTS_MAX) return undefined;
    texts = cross(texts, spelled);
  }
  return texts;
}

function cross(left: readonly string[], right: readonly string[]): string[] {
  return left.flatMap((a) => right.map((b) => a + b));
}

function validHost(text: string): string[] {
  try {
    return [parseHost(text)];
  } catch {
    return [];
  }
}

function describe(scheme: Origin['scheme'], host: string, portWritten: boolean, after: Sequence): string {
  const bare = formatAuthority({ scheme, host, port: scheme === 'https' ? 443 : 80 });
  if (!portWritten) return `${scheme}://${bare}`;
  let port = '';
  for (let at = 1; isChar(after[0], ':') && /^[0-9]$/.test(onlyChar(after[at]) ?? ''); at++)
    port += onlyChar(after[at])!;
  return `${scheme}://${bare}:${port === '' ? '*' : port}`;
}

/**
 * What stands before the first written `/` speaks of the host, so `.*\.example\.com` cannot find its text in a path or
 * query: up to the last letter or digit named there, nothing open runs over a `/`. Without any, all stays as written.
 */
function confineHost(rest: Sequence): Sequence {
  const slash = rest.findIndex(namesSlash);
  const zone = slash < 0 ? rest : rest.slice(0, slash);
  const last = zone.findLastIndex(namesAlnum);
  return rest.map((node, at) => (at <= last ? confine(node) : node));
}

/** Host characters in either case, an unescaped dot as a dot, and nothing open runs over the end of the authority. */
function confine(node: RegexNode): RegexNode {
  if (node.kind === 'set' && node.form === 'dot') return { ...node, members: only('.') };
  if (node.kind === 'repeat' && isLoneSet(node.body)) return { ...node, body: node.body.map(confineOpen) };
  return mapInner(node, confine, confineOpen);
}

/** As `confine`, but an unescaped dot stays open. */
function confineOpen(node: RegexNode): RegexNode {
  return mapInner(node, confineOpen, (set) =>
    set.form === 'written'
      ? { ...set, members: foldCase(set.members) }
      : { ...set, members: set.members.map((flag, code) => (code === 0x2f || code === 0x3f ? 0 : flag)) },
  );
}

function foldOnly(node: RegexNode): RegexNode {
  return mapInner(node, foldOnly, (set) => (set.form === 'written' ? { ...set, members: foldCase(set.members) } : set));
}

function endsIn(sequence: Sequence, text: string, accept: (end: number) => boolean): boolean {
  return compileRegex(sequence).run({ text, from: 0, start: 0, hostStart: text.length, accept });
}

function namesSlash(node: RegexNode): boolean {
  return someSet(node, (set) => set.form === 'written' && set.members[0x2f] === 1);
}

function namesAlnum(node: RegexNode): boolean {
  return someSet(node, (set) => set.form === 'written' && overlaps(set.members, ALNUM));
}
