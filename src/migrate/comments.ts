import { type Document, Parser } from 'yaml';
import type { Finding, Weight } from './finding.ts';
import { comment } from './tree.ts';

const PREFIX: Readonly<Record<Weight, string>> = {
  note: 'migrate:',
  warning: 'migrate, warning:',
  todo: 'migrate, to do:',
};
const WIDTH = 108;

/** Writes findings above the places that they are about, those of one place in their order; not what stands there already. */
export function annotate(document: Document, findings: readonly Finding[], original = ''): void {
  const known = new Set(commentsOf(original));
  for (const { weight, path, text } of findings) {
    const lines = wrapped(`${PREFIX[weight]} ${text}`);
    if (!lines.every((line) => known.has(`#${line}`))) comment(document, path, lines.join('\n'));
  }
}

/** Lines of a comment; those after the first are indented, so that each comment can be told from the next. */
export function wrapped(text: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.match(/`[^`]*`\S*|\S+/g) ?? []) {
    if (line !== '' && line.length + word.length >= WIDTH) {
      lines.push(line);
      line = ' ';
    }
    line += line === '' ? word : ` ${word}`;
  }
  return [...lines, line].map((each) => ` ${each}`);
}

/** The comments of a YAML text, each as it stands from its `#` on. */
export function commentsOf(text: string): string[] {
  const found: string[] = [];
  for (const token of new Parser().parse(text)) gather(token, found);
  return found;
}

function gather(token: unknown, found: string[]): void {
  if (Array.isArray(token)) {
    for (const each of token) gather(each, found);
  } else if (typeof token === 'object' && token !== null) {
    const { type, source } = token as { type?: unknown; source?: unknown };
    if (type === 'comment' && typeof source === 'string') found.push(source.trimEnd());
    else for (const part of Object.values(token)) gather(part, found);
  }
}

/** The comments of `before` that are not in `after`; one that was there twice must be there twice. */
export function lostComments(before: string, after: string): string[] {
  const left = new Map<string, number>();
  for (const each of commentsOf(after)) left.set(each, (left.get(each) ?? 0) + 1);
  return commentsOf(before).filter((each) => {
    const count = left.get(each) ?? 0;
    left.set(each, count - 1);
    return count <= 0;
  });
}

/** What stands at the end of a document, after all that is there. */
export function endWith(document: Document, lines: readonly string[]): void {
  if (lines.length === 0) return;
  const text = lines.join('\n');
  document.comment = document.comment == null ? text : `${document.comment}\n\n${text}`;
}
