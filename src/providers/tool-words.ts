const COMPLAINT_CHARACTERS_MAX = 200;
/** A shorter run of characters (`token`, `error`) is a word of any language and gives no secret away. */
const RUN_CHARACTERS_MIN = 6;

/**
 * A tool's stderr as one short line. A sentence stands in its place where it shares a run of `RUN_CHARACTERS_MIN` characters
 * with its output or with what it was given (arguments, variables), or repeats a shorter output whole.
 */
export function printable(complaint: string, output: string, given: readonly string[] = []): string {
  const line = onOneLine(complaint);
  // A little longer than what is shown, so that a run which the cut goes through is seen.
  const looked = line.slice(0, COMPLAINT_CHARACTERS_MAX + RUN_CHARACTERS_MIN - 1);
  const whole = onOneLine(output);
  const repeats = (whole !== '' && line.includes(whole)) || [output, ...given].some((text) => sharesRun(looked, text));
  if (repeats) return 'its complaint is left out because it repeats its output or what it was given';
  return line.slice(0, COMPLAINT_CHARACTERS_MAX);
}

/** Compared once as one line and once without blanks, since a tool may break its lines anywhere. */
function sharesRun(line: string, text: string): boolean {
  return runShared(line, onOneLine(text)) || runShared(line.replaceAll(' ', ''), onOneLine(text).replaceAll(' ', ''));
}

function runShared(line: string, text: string): boolean {
  const runs = new Set<string>();
  for (let at = 0; at + RUN_CHARACTERS_MIN <= line.length; at += 1) runs.add(line.slice(at, at + RUN_CHARACTERS_MIN));
  for (let at = 0; at + RUN_CHARACTERS_MIN <= text.length; at += 1) {
    if (runs.has(text.slice(at, at + RUN_CHARACTERS_MIN))) return true;
  }
  return false;
}

function onOneLine(text: string): string {
  return text.replace(/[\p{C}\s]+/gu, ' ').trim();
}
