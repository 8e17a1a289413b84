import { parseArgs } from 'node:util';
import { type Arguments, type Command, UsageError } from './command.ts';
import { didYouMean } from './suggest.ts';

/** Arguments of one command. Errors: `UsageError`. */
export function parseArguments(command: Command, argv: readonly string[]): Arguments & { readonly help: boolean } {
  const options = { ...command.options, help: { type: 'boolean', short: 'h', meaning: 'this text' } as const };
  const names = Object.keys(options);
  const { ours, program } = command.program === undefined ? { ours: argv, program: [] } : parted(argv);
  const parsed = strictly(names, () =>
    parseArgs({ args: withDoubleDashes(ours, names), options, allowPositionals: true, strict: true }),
  );
  const { help, ...values } = parsed.values as Record<string, string | boolean | undefined>;
  const most = command.positionals ?? 0;
  const extra = parsed.positionals[most];
  if (command.program !== undefined && program.length === 0 && help !== true) {
    throw new UsageError(`put \`--\` in front of the program: secretless ${command.name} -- ${extra ?? 'curl'} …`);
  }
  if (extra !== undefined && help !== true) {
    throw new UsageError(
      `${command.name} takes ${most === 0 ? 'no' : `at most ${most}`} arguments, "${extra}" is one more`,
    );
  }
  return {
    values: values as Arguments['values'],
    positionals: parsed.positionals,
    program,
    help: help === true,
  };
}

/** Options of the other program are none of ours. */
function parted(argv: readonly string[]): { ours: readonly string[]; program: readonly string[] } {
  const at = argv.indexOf('--');
  return at < 0 ? { ours: argv, program: [] } : { ours: argv.slice(0, at), program: argv.slice(at + 1) };
}

/** `-watch` as `--watch`, the way Go programs spell it; only where an option of that name exists. */
function withDoubleDashes(argv: readonly string[], names: readonly string[]): string[] {
  const end = argv.indexOf('--');
  return argv.map((word, at) => {
    const name = /^-([a-z][a-z-]+)(?:=|$)/.exec(word)?.[1];
    return name !== undefined && names.includes(name) && (end < 0 || at < end) ? `-${word}` : word;
  });
}

function strictly<Parsed>(names: readonly string[], parse: () => Parsed): Parsed {
  try {
    return parse();
  } catch (thrown) {
    const { code, message } = thrown as NodeJS.ErrnoException;
    if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') {
      const option = /'(-[^']*)'/.exec(message)?.[1] ?? '';
      throw new UsageError(`unknown option ${option}${didYouMean(option.replace(/^-+/, ''), names, '--')}`);
    }
    if (code?.startsWith('ERR_PARSE_ARGS') !== true) throw thrown;
    throw new UsageError(message.split(/[.\n]/, 1)[0]);
  }
}
