import { isDeepStrictEqual } from 'node:util';
import type { Document } from 'yaml';
import type { LoadResult } from '../config/load.ts';
import type { Problem } from '../config/problem.ts';
import { adviseBroker, adviseLiterals, adviseVariables, RULES_MISSING, rulesToBeginWith } from './advice.ts';
import { annotate, endWith, lostComments } from './comments.ts';
import { distinct, finding, type Finding } from './finding.ts';
import { Places } from './places.ts';
import { parseTree, textOf, treeText, valueOf } from './tree.ts';
import { dropDuplicates, dropUnknown, renameProtocols } from './version2.ts';
import { fromVersion1 } from './version1.ts';

/** Reads the text of a configuration as `check` does, wherever it stands. */
export type Load = (text: string) => LoadResult;

export interface Migrated {
  /** Absent where the original cannot be converted. */
  readonly text?: string;
  readonly findings: readonly Finding[];
  /** Of the original, where it cannot be converted. */
  readonly problems: readonly Problem[];
}

/** What unknown keys may uncover is one level deeper each time. */
const ROUNDS_MAX = 8;
const LITERAL = /^a credential stands in this file/;

/**
 * A file of CyberArk Secretless Broker, version 1 or 2, as one of our own with comments on what changed. It means what
 * the original meant when this build loads it. Errors: an `Error` where it does not, which is a mistake of ours.
 */
export function fromCyberArk(original: string, load: Load): Migrated {
  const before = load(original);
  const refused = problemsThatRefuse(before);
  if (refused.length > 0) return { findings: [], problems: refused };
  const converted = convert(original, load);
  const text = finish(converted.text, converted.findings, original, load);
  const after = load(text);
  if (!meansTheSame(before, after)) throw new Error('the converted file does not mean what the original means');
  return { text, findings: converted.findings, problems: [] };
}

/** A file that is no YAML, or a version 1 file whose parts do not fit together, has no other form. */
function problemsThatRefuse({ problems, normalized }: LoadResult): readonly Problem[] {
  const errors = problems.filter(({ severity }) => severity === 'error');
  if (normalized === undefined) return errors;
  return errors.filter(({ path, message }) => {
    const isOfVersion1 = /^(?:listeners|handlers)(?:\.|$)/.test(path);
    const isMended = /^unknown key | is not set$|^the key .* is written twice$/.test(message);
    return (isOfVersion1 && !isMended) || /anchors|aliases|merge keys|tags are/.test(message);
  });
}

function convert(original: string, load: Load): { text: string; findings: Finding[] } {
  const findings: Finding[] = [];
  let document = parseTree(original);
  dropDuplicates(document, findings);
  if (isVersion1(document)) {
    const version2 = fromVersion1(document);
    document = version2.document;
    findings.push(...version2.findings);
  }
  renameProtocols(document, findings);
  let text = treeText(document);
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const dropped = dropUnknown(text, load(text).problems);
    if (dropped === undefined) break;
    text = treeText(dropped.document);
    findings.push(...dropped.findings);
  }
  return { text, findings: distinct([...findings, ...findingsOf(text, load)]) };
}

/** As the reader of configurations tells: without a version a file is of the first. */
function isVersion1({ contents }: Document): boolean {
  const version = textOf(valueOf(contents, 'version')) ?? '';
  return version === '1' || (version === '' && valueOf(contents, 'services') === undefined);
}

/** What the reader has to say about the converted file, and what the broker did otherwise. */
function findingsOf(text: string, load: Load): Finding[] {
  const { config, problems } = load(text);
  const places = new Places(text);
  const said = problems
    .filter(({ message }) => !LITERAL.test(message))
    .map((problem) => {
      const hint = problem.suggestion === undefined ? '' : ` (did you mean ${JSON.stringify(problem.suggestion)}?)`;
      const weight = problem.severity === 'error' ? 'todo' : 'warning';
      return finding(weight, places.placeOf(problem), `${problem.message}${hint}`);
    });
  return [
    ...said,
    ...adviseLiterals(places.document),
    ...adviseVariables(places.document),
    ...(config === undefined ? [] : adviseBroker(config)),
  ];
}

/** The text with its comments, and with all those of the original. */
function finish(text: string, findings: readonly Finding[], original: string, load: Load): string {
  const document = parseTree(text);
  annotate(document, findings, original);
  const { config } = load(text);
  if (config !== undefined && !original.includes(RULES_MISSING)) endWith(document, rulesToBeginWith(config));
  const lost = lostComments(original, treeText(document));
  if (lost.length > 0) {
    const heading = ' migrate: comments of the original whose place is gone:';
    endWith(document, [heading, ...lost.map((each) => each.slice(1))]);
  }
  return treeText(document);
}

/** Where the original loads, the result loads as the same; where this build lacks parts of it, as the same text. */
function meansTheSame(before: LoadResult, after: LoadResult): boolean {
  if (before.config !== undefined) return isDeepStrictEqual(before.config, after.config);
  const isOnlyLacking = before.problems.every(({ severity, kind }) => severity !== 'error' || kind === 'not-in-build');
  return !isOnlyLacking || isDeepStrictEqual(before.normalized, after.normalized);
}
