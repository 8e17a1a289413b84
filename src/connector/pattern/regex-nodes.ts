import { codesOf, SET_FLAGS, type RegexNode, type Sequence, type SetNode } from './regex-syntax.ts';

export interface First {
  /** Characters that can come first. */
  readonly members: Uint8Array;
  /** Whether it can match nothing. */
  readonly empty: boolean;
  /** Whether a `:` is written there, not just allowed by something open. */
  readonly namesColon: boolean;
}

export function firstOf(sequence: Sequence): First {
  const members = new Uint8Array(SET_FLAGS);
  let namesColon = false;
  const add = (first: First): boolean => {
    first.members.forEach((flag, code) => (members[code]! |= flag));
    namesColon ||= first.namesColon;
    return first.empty;
  };
  for (const node of sequence) {
    if (node.kind === 'assert') continue;
    let empty = false;
    if (node.kind === 'set') {
      add({ members: node.members, empty, namesColon: node.form === 'written' && node.members[0x3a] === 1 });
    } else if (node.kind === 'repeat') empty = add(firstOf(node.body)) || node.min === 0;
    else for (const branch of node.branches) empty = add(firstOf(branch)) || empty;
    if (!empty) return { members, empty: false, namesColon };
  }
  return { members, empty: true, namesColon };
}

export function mapInner(
  node: RegexNode,
  inner: (node: RegexNode) => RegexNode,
  leaf: (set: SetNode) => RegexNode,
): RegexNode {
  switch (node.kind) {
    case 'set':
      return leaf(node);
    case 'assert':
      return node;
    case 'repeat':
      return { ...node, body: node.body.map(inner) };
    case 'either':
      return { ...node, branches: node.branches.map((branch) => branch.map(inner)) };
    default:
      return node satisfies never;
  }
}

export function onlyChar(node: RegexNode | undefined): string | undefined {
  if (node?.kind !== 'set' || node.form !== 'written') return undefined;
  const chars = new Set(codesOf(node.members).map((code) => String.fromCharCode(code).toLowerCase()));
  return chars.size === 1 ? [...chars][0] : undefined;
}

export function isChar(node: RegexNode | undefined, char: string): boolean {
  return onlyChar(node) === char;
}

export function isLoneSet(sequence: Sequence): boolean {
  return sequence.length === 1 && sequence[0]!.kind === 'set';
}

/** `.*`, `.+`, `[^/]*`, `\S*`: any run of characters that are not named. */
export function isOpenRepeat(node: RegexNode | undefined): boolean {
  if (node?.kind !== 'repeat' || node.max !== Infinity || !isLoneSet(node.body)) return false;
  const [body] = node.body;
  return body?.kind === 'set' && body.form !== 'written';
}

export function someSet(node: RegexNode, test: (set: SetNode) => boolean): boolean {
  switch (node.kind) {
    case 'set':
      return test(node);
    case 'assert':
      return false;
    case 'repeat':
      return node.body.some((part) => someSet(part, test));
    case 'either':
      return node.branches.some((branch) => branch.some((part) => someSet(part, test)));
    default:
      return node satisfies never;
  }
}

export function overlaps(a: Uint8Array, b: Uint8Array): boolean {
  return a.some((flag, code) => flag === 1 && b[code] === 1);
}

export function isSubset(a: Uint8Array, b: Uint8Array): boolean {
  return a.every((flag, code) => flag === 0 || b[code] === 1);
}
