/**
 * `note`: written another way, or worth knowing. `warning`: acts differently from before. `todo`: by hand, before the
 * file works as the original did, or is as safe.
 */
export type Weight = 'note' | 'warning' | 'todo';

/** One thing to say about a conversion: a comment in the file, and from `warning` on a line on standard error. */
export interface Finding {
  readonly weight: Weight;
  /** One sentence, lower case, no full stop. Never holds a value of the original, which may be a secret. */
  readonly text: string;
  /** Keys from the root of the converted file down; the deepest that is there gets the comment. Empty: the top. */
  readonly path: readonly (string | number)[];
}

export function finding(weight: Weight, path: Finding['path'], text: string): Finding {
  return { weight, path, text };
}

/** Each once: of parts that several services share, all of them speak. */
export function distinct(findings: readonly Finding[]): Finding[] {
  return [...new Map(findings.map((each) => [JSON.stringify([each.path, each.text]), each])).values()];
}
