/** `switch` takes no value; `value` takes one, behind a blank or `=`. */
export interface FlagSpec {
  readonly kind: 'switch' | 'value';
  readonly short?: string;
}

export interface GivenFlag {
  readonly name: string;
  /** Of a switch `true` or `false`. */
  readonly value: string;
}

export interface CommandLine {
  readonly flags: readonly GivenFlag[];
  readonly positionals: readonly string[];
  /** Flags that the tool does not have, without the values they were given. */
  readonly unknown: readonly string[];
  /** Flags at the end of the line that lack their value. */
  readonly incomplete: readonly string[];
}

/**
 * A command line as Go's kingpin and pflag read one: `--name value`, `--name=value`, `-n value`, `-nvalue`, switches of
 * one letter in a row, and everything behind `--` as it is. `--no-name` is `--name=false` of a switch.
 */
export function readFlags(words: readonly string[], specs: Readonly<Record<string, FlagSpec>>): CommandLine {
  const reader = new FlagReader(words, specs);
  reader.read();
  return reader;
}

class FlagReader implements CommandLine {
  readonly flags: GivenFlag[] = [];
  readonly positionals: string[] = [];
  readonly unknown: string[] = [];
  readonly incomplete: string[] = [];
  readonly #left: string[];
  readonly #specs: Readonly<Record<string, FlagSpec>>;

  constructor(words: readonly string[], specs: Readonly<Record<string, FlagSpec>>) {
    this.#left = [...words];
    this.#specs = specs;
  }

  read(): void {
    for (let word = this.#left.shift(); word !== undefined; word = this.#left.shift()) {
      if (word === '--') {
        this.positionals.push(...this.#left.splice(0));
      } else if (word.startsWith('--')) {
        const [name = '', inline] = split(word.slice(2));
        this.#long(name, inline);
      } else if (word.startsWith('-') && word.length > 1) this.#short(word.slice(1));
      else this.positionals.push(word);
    }
  }

  #long(name: string, inline: string | undefined): void {
    const spec = this.#find(name);
    const positive = /^no-(.+)$/.exec(name)?.[1];
    if (spec !== undefined) this.#take(name, spec, inline);
    else if (positive !== undefined && this.#find(positive)?.kind === 'switch') {
      this.flags.push({ name: positive, value: 'false' });
    } else this.unknown.push(`--${name}`);
  }

  #short(letters: string): void {
    const [letter] = letters;
    const found = Object.entries(this.#specs).find(([, { short }]) => short === letter);
    const rest = letters.slice(letter!.length);
    if (found === undefined) return void this.unknown.push(`-${letter}`);
    const [name, spec] = found;
    if (spec.kind === 'value') return this.#take(name, spec, rest === '' ? undefined : rest.replace(/^=/, ''));
    this.flags.push({ name, value: 'true' });
    if (rest !== '') this.#short(rest);
  }

  #take(name: string, { kind }: FlagSpec, inline: string | undefined): void {
    const value = inline ?? (kind === 'switch' ? 'true' : this.#left.shift());
    if (value === undefined) this.incomplete.push(`--${name}`);
    else this.flags.push({ name, value });
  }

  #find(name: string): FlagSpec | undefined {
    return Object.hasOwn(this.#specs, name) ? this.#specs[name] : undefined;
  }
}

function split(word: string): [name: string, value: string | undefined] {
  const at = word.indexOf('=');
  return at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}

/** What was given, by name. */
export class Given {
  readonly #flags: readonly GivenFlag[];

  constructor({ flags }: CommandLine) {
    this.#flags = flags;
  }

  /** The last value; an empty one is none. */
  value(name: string): string | undefined {
    const last = this.all(name).at(-1);
    return last === '' ? undefined : last;
  }

  all(name: string): string[] {
    return this.#flags.filter((flag) => flag.name === name).map(({ value }) => value);
  }

  /** Words of Go's strconv.ParseBool. */
  isOn(name: string): boolean {
    return /^(1|t|true)$/i.test(this.value(name) ?? '');
  }

  names(): ReadonlySet<string> {
    return new Set(this.#flags.map(({ name }) => name));
  }
}

/** Words without the name of the program, where somebody left it in front. */
export function withoutProgram(words: readonly string[], program: string): readonly string[] {
  const [first = ''] = words;
  return first === program || first.endsWith(`/${program}`) ? words.slice(1) : words;
}
