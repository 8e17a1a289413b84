/** What a command may touch besides the sidecar's own parts: so that tests run it in-process. */
export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: NodeJS.ProcessEnv;
  /** Whether a person reads standard output. */
  readonly isTTY: boolean;
  /** Ends commands that wait; absent: a signal of the system does. */
  readonly signal?: AbortSignal;
}

export interface Output {
  write(text: string): unknown;
}

export interface OptionSpec {
  readonly type: 'boolean' | 'string';
  readonly short?: string;
  /** May be given again; the value is a list. */
  readonly multiple?: boolean;
  /** Placeholder of the value in the help: `seconds`. */
  readonly value?: string;
  /** Noun phrase for the help. */
  readonly meaning: string;
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

type ValueOf<Spec extends OptionSpec> = Spec['type'] extends 'boolean' ? boolean : string;
type Values<Specs extends OptionSpecs> = {
  readonly [Name in keyof Specs]?: Specs[Name] extends { multiple: true }
    ? readonly ValueOf<Specs[Name]>[]
    : ValueOf<Specs[Name]>;
};

export interface Arguments<Specs extends OptionSpecs = OptionSpecs> {
  readonly values: Values<Specs>;
  readonly positionals: readonly string[];
  /** What follows `--`, of a command that has `program`. */
  readonly program: readonly string[];
}

/** One file in this folder, one line in `commands.ts`. */
export interface Command<Specs extends OptionSpecs = OptionSpecs> {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What follows the name: `[file] [--json]`. */
  readonly usage: string;
  /** `--help` exists besides. */
  readonly options: Specs;
  /** Arguments without a dash, at most; default 0. */
  readonly positionals?: number;
  /** The words of another program follow `--`, which must be there: `required` one at least. */
  readonly program?: 'required';
  /** Returns the exit code. Throws `UsageError` (64), `SidecarError` of fault `config` (78), anything else (70). */
  run(args: Arguments<Specs>, io: Io): Promise<number>;
}

/** Keeps the option names, so that `args.values.typo` does not compile. */
export function defineCommand<const Specs extends OptionSpecs>(command: Command<Specs>): Command {
  return command;
}

/** The command line was wrong. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** For commands that machines read as well. */
export const JSON_OPTION = { type: 'boolean', meaning: 'JSON instead of text' } as const;
