import { type Document, isMap, type Pair, visit, type YAMLMap } from 'yaml';
import type { Problem } from '../config/problem.ts';
import { finding, type Finding } from './finding.ts';
import { Places } from './places.ts';
import { bare, keyOf, mapsOf, pairOf, removePair, textOf, valueOf } from './tree.ts';

/** Of keys that are written twice the last counts, as it always did; two of them are an error here. */
export function dropDuplicates(document: Document, findings: Finding[]): void {
  visit(document, {
    Map: (_, map, ancestors) => {
      const last = new Map(map.items.map((pair) => [keyOf(pair), pair]));
      if (last.size === map.items.length) return;
      map.items = map.items.filter((pair) => last.get(keyOf(pair)) === pair);
      const path = ancestors.filter((each): each is Pair => 'key' in each).map(keyOf);
      findings.push(finding('warning', path, 'a key was written twice here: the last one counted, and is left'));
    },
  });
}

/** `protocol`, the old word for `connector`, and the strategy that stood for one. */
export function renameProtocols(document: Document, findings: Finding[]): void {
  for (const [name, service] of servicesOf(document)) {
    const protocol = pairOf(service, 'protocol');
    if (protocol === undefined) continue;
    if (pairOf(service, 'connector') !== undefined) {
      removePair(service, protocol);
      findings.push(finding('note', ['services', name], '`protocol` beside `connector` had no effect: left out'));
      continue;
    }
    if (textOf(protocol.value) === 'http') {
      const config = valueOf(service, 'config');
      const strategy = pairOf(config, 'authenticationStrategy');
      if (!isMap(config) || strategy === undefined) continue;
      protocol.value = strategy.value;
      removePair(config, strategy);
    }
    const key = bare('connector');
    Object.assign(key, commentsOf(protocol));
    protocol.key = key;
    findings.push(finding('note', ['services', name, 'connector'], 'was `protocol`, the old word'));
  }
}

function commentsOf({ key }: Pair): { commentBefore?: string; comment?: string; spaceBefore?: boolean } {
  const { commentBefore, comment, spaceBefore } = key as {
    commentBefore?: string | null;
    comment?: string | null;
    spaceBefore?: boolean;
  };
  return {
    ...(commentBefore == null ? {} : { commentBefore }),
    ...(comment == null ? {} : { comment }),
    ...(spaceBefore === undefined ? {} : { spaceBefore }),
  };
}

/** Services by name, in the order of the file; those of a list too. */
export function servicesOf(document: Document): [name: string, service: YAMLMap][] {
  const services = valueOf(document.contents, 'services');
  if (isMap(services)) {
    return services.items.flatMap((pair): [string, YAMLMap][] =>
      isMap(pair.value) ? [[keyOf(pair), pair.value]] : [],
    );
  }
  return mapsOf(services).map(({ map }) => [textOf(valueOf(map, 'name')) ?? '', map]);
}

/**
 * Takes keys out that are unknown and like no known one: there they had no effect, here they are errors. One that looks
 * like a known key stays, and stays an error: somebody meant something by it. Undefined where nothing was taken out.
 */
export function dropUnknown(
  text: string,
  problems: readonly Problem[],
): { readonly document: Document; readonly findings: readonly Finding[] } | undefined {
  const places = new Places(text);
  const found = problems.flatMap((problem) => {
    const isUnknown = problem.severity === 'error' && /^unknown (?:key|credential) /.test(problem.message);
    const at = isUnknown && problem.suggestion === undefined ? places.pairOf(problem) : undefined;
    return at === undefined ? [] : [at];
  });
  if (found.length === 0) return undefined;
  const findings = found.map(({ map, pair, place }) => {
    removePair(map, pair);
    return finding(
      'warning',
      place,
      `the key ${JSON.stringify(keyOf(pair))} had no effect, and is an error here: left out`,
    );
  });
  return { document: places.document, findings };
}
