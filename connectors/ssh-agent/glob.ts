/** Whether one of the patterns is the whole text; `*` stands for any run of characters. Case-sensitive. */
export function isAnyOf(patterns: readonly string[], text: string): boolean {
  return patterns.some((pattern) => isMatch(pattern, text));
}

/** The parts between the stars are looked for once each, from left to right: linear, whatever the pattern. */
function isMatch(pattern: string, text: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
  const end = text.length - last.length;
  let at = first.length;
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found === -1 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
