/**
 * As much of the Dockerfile language as ours uses, so that what is checked is the file itself and not a copy of its steps.
 * Whatever is not understood throws: a step that was skipped would make the check worthless.
 * Source: the Dockerfile reference of docs.docker.com.
 */
export interface Stage {
  readonly name: string | undefined;
  /** Of an earlier stage, or of an image. */
  readonly from: string;
  readonly platform: string | undefined;
  readonly steps: readonly Step[];
}

export type Step =
  | { readonly do: 'arg' | 'env' | 'label'; readonly pairs: readonly Pair[] }
  | { readonly do: 'workdir' | 'user' | 'expose' | 'stopsignal'; readonly value: string }
  | {
      readonly do: 'copy';
      readonly from: string | undefined;
      readonly chown: string | undefined;
      readonly sources: readonly string[];
      readonly to: string;
    }
  | { readonly do: 'run'; readonly mounts: readonly Mount[]; readonly argv: readonly string[] }
  | { readonly do: 'entrypoint' | 'cmd' | 'healthcheck'; readonly argv: readonly string[]; readonly flags: Flags };

export interface Pair {
  readonly name: string;
  /** Undefined for an `ARG` without default. */
  readonly value: string | undefined;
}

/** `--mount` of a `RUN`. */
export interface Mount {
  readonly type: 'cache' | 'secret';
  readonly target: string;
  readonly id: string | undefined;
}

export type Flags = ReadonlyMap<string, string>;

export interface Dockerfile {
  /** Before the first stage: what `FROM` may refer to. */
  readonly args: readonly Pair[];
  readonly stages: readonly Stage[];
}

/** Throws where a line is not understood. */
export function parseDockerfile(text: string): Dockerfile {
  const args: Pair[] = [];
  const stages: (Stage & { steps: Step[] })[] = [];
  for (const line of logicalLines(text)) {
    const [, word, rest] = /^([A-Za-z]+)\s+(.*)$/s.exec(line) ?? notUnderstood(line);
    const name = word!.toLowerCase();
    const current = stages.at(-1);
    if (name === 'from') stages.push(readStage(rest!));
    else if (current !== undefined) current.steps.push(readStep(name, rest!));
    else if (name === 'arg') args.push(...readPairs(rest!));
    else notUnderstood(line);
  }
  return { args, stages };
}

/** Comments and line ends gone: one instruction each. */
function logicalLines(text: string): string[] {
  const code = text
    .split('\n')
    .filter((line) => !/^\s*(?:#|$)/.test(line))
    .join('\n');
  return code
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => line.trim());
}

function readStage(rest: string): Stage & { steps: Step[] } {
  const { flags, words } = readFlags(rest, ['platform']);
  const [from, as, name] = words.split(/\s+/);
  if (as !== undefined && (as.toLowerCase() !== 'as' || name === undefined)) notUnderstood(rest);
  return { name, from: from!, platform: flags.get('platform'), steps: [] };
}

function readStep(name: string, rest: string): Step {
  switch (name) {
    case 'arg':
    case 'env':
    case 'label':
      return { do: name, pairs: readPairs(rest) };
    case 'workdir':
    case 'user':
    case 'expose':
    case 'stopsignal':
      return { do: name, value: rest };
    case 'copy':
      return readCopy(rest);
    case 'run':
      return readRun(rest);
    case 'entrypoint':
    case 'cmd':
      return { do: name, argv: readExec(rest), flags: new Map() };
    case 'healthcheck': {
      const { flags, words } = readFlags(rest, ['interval', 'timeout', 'start-period', 'retries']);
      return { do: name, argv: readExec(words.replace(/^CMD\s+/, '')), flags };
    }
    default:
      return notUnderstood(`${name} ${rest}`);
  }
}

function readCopy(rest: string): Step {
  const { flags, words } = readFlags(rest, ['from', 'chown']);
  const paths = words.split(/\s+/);
  const to = paths.pop()!;
  if (paths.length === 0 || words.includes('<<') || words.startsWith('[')) notUnderstood(rest);
  return { do: 'copy', from: flags.get('from'), chown: flags.get('chown'), sources: paths, to };
}

function readRun(rest: string): Step {
  const mounts: Mount[] = [];
  let command = rest;
  for (let match; (match = /^--mount=(\S+)\s+/.exec(command)) !== null; command = command.slice(match[0].length)) {
    const fields = new Map(match[1]!.split(',').map((field) => field.split('=') as [string, string]));
    const [type, target] = [fields.get('type'), fields.get('target')];
    if ((type !== 'cache' && type !== 'secret') || target === undefined) return notUnderstood(rest);
    mounts.push({ type, target, id: fields.get('id') });
  }
  if (command.startsWith('--')) return notUnderstood(rest);
  const argv = command.startsWith('[') ? readExec(command) : ['/bin/sh', '-c', command];
  return { do: 'run', mounts, argv };
}

/** The exec form: without a shell there is no other. */
function readExec(text: string): string[] {
  const words: unknown = text.startsWith('[') ? JSON.parse(text) : undefined;
  if (!Array.isArray(words) || !words.every((word) => typeof word === 'string')) return notUnderstood(text);
  return words;
}

function readFlags(text: string, known: readonly string[]): { flags: Flags; words: string } {
  const flags = new Map<string, string>();
  let words = text;
  for (let match; (match = /^--([a-z-]+)=(\S+)\s+/.exec(words)) !== null; words = words.slice(match[0].length)) {
    if (!known.includes(match[1]!)) notUnderstood(text);
    flags.set(match[1]!, match[2]!);
  }
  return { flags, words };
}

function readPairs(text: string): Pair[] {
  const pairs = [...text.matchAll(/([\w.-]+)(?:=("(?:[^"\\]|\\.)*"|\S*))?(?:\s+|$)/g)];
  if (pairs.map(([all]) => all).join('') !== text) return notUnderstood(text);
  return pairs.map(([, name, value]) => ({ name: name!, value: value?.replace(/^"(.*)"$/s, '$1') }));
}

/** `$NAME` and `${NAME}`. Throws for one that nobody set. */
export function expand(text: string, values: ReadonlyMap<string, string>): string {
  return text.replaceAll(/\$(?:\{(\w+)\}|(\w+))/g, (_, braced?: string, bare?: string) => {
    const name = (braced ?? bare)!;
    return values.get(name) ?? notUnderstood(`$${name}`);
  });
}

function notUnderstood(what: string): never {
  throw new Error(`Dockerfile: not understood: ${what}`);
}
