import type { Node, Path, ScalarNode } from './node.ts';
import type { Report } from './problem.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

const REFERENCE = /\$\$\{|\$\{([^}]*)\}?/g;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** A name that is plainly a variable's: it may stand in a message even where it was written inside a credential. */
const CONVENTIONAL = /^[A-Z_][A-Z0-9_]*$/;

/**
 * Replaces `${VAR}` in every string value; `$${` stands for the characters `${`. Works on values that are already
 * parsed, so what a variable holds is never read as YAML and never becomes a key.
 */
export function expandVariables(node: Node, environment: Environment, report: Report, path: Path = []): Node {
  switch (node.kind) {
    case 'scalar':
      return expandScalar(node, environment, report, path);
    case 'list':
      return {
        ...node,
        items: node.items.map((item, at) => expandVariables(item, environment, report, [...path, at])),
      };
    case 'map': {
      const entries = new Map(node.entries);
      for (const [key, entry] of entries) {
        entries.set(key, { ...entry, node: expandVariables(entry.node, environment, report, [...path, key]) });
      }
      return { ...node, entries };
    }
    default:
      return node satisfies never;
  }
}

function expandScalar(node: ScalarNode, environment: Environment, report: Report, path: Path): ScalarNode {
  if (typeof node.value !== 'string' || !node.value.includes('${')) return node;
  let expanded = false;
  let failed = false;
  const value = node.value.replaceAll(REFERENCE, (whole: string, name: string | undefined) => {
    if (whole === '$${') return '${';
    if (name === undefined || !whole.endsWith('}') || !VARIABLE.test(name)) {
      failed = true;
      report.errorAt(node.at, path, 'a variable reference looks like ${NAME}; write $${ for the characters themselves');
      return '';
    }
    const found = Object.hasOwn(environment, name) ? environment[name] : undefined;
    if (found === undefined) {
      failed = true;
      const named = CONVENTIONAL.test(name) ? `environment variable ${name}` : 'an environment variable named here';
      report.errorAt(node.at, path, `${named} is not set`);
      return '';
    }
    expanded = true;
    return found;
  });
  // What is wrong with the rest of a value that is not whole follows from that.
  if (failed) report.mute(node.at);
  else if (hasForeignControl(value)) report.errorAt(node.at, path, 'holds a control character');
  return { ...node, value, text: value, expanded };
}

/** Control characters and lone surrogates, which no value may hold. Line breaks and tabs are judged where they matter. */
export function hasForeignControl(text: string): boolean {
  // eslint-disable-next-line no-control-regex -- control characters are exactly what is looked for
  return /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(text) || !text.isWellFormed();
}
