import type { Context } from './context.ts';
import { childOf, nodeAt, type Node, type Path } from './node.ts';

/** What the core takes out of the `config` of an HTTP service. */
export interface Match {
  /** True where `authenticateURLsMatching` is in the file, readable or not. */
  readonly written: boolean;
  readonly patterns: readonly string[];
  readonly forceSSL: boolean | undefined;
  readonly forceSSLWritten: boolean;
}

const NOTHING: Match = { written: false, patterns: [], forceSSL: undefined, forceSSLWritten: false };

export function buildMatch(hasConfig: boolean, kind: string | undefined, path: Path, context: Context): Match {
  if (!hasConfig || kind !== 'http') return NOTHING;
  const { report, options } = context;
  const config = nodeAt(options.tree, [...path, 'config'])?.node;
  const list = childOf(config, 'authenticateURLsMatching');
  const force = childOf(config, 'forceSSL');
  return {
    written: list !== undefined,
    patterns: list === undefined ? [] : buildPatterns(list, [...path, 'config', 'authenticateURLsMatching'], context),
    forceSSL:
      force === undefined
        ? undefined
        : booleanOf(force, () => {
            report.error([...path, 'config', 'forceSSL'], 'must be true or false');
          }),
    forceSSLWritten: force !== undefined,
  };
}

function booleanOf(node: Node, refuse: () => void): boolean | undefined {
  if (node.kind === 'scalar' && typeof node.value === 'boolean') return node.value;
  if (node.kind === 'scalar' && node.expanded && (node.text === 'true' || node.text === 'false'))
    return node.text === 'true';
  refuse();
  return undefined;
}

function buildPatterns(list: Node, path: Path, { report, options }: Context): string[] {
  if (list.kind !== 'list' || list.items.length === 0) {
    report.error(path, 'must be a pattern or a list of patterns, and not empty');
    return [];
  }
  const patterns: string[] = [];
  list.items.forEach((item, at) => {
    const place = list.items.length === 1 && item.at === list.at ? path : [...path, at];
    if (item.kind !== 'scalar' || typeof item.value !== 'string' || item.value === '') {
      return report.error(place, 'a pattern is text and not empty: write it in quotes');
    }
    try {
      const { wide } = (options.checkPattern ?? compileLoosely)(item.value);
      if (wide) report.warn(place, 'this pattern matches more than one origin');
    } catch (cause) {
      report.error(place, `not a valid pattern: ${cause instanceof Error ? cause.message : 'it cannot be read'}`);
      return;
    }
    patterns.push(item.value);
  });
  return patterns;
}

/** Whether a pattern compiles at all, where nobody gave a better check. Go writes `(?i)` and `(?P<name>…)`. */
function compileLoosely(source: string): { wide: boolean } {
  new RegExp(source.replace(/^\(\?[imsU]+\)/, '').replaceAll('(?P<', '(?<'), 'u');
  return { wide: false };
}

/**
 * True where no URL can match both patterns, as far as their fixed beginnings tell. False means: they may overlap.
 * http and https count as one scheme, since `forceSSL` turns one into the other.
 */
export function surelyApart(a: string, b: string): boolean {
  const [one, other] = [fixedBeginning(a), fixedBeginning(b)];
  return !one.startsWith(other) && !other.startsWith(one);
}

function fixedBeginning(source: string): string {
  if (!source.startsWith('^') || source.includes('|')) return '';
  let fixed = '';
  const rest = source.slice(1).replace(/^https?\??:/, 'http:');
  for (let at = 0; at < rest.length; at += 1) {
    let char = rest[at]!;
    if (char === '\\') {
      char = rest[(at += 1)] ?? '';
      if (!/[^a-zA-Z0-9]/.test(char)) return fixed;
    } else if (/[.*+?()[\]{}^$]/.test(char)) return /[*?{]/.test(char) ? fixed.slice(0, -1) : fixed;
    fixed += char;
  }
  return fixed;
}
