import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** Reads our documents the way the tests of them need it: code, tables, sections and links of Markdown. */

export const root = resolve(import.meta.dirname, '..');

export interface Document {
  /** Relative to the root. */
  readonly file: string;
  readonly text: string;
}

export function document(file: string): Document {
  return { file, text: readFileSync(join(root, file), 'utf8') };
}

/** Those at the root, the pages of `docs`, and the README of every folder. */
export function documents(): Document[] {
  const inFolders = ['charts', 'config', 'connectors', 'src'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /(^|\/)README\.md$/.test(name))
      .map((name) => join(folder, name)),
  );
  const pages = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name));
  return ['README.md', 'SECURITY.md', 'CHANGELOG.md', ...pages.sort(), ...inFolders.sort()].map(document);
}

export interface CodeBlock {
  readonly language: string;
  readonly code: string;
  /** Line of the first line of code, from 1. */
  readonly line: number;
}

export function codeBlocks(text: string): CodeBlock[] {
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(({ 1: language, 2: code, index }) => ({
    language: language!,
    code: code!,
    line: text.slice(0, index).split('\n').length + 1,
  }));
}

export function withoutBlocks(text: string): string {
  return text.replace(/^```\w*\n[\s\S]*?^```$/gm, '');
}

/** Contents of `code` within lines; a bar that a table escapes is a bar. */
export function codeSpans(text: string): string[] {
  return [...withoutBlocks(text).matchAll(/`([^`\n]+)`/g)].map(([, code]) => code!.replaceAll('\\|', '|'));
}

/** The text under a heading, up to the next heading of its rank or above. */
export function section(text: string, heading: string): string {
  const lines = text.split('\n');
  const from = lines.indexOf(heading);
  if (from < 0) throw new Error(`there is no heading ${heading}`);
  const rank = heading.indexOf(' ');
  const to = lines.findIndex((line, at) => at > from && /^#+ /.test(line) && line.indexOf(' ') <= rank);
  return lines.slice(from + 1, to < 0 ? undefined : to).join('\n');
}

/** Cells of the body rows of the table whose first heading is `first`. */
export function tableRows(text: string, first: string): string[][] {
  const rows = text.split('\n').map((line) => (line.startsWith('|') ? cellsOf(line) : undefined));
  const head = rows.findIndex((cells) => cells?.[0] === first);
  if (head < 0) throw new Error(`there is no table that begins with ${first}`);
  const end = rows.findIndex((cells, at) => at > head && cells === undefined);
  return rows.slice(head + 2, end < 0 ? undefined : end) as string[][];
}

function cellsOf(line: string): string[] {
  return line
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());
}

/** Links to our own files and headings that lead nowhere. */
export function deadLinks({ file, text }: Document): string[] {
  const targets = [...withoutBlocks(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
  return targets.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false;
    const [path = '', anchor] = target.split('#');
    if (path === '') return !anchors(text).includes(anchor!);
    const place = resolve(root, dirname(file), path);
    if (!place.startsWith(root) || !existsSync(place)) return true;
    return anchor !== undefined && !anchors(readFileSync(place, 'utf8')).includes(anchor);
  });
}

/** Anchors that the forge makes of headings. */
function anchors(text: string): string[] {
  return [...withoutBlocks(text).matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
