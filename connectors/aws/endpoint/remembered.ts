/**
 * A pure function of a short text that keeps what it found. Texts may come from agents: there are never more than
 * `countMax` of them, after which it begins anew.
 */
export function remembered<Value>(countMax: number, find: (text: string) => Value): (text: string) => Value {
  const found = new Map<string, Value>();
  return (text) => {
    const known = found.get(text);
    if (known !== undefined || found.has(text)) return known!;
    const value = find(text);
    if (found.size >= countMax) found.clear();
    found.set(text, value);
    return value;
  };
}
