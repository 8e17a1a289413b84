import { type Document, isMap, isPair, isScalar, isSeq, LineCounter, type Pair, visit, type YAMLMap } from 'yaml';
import type { Problem } from '../config/problem.ts';
import type { Finding } from './finding.ts';
import { keyOf, parseTree } from './tree.ts';

type Place = readonly (string | number)[];

/** A text as a tree, with a way from the line and column of a problem to what it is about. */
export class Places {
  readonly document: Document;
  readonly #lines = new LineCounter();

  constructor(text: string) {
    this.document = parseTree(text, this.#lines);
  }

  /** Keys from the root down to what a problem is about; empty where it is about the whole. */
  placeOf(problem: Problem): Finding['path'] {
    const found = this.#beginningAt(problem);
    const joined = found.map((place) => [place, place.join('.')] as const);
    const exact = joined.find(([, path]) => path === problem.path);
    const above = joined.filter(([, path]) => problem.path.startsWith(`${path}.`)).at(-1);
    return (exact ?? above ?? joined[0] ?? [[]])[0];
  }

  /** The pair that an error on a key points at. */
  pairOf(problem: Problem): { readonly map: YAMLMap; readonly pair: Pair; readonly place: Place } | undefined {
    const offset = this.#offsetOf(problem);
    let found: { map: YAMLMap; pair: Pair; place: Place } | undefined;
    visit(this.document, {
      Pair: (_, pair, ancestors) => {
        const map = ancestors.at(-1);
        if (!isScalar(pair.key) || pair.key.range?.[0] !== offset || !isMap(map)) return undefined;
        if (!`.${problem.path}`.endsWith(`.${keyOf(pair)}`)) return undefined;
        found = { map, pair, place: placeIn(ancestors) };
        return visit.BREAK;
      },
    });
    return found;
  }

  #offsetOf({ line, column }: Problem): number {
    return (this.#lines.lineStarts[line - 1] ?? 0) + column - 1;
  }

  /** What begins there, outermost first: the value of a key begins where its own first key does. */
  #beginningAt(problem: Problem): Place[] {
    const offset = this.#offsetOf(problem);
    const found: Place[] = [];
    visit(this.document, (_, node, ancestors) => {
      if (!isScalar(node) && !isMap(node) && !isSeq(node)) return;
      if (node.range?.[0] === offset && node !== this.document.contents) found.push(placeIn([...ancestors, node]));
    });
    return found;
  }
}

function placeIn(ancestors: readonly unknown[]): Place {
  return ancestors.flatMap((node, at): (string | number)[] => {
    if (isPair(node)) return [keyOf(node)];
    const holder = ancestors[at - 1];
    return isSeq(holder) ? [holder.items.indexOf(node)] : [];
  });
}
