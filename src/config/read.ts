import { isAlias, isMap, isScalar, isSeq, Lexer, LineCounter, parseAllDocuments } from 'yaml';
import type { Pair, Scalar } from 'yaml';
import { hasForeignControl } from './expand.ts';
import type { Entry, Node, Path, ScalarNode } from './node.ts';
import { quote, Report } from './problem.ts';
import { resolveScalar } from './scalar.ts';

const TEXT_BYTES_MAX = 256 * 1024;
const DEPTH_MAX = 32;
const NODES_MAX = 50_000;
const KEY_LENGTH_MAX = 256;

/** Sentences of our own: those of the YAML parser quote the file, which may hold credentials. */
const SYNTAX: Readonly<Record<string, string>> = {
  BAD_INDENT: 'the indentation does not fit the lines above',
  TAB_AS_INDENT: 'tabs may not indent: use blanks',
  MISSING_CHAR: 'a closing quote, bracket, comma or colon is missing here',
  BAD_DQ_ESCAPE: 'an escape that double quotes do not know',
  BAD_SCALAR_START: 'this character may not begin an unquoted value: use quotes',
  BAD_DIRECTIVE: 'directives are refused',
  BLOCK_AS_IMPLICIT_KEY: 'more than one key on this line: is a quote missing, or an indentation wrong?',
  MULTILINE_IMPLICIT_KEY: 'a key must be on one line: is a colon missing?',
  KEY_OVER_1024_CHARS: 'the key is too long',
  DUPLICATE_KEY: 'the key is written twice',
};

interface Reading {
  readonly report: Report;
  nodes: number;
}

/**
 * YAML text to nodes. Takes the plain part of YAML only: one document, text keys, no anchors, aliases, tags or merge
 * keys; refuses what is larger or deeper than any honest configuration before it costs memory.
 */
export function readYaml(text: string, file: string): { root: Node | undefined; report: Report } {
  const lines = new LineCounter();
  const report = new Report(file, lines);
  const refusal = refuseUnread(text);
  if (refusal !== undefined) {
    lines.addNewLine(0);
    report.errorAt(0, [], refusal);
    return { root: undefined, report };
  }
  const documents = parseAllDocuments(text, {
    lineCounter: lines,
    prettyErrors: false,
    schema: 'failsafe',
    merge: false,
    uniqueKeys: false,
    logLevel: 'silent',
  });
  if (lines.lineStarts.length === 0) lines.addNewLine(0);
  const [document, second] = Array.isArray(documents) ? documents : [];
  if (document === undefined) {
    report.errorAt(0, [], 'the file is empty');
    return { root: undefined, report };
  }
  for (const error of document.errors) {
    report.errorAt(error.pos[0], [], `not valid YAML: ${SYNTAX[error.code] ?? 'the text cannot be read here'}`);
  }
  if (second !== undefined) {
    report.errorAt(second.range[0], [], 'one file holds one document: a second one begins here');
  }
  // After a syntax error the structure is a guess: a missing quote makes keys out of values, which no message may name.
  if (document.errors.length > 0) return { root: undefined, report };
  if (document.contents === null) {
    report.errorAt(0, [], 'the file is empty');
    return { root: undefined, report };
  }
  const root = readNode(document.contents, [], 0, { report, nodes: 0 }, 0);
  report.root = root;
  return { root, report };
}

/** Refuses what must not even be parsed; nesting is counted on the flat token stream, where depth costs nothing. */
function refuseUnread(text: string): string | undefined {
  if (Buffer.byteLength(text) > TEXT_BYTES_MAX) return `the file is larger than ${TEXT_BYTES_MAX / 1024} KiB`;
  if (!text.isWellFormed()) return 'the file is not UTF-8 text';
  let flow = 0;
  let inLine = 0;
  for (const token of new Lexer().lex(text)) {
    if (token === '[' || token === '{') flow += 1;
    else if (token === ']' || token === '}') flow -= 1;
    else if (token.startsWith('\n') || token.startsWith('\r')) inLine = 0;
    // In a flow collection a line holds many of these side by side; outside of one each opens a level.
    else if (flow === 0 && (token === '-' || token === '?' || token === ':')) inLine += 1;
    if (flow > DEPTH_MAX || inLine > DEPTH_MAX) return 'the file is nested too deeply';
  }
  return undefined;
}

function readNode(found: unknown, path: Path, at: number, reading: Reading, depth: number): Node {
  const { report } = reading;
  reading.nodes += 1;
  const place = placeOf(found) ?? at;
  if (depth > DEPTH_MAX || reading.nodes > NODES_MAX) {
    report.errorAt(place, [], depth > DEPTH_MAX ? 'the file is nested too deeply' : 'the file holds too many values');
    return emptyScalar(place);
  }
  if (isAlias(found)) {
    report.errorAt(place, path, 'aliases are refused: write the value out');
    return emptyScalar(place);
  }
  if (!isScalar(found) && !isMap(found) && !isSeq(found)) return emptyScalar(place);
  if (found.anchor !== undefined)
    report.errorAt(place, path, 'anchors are refused: write the value out where it is used');
  if (found.tag !== undefined) report.errorAt(place, path, 'tags are refused: use quotes for text');
  if (isScalar(found)) return readScalar(found, path, place, report);
  if (isSeq(found)) {
    const items = found.items.map((item, index) => readNode(item, [...path, index], place, reading, depth + 1));
    return { kind: 'list', at: place, items };
  }
  const entries = new Map<string, Entry>();
  for (const pair of found.items) readPair(pair, entries, path, place, reading, depth);
  return { kind: 'map', at: place, entries };
}

const FORBIDDEN_KEYS = new Set(['__proto__', 'constructor', 'prototype']);

function readPair(
  pair: Pair,
  entries: Map<string, Entry>,
  path: Path,
  at: number,
  reading: Reading,
  depth: number,
): void {
  const { report } = reading;
  const keyAt = placeOf(pair.key) ?? at;
  const key = isScalar(pair.key) && typeof pair.key.value === 'string' ? pair.key.value : undefined;
  if (key === undefined || !isScalar(pair.key)) return report.errorAt(keyAt, path, 'a key must be plain text');
  if (pair.key.anchor !== undefined || pair.key.tag !== undefined)
    report.errorAt(keyAt, path, 'anchors and tags are refused');
  // `{ a, b }`: more often a value that lost its key than a key without a value, so it is not named.
  if (pair.value === null) return report.errorAt(keyAt, path, 'a key has no value here: is a colon missing?');
  const problem = keyProblem(key);
  if (problem !== undefined) return report.errorAt(keyAt, path, problem);
  const value = readNode(pair.value, [...path, key], pair.key.range?.[1] ?? keyAt, reading, depth + 1);
  if (entries.has(key)) return report.errorAt(keyAt, [...path, key], `the key ${quote(key)} is written twice`);
  entries.set(key, { keyAt, node: value });
}

function keyProblem(key: string): string | undefined {
  if (key === '<<') return 'merge keys are refused: write the keys out';
  if (FORBIDDEN_KEYS.has(key)) return `the key ${quote(key)} is refused`;
  if (key === '') return 'a key is empty';
  if (key.length > KEY_LENGTH_MAX) return 'the key is too long';
  if (hasForeignControl(key) || /[\t\r\n]/.test(key)) return 'a key holds a control character';
  return undefined;
}

function readScalar(found: Scalar, path: Path, at: number, report: Report): ScalarNode {
  const content = typeof found.value === 'string' ? found.value : '';
  if (hasForeignControl(content)) report.errorAt(at, path, 'holds a control character');
  const style =
    found.type === 'PLAIN' || found.type === undefined ? 'plain' : found.type?.startsWith('BLOCK') ? 'block' : 'quoted';
  const resolved = style === 'plain' ? resolveScalar(content) : { value: content, text: content };
  return { kind: 'scalar', at, ...resolved, written: content, style, expanded: false };
}

function emptyScalar(at: number): ScalarNode {
  return { kind: 'scalar', at, value: null, text: '', written: '', style: 'plain', expanded: false };
}

function placeOf(found: unknown): number | undefined {
  if (!isScalar(found) && !isMap(found) && !isSeq(found) && !isAlias(found)) return undefined;
  return found.range?.[0];
}
