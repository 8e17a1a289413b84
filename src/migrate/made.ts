import { annotate } from './comments.ts';
import type { Load, Migrated } from './cyberark.ts';
import { distinct, finding, type Finding } from './finding.ts';
import type { CommandLine } from './flags.ts';
import { Places } from './places.ts';
import { newTree, parseTree, treeText } from './tree.ts';

/** A file written anew, with the findings and with what the reader of configurations has to say about it. */
export function made(value: object, findings: readonly Finding[], load: Load): Migrated {
  const text = treeText(newTree(value));
  const places = new Places(text);
  const said = load(text).problems.map((problem) =>
    finding(problem.severity === 'error' ? 'todo' : 'warning', places.placeOf(problem), problem.message),
  );
  const all = distinct([...findings, ...said]);
  const document = parseTree(text);
  annotate(document, all);
  return { text: treeText(document), findings: all, problems: [] };
}

/** Flags whose effect nobody knows, so that what is made of the rest may not be what was meant. */
export function unreadFlags({ unknown, incomplete }: CommandLine, tool: string): Finding[] {
  return [
    ...unknown.map((name) =>
      finding('todo', [], `${shown(name)} is no flag of ${tool} that is known here: not carried over`),
    ),
    ...incomplete.map((name) => finding('todo', [], `${shown(name)} lacks its value: not carried over`)),
  ];
}

/** The name of a flag, never what follows it. */
function shown(name: string): string {
  return /^--?[\w.-]{1,40}$/.test(name) ? `\`${name}\`` : 'a word';
}
