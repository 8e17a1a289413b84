export type CommandLine = { readonly argv: readonly string[] } | { readonly problem: string };

/**
 * Splits a command at blanks. What stands in '…' or "…" is taken as it is, and nothing is ever expanded.
 *
 * What a shell would act on is refused outside quotes, since whoever writes a pipe there expects one.
 */
export function splitCommand(command: string): CommandLine {
  const argv: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (const character of command) {
    if (quote !== undefined) {
      if (character === quote) quote = undefined;
      else word += character;
    } else if (character === '"' || character === "'") {
      quote = character;
      word ??= '';
    } else if (/\s/.test(character)) {
      if (word !== undefined) argv.push(word);
      word = undefined;
    } else if ('|&;<>$`\\'.includes(character)) {
      return { problem: `no shell reads this command, so \`${character}\` does nothing; quote it to pass it as it is` };
    } else {
      word = (word ?? '') + character;
    }
  }
  if (quote !== undefined) return { problem: `the quote ${quote} is not closed` };
  if (word !== undefined) argv.push(word);
  if (argv[0] === undefined || argv[0] === '') return { problem: 'a command is needed' };
  if (command.includes('\0')) return { problem: 'a command has no NUL' };
  return { argv };
}

/** The command of a named store with the id put in: in place of each `{}`, or at the end. */
export function commandFor(command: readonly string[], id: string): readonly string[] {
  const [tool, ...given] = command;
  const hasPlace = given.some((argument) => argument.includes('{}'));
  const placed = given.map((argument) => argument.replaceAll('{}', () => id));
  return hasPlace || id === '' ? [tool!, ...placed] : [tool!, ...placed, id];
}
