/** Says what is wrong with a key of a rule: `['ssh', 'git', 'push']`. */
export type Report = (keys: readonly string[], message: string) => void;

/** Compiles what stands at a key of `whole`; reports what is wrong with it, under `above`, and answers undefined. */
export function partsOf<Whole>(whole: Whole, above: readonly string[], report: Report) {
  return <Key extends keyof Whole & string, Result>(
    key: Key,
    compile: (source: NonNullable<Whole[Key]>) => Result,
  ): Result | undefined => {
    const source = whole[key];
    if (source === undefined || source === null) return undefined;
    try {
      if (Array.isArray(source) && source.length === 0) throw new Error('is empty, so the rule could never match');
      return compile(source);
    } catch (thrown) {
      report([...above, key], thrown instanceof Error ? thrown.message : String(thrown));
      return undefined;
    }
  };
}

export function checkedBoolean(value: boolean): boolean {
  if (typeof value === 'boolean') return value;
  throw new Error('is true or false');
}
