import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { loadConfig } from '../config/load.ts';
import { formatProblem } from '../config/problem.ts';
import { SidecarError } from '../error.ts';
import { compileUrlPattern } from '../http/match.ts';
import { CATALOG } from '../main.ts';
import { fromCloudSqlProxy } from '../migrate/cloud-sql-proxy.ts';
import { fromCyberArk, type Load, type Migrated } from '../migrate/cyberark.ts';
import { fromSigv4Proxy } from '../migrate/sigv4-proxy.ts';
import { checkRules } from '../policy/compile.ts';
import { stateFolder } from '../sidecar/state.ts';
import { visible } from '../telemetry/log-text.ts';
import { defineCommand, type Io, UsageError } from './command.ts';
import { EXIT } from './exit.ts';
import { didYouMean } from './suggest.ts';

/** Of a file to convert; the reader of configurations takes a quarter of it. */
const FILE_BYTES_MAX = 1024 * 1024;
const WORDS_MAX = 1000;
const SOURCES = ['cyberark', 'aws-sigv4-proxy', 'cloud-sql-proxy'] as const;
type Source = (typeof SOURCES)[number];

export const command = defineCommand({
  name: 'migrate',
  summary: 'convert the file or the flags of another tool into a configuration, with comments on what changed',
  usage: '[--from cyberark] file | --from aws-sigv4-proxy -- flags | --from cloud-sql-proxy -- flags and instances',
  positionals: WORDS_MAX,
  options: {
    from: { type: 'string', value: 'tool', meaning: `${SOURCES.join(', ')}; default: cyberark` },
    output: { type: 'string', short: 'o', value: 'file', meaning: 'write it to a new file, instead of printing it' },
    force: { type: 'boolean', meaning: 'with --output: replace a file that is there' },
  },
  run({ values, positionals }, io) {
    const { output } = values;
    if (values.force === true && output === undefined) throw new UsageError('--force is for --output');
    const { text, findings, problems } = migrated(sourceOf(values.from), positionals, io);
    for (const problem of problems) io.stderr.write(`${formatProblem(problem)}\n`);
    if (text === undefined) {
      throw new SidecarError('config-invalid', { detail: 'the file cannot be converted: mend what is named above' });
    }
    for (const { weight, path, text: said } of findings) {
      if (weight === 'note') continue;
      const place = path.length === 0 ? '' : `${path.join('.')}: `;
      io.stderr.write(`${visible(`${weight === 'todo' ? 'to do' : weight}: ${place}${said}`)}\n`);
    }
    if (output === undefined) io.stdout.write(text);
    else writeNew(resolve(output), text, values.force === true);
    return Promise.resolve(findings.some(({ weight }) => weight === 'todo') ? EXIT.config : EXIT.ok);
  },
});

function sourceOf(word = 'cyberark'): Source {
  const found = SOURCES.find((source) => source === word);
  if (found === undefined) throw new UsageError(`unknown tool ${word}${didYouMean(word, SOURCES)}`);
  return found;
}

function migrated(source: Source, words: readonly string[], io: Io): Migrated {
  switch (source) {
    case 'cyberark': {
      const [file, extra] = words;
      if (file === undefined) throw new UsageError('which file?');
      if (extra !== undefined) throw new UsageError('migrate takes one file');
      return fromCyberArk(read(file), loaderFor(resolve(file), io.env));
    }
    case 'aws-sigv4-proxy':
      return fromSigv4Proxy(words, loaderFor(resolve('secretless.yml'), io.env));
    case 'cloud-sql-proxy':
      return fromCloudSqlProxy(words, loaderFor(resolve('secretless.yml'), io.env));
    default:
      return source satisfies never;
  }
}

/** Errors: `config-invalid`. */
function read(file: string): string {
  try {
    if (statSync(file).size > FILE_BYTES_MAX) throw new Error('it is larger than 1 MiB');
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new SidecarError('config-invalid', { detail: `${file} cannot be read (${(cause as Error).message})`, cause });
  }
}

function loaderFor(file: string, env: NodeJS.ProcessEnv): Load {
  const options = { file, environment: env, home: stateFolder(env), catalog: CATALOG };
  return (text) => loadConfig(text, { ...options, checkPattern: compileUrlPattern, checkRules });
}

/** For its owner alone, as it may hold the literals of the original. Whole or not at all. Errors: `config-invalid`. */
function writeNew(file: string, text: string, force: boolean): void {
  const scratch = `${file}.${randomBytes(6).toString('hex')}`;
  try {
    if (!force) return writeFileSync(file, text, { mode: 0o600, flag: 'wx' });
    writeFileSync(scratch, text, { mode: 0o600, flag: 'wx' });
    renameSync(scratch, file);
  } catch (cause) {
    rmSync(scratch, { force: true });
    const isThere = (cause as NodeJS.ErrnoException).code === 'EEXIST';
    const why = isThere ? 'is there already: --force replaces it' : `cannot be written (${(cause as Error).message})`;
    throw new SidecarError('config-invalid', { detail: `${file} ${why}`, cause });
  }
}
