import { asSidecarError, type SidecarError } from '../error.ts';
import { readBrokerFlags } from './broker-flags.ts';
import { type Io, UsageError } from './command.ts';
import { COMMANDS, type LoadCommand } from './commands.ts';
import { EXIT } from './exit.ts';
import { commandHelp } from './help-text.ts';
import { parseArguments } from './parse.ts';
import { didYouMean } from './suggest.ts';

/** Runs one command line (without `node` and the script) and returns the exit code. Never rejects. */
export async function runCli(
  words: readonly string[],
  io: Io,
  commands: ReadonlyMap<string, LoadCommand> = COMMANDS,
): Promise<number> {
  try {
    return await dispatch(words, io, commands);
  } catch (thrown) {
    return report(thrown, words.includes('--json'), io);
  }
}

async function dispatch(words: readonly string[], io: Io, commands: ReadonlyMap<string, LoadCommand>): Promise<number> {
  const broker = readBrokerFlags(words);
  for (const note of broker?.notes ?? []) io.stderr.write(`secretless: ${note}\n`);
  const [name, ...rest] = broker?.argv ?? words;
  if (name === undefined) throw new UsageError('which command?');
  const load = commands.get(name);
  if (load === undefined) throw new UsageError(`unknown command ${name}${didYouMean(name, commands.keys())}`);
  const { command } = await load();
  const args = parseArguments(command, rest);
  if (args.help) {
    io.stdout.write(commandHelp(command));
    return EXIT.ok;
  }
  return command.run(args, io);
}

/** Standard error tells what went wrong, for whom to act, and what to do next. */
function report(thrown: unknown, json: boolean, io: Io): number {
  if (thrown instanceof UsageError) {
    const next = 'run `secretless help`';
    io.stderr.write(json ? errorLine('usage', thrown.message, next) : `secretless: ${thrown.message}\n${next}\n`);
    return EXIT.usage;
  }
  const error = asSidecarError(thrown);
  io.stderr.write(
    json ? errorLine(error.code, error.message, error.next) : `secretless: ${error.message}\n${nextStep(error)}`,
  );
  return error.fault === 'config' ? EXIT.config : EXIT.internal;
}

/** The reader is the operator: a hint to ask the operator would lead nowhere. */
function nextStep(error: SidecarError): string {
  return error.code === 'internal' ? '' : `${error.next}\n`;
}

function errorLine(code: string, message: string, next: string): string {
  return `${JSON.stringify({ error: { code, message, next } })}\n`;
}
