import { UsageError } from './command.ts';
import { didYouMean } from './suggest.ts';

/** What became of a command line without a command. */
export interface BrokerLine {
  /** The same in our own words, the command first. */
  readonly argv: readonly string[];
  /** One line for each flag that has no effect here. */
  readonly notes: readonly string[];
}

type FlagKind = 'value' | 'switch' | 'ignored-value' | 'ignored-switch' | 'command';

/** The flags of CyberArk Secretless Broker v2 (its cmd/secretless-broker). */
const FLAGS: Readonly<Record<string, FlagKind>> = {
  f: 'value',
  watch: 'switch',
  debug: 'switch',
  version: 'command',
  help: 'command',
  h: 'command',
  'config-mgr': 'ignored-value',
  p: 'ignored-value',
  s: 'ignored-value',
  profile: 'ignored-value',
  'graceful-exit': 'ignored-switch',
};

const WHY_IGNORED: Readonly<Record<string, string>> = {
  'config-mgr': 'name the configuration file with -f',
  p: 'connectors are part of the build',
  s: 'connectors are part of the build',
  profile: 'use the profiler of Node',
  'graceful-exit': 'every end is graceful',
};

/**
 * Reads `secretless -f secretless.yml -watch` as its predecessor did: one dash or two, `-flag value` or `-flag=value`,
 * switches with `=true` or `=false` (Go's flag package). Undefined where the line begins with no flag.
 * Errors: `UsageError`.
 */
export function readBrokerFlags(words: readonly string[]): BrokerLine | undefined {
  if (words[0]?.startsWith('-') !== true) return undefined;
  const argv = ['start'];
  const notes: string[] = [];
  const left = [...words];
  for (let word = left.shift(); word !== undefined; word = left.shift()) {
    const [, name = '', inline] = /^--?([^=]*)(?:=(.*))?$/s.exec(word) ?? [];
    const kind = Object.hasOwn(FLAGS, name) ? FLAGS[name] : undefined;
    if (kind === undefined) throw new UsageError(unknownFlag(word, name));
    const takesValue = kind === 'value' || kind === 'ignored-value';
    const value = takesValue ? (inline ?? left.shift()) : inline;
    if (takesValue && value === undefined) throw new UsageError(`-${name} needs a value`);
    if (kind === 'command') return { argv: [name === 'version' ? 'version' : 'help'], notes };
    if (kind.startsWith('ignored')) notes.push(`-${name} has no effect: ${WHY_IGNORED[name]}`);
    else if (kind === 'value') argv.push(`-${name}`, value!);
    else if (isOn(name, value)) argv.push(`--${name}`);
  }
  return { argv, notes };
}

function unknownFlag(word: string, name: string): string {
  if (!word.startsWith('-')) return `unexpected "${word}": a command comes first, then its options`;
  return `unknown option ${word}${didYouMean(name, Object.keys(FLAGS), '-')}: options of a command follow its name`;
}

/** Words of Go's strconv.ParseBool. */
function isOn(name: string, value: string | undefined): boolean {
  if (value === undefined || /^(1|t|true)$/i.test(value)) return true;
  if (/^(0|f|false)$/i.test(value)) return false;
  throw new UsageError(`-${name} is true or false, not "${value}"`);
}
