import { Type, type Static } from '../../schema.ts';
import type { Fetched, SecretStore } from '../../credential/store.ts';
import { SidecarError } from '../../error.ts';
import { defineProvider } from '../provider.ts';
import { readBytes, readSeconds, Seconds, Size } from '../quantity.ts';
import { runTool, toolEnvironment } from '../tool.ts';
import { commandFor, splitCommand } from './command-line.ts';

const Options = Type.Object(
  {
    command: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), {
        minItems: 1,
        description: 'Program and arguments; `{}` is replaced by the id, else the id is the last argument',
      }),
    ),
    environment: Type.Optional(
      Type.Array(Type.String({ pattern: '^[^=\\u0000]+$' }), {
        description: 'Names of variables to pass besides PATH, HOME, LANG and TMPDIR',
      }),
    ),
    timeout: Type.Optional(Seconds),
    outputBytes: Type.Optional(Size),
  },
  { additionalProperties: false },
);
type Options = Static<typeof Options>;

/** What a command prints. */
export const exec = defineProvider({
  name: 'exec',
  config: Options,
  checkId(id, options) {
    const line = argvOf(id, options?.command);
    return 'problem' in line ? line.problem : undefined;
  },
  open: (options) => new ExecStore(options),
});

function argvOf(id: string, command: readonly string[] | undefined) {
  if (command === undefined) return splitCommand(id);
  return id.includes('\0') ? { problem: 'an argument has no NUL' } : { argv: commandFor(command, id) };
}

class ExecStore implements SecretStore {
  readonly #options: Options;

  constructor(options: Options) {
    this.#options = options;
  }

  /** Arguments may hold an expanded `${VAR}`, and so may an assignment in the place of the program. */
  nameableId(id: string): string | undefined {
    if (this.#options.command !== undefined) return undefined;
    const line = splitCommand(id);
    return 'problem' in line || line.argv[0]!.includes('=') ? undefined : line.argv[0];
  }

  async fetch(id: string, signal: AbortSignal): Promise<Fetched> {
    const { command, environment = [], timeout = 10, outputBytes = '64KiB' } = this.#options;
    const line = argvOf(id, command);
    if ('problem' in line) throw new SidecarError('credential-missing', { detail: line.problem });
    const call = {
      argv: line.argv,
      environment: toolEnvironment(environment),
      timeoutSeconds: readSeconds(timeout),
      outputBytes: readBytes(outputBytes),
    };
    const { exitCode, output, complaint } = await runTool(call, signal);
    if (exitCode !== 0) {
      output.wipe();
      const end = exitCode === undefined ? 'the tool was ended by a signal' : `the tool ended with code ${exitCode}`;
      throw new SidecarError('credential-unavailable', { detail: complaint === '' ? end : `${end}: ${complaint}` });
    }
    // Sent on, an empty value would be a request without a credential.
    if (output.length === 0) throw new SidecarError('credential-missing', { detail: 'the tool printed nothing' });
    return { secret: output };
  }

  async close(): Promise<void> {}
}
