import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readBrokerFlags } from '../src/cli/broker-flags.ts';
import type { Command } from '../src/cli/command.ts';
import { COMMANDS } from '../src/cli/commands.ts';
import { EXIT } from '../src/cli/exit.ts';
import { parseArguments } from '../src/cli/parse.ts';
import { ERRORS, type ErrorCode } from '../src/error.ts';
import { OUTCOMES, openMetrics } from '../src/telemetry/metrics.ts';
import { codeBlocks, codeSpans, deadLinks, document, documents, root, tableRows } from './documents.ts';

const commandPage = document('docs/commands.md').text;

/** Text of every source file below a folder, tests left out. */
function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && !name.includes('testdata'))
    .map((name) => readFileSync(join(root, folder, name), 'utf8'));
}

describe('links', () => {
  test.each(documents().map((each) => [each.file, each] as const))('those of %s lead somewhere', (_, each) => {
    expect(deadLinks(each)).toEqual([]);
  });

  test('one that leads nowhere is found, a file and a heading', () => {
    const text =
      '# One\n[a](gone.md) [b](#two) [c](#one) [d](README.md) [e](src/error.ts#x) [f](../x) [g](https://x.y)';
    expect(deadLinks({ file: 'x.md', text })).toEqual(['gone.md', '#two', 'src/error.ts#x', '../x']);
  });
});

describe('the command line', async () => {
  const loaded = await Promise.all([...COMMANDS.values()].map((load) => load()));
  const commands = new Map(loaded.map(({ command }) => [command.name, command]));

  /** Commands in a document that would not be accepted. */
  function refusedCommands(text: string): string[] {
    const lines = [
      // What is printed may begin with the name of the program too.
      ...codeBlocks(text).flatMap(({ language, code }) => (language === 'text' ? [] : code.split('\n'))),
      ...codeSpans(text).filter((code) => !/^secretless[\w-]*$/.test(code)),
    ];
    return lines.flatMap((line) => {
      const [, words] = /(?:^|\s)secretless(?: --)? +((?!#|--(?:['\s]|$))\S.*)$/.exec(line) ?? [];
      const short = commands.has(line.split(' ')[0]!) && line.includes(' --') ? line : undefined;
      return [words ?? short].flatMap((command) => (command === undefined || isAccepted(command) ? [] : [command]));
    });
  }

  function isAccepted(line: string): boolean {
    const words = line
      .replace(/\s+(?:#.*|(?:\d?>\s*\S+\s*)?&?)$/, '')
      .replaceAll(/[\u005b\u005d]/g, '')
      .split(/\s+/);
    try {
      const [name = '', ...rest] = readBrokerFlags(words)?.argv ?? words;
      const command = commands.get(name);
      if (command === undefined) return false;
      // A text may speak of `secretless run` without naming a program.
      const given = command.program === 'required' && !rest.includes('--') ? [...rest, '--', 'program'] : rest;
      parseArguments(command, given);
      return true;
    } catch {
      return false;
    }
  }

  test.each(documents().map(({ file, text }) => [file, text] as const))('every command in %s exists', (_, text) => {
    expect(refusedCommands(text)).toEqual([]);
  });

  test('a command or option that does not exist is found', () => {
    const text = '`secretless chek` `check --gramar`\n```sh\nx=1 secretless start -f a --wach  # comment\n```\n';
    expect(refusedCommands(text).sort()).toEqual(['chek', 'check --gramar', 'start -f a --wach  # comment'].sort());
    expect(refusedCommands('`secretless -f a -watch` `secretless ledger tail`')).toEqual([]);
  });

  test('every command is in the table of its page, with every option it has and no other', () => {
    const table = new Map(
      tableRows(commandPage, 'command').map((cells) => [codeSpans(cells[0]!)[0], codeSpans(cells[1]!).sort()]),
    );
    expect(table).toEqual(new Map([...commands].map(([name, command]) => [name, optionsOf(command)])));
  });

  function optionsOf(command: Command): string[] {
    const options = Object.entries(command.options);
    return options.flatMap(([name, { short }]) => [`--${name}`, ...(short === undefined ? [] : [`-${short}`])]).sort();
  }

  test('every exit code is on the page of commands', () => {
    expect(tableRows(commandPage, 'exit code').map(([code]) => Number(code))).toEqual(Object.values(EXIT));
  });
});

describe('names from elsewhere', () => {
  const { scripts } = JSON.parse(document('package.json').text) as { scripts: Record<string, string> };

  /** Scripts of npm that a document runs and the package does not have. */
  function unknownScripts(text: string): string[] {
    const code = [...codeBlocks(text).map(({ code: block }) => block), ...codeSpans(text)].join('\n');
    const run = [...code.matchAll(/npm (?:run (?:-s )?)?([a-z]+)/g)].map(([, name]) => name!);
    return run.filter((name) => !['ci', 'install', 'prefix'].includes(name) && !Object.hasOwn(scripts, name));
  }

  test('every script of npm that a document runs exists', () => {
    expect(documents().flatMap(({ text }) => unknownScripts(text))).toEqual([]);
    expect(unknownScripts('`npm run -s tset` `npm ci && npm test`')).toEqual(['tset']);
  });

  test('the page of commands names every variable of the environment that is ours, and no other', () => {
    const ours = (text: string): string[] => [...new Set(text.match(/\bSECRETLESS_[A-Z_]+/g))].sort();
    expect(ours(commandPage)).toEqual(ours(sources('src').join('\n')));
  });
});

describe('error codes', () => {
  const parts = [
    'src/http',
    'src/policy',
    'src/credential',
    'src/providers',
    'src/ledger',
    'src/connector',
    'src/upstream',
    'src/egress',
    'connectors',
  ];

  /** What an exchange may end with: the codes named by the parts it passes, and by a listener that turns it away. */
  function heard(): ErrorCode[] {
    const passed = parts.flatMap(sources).join('\n');
    const turnedAway = sources('src/sidecar').flatMap((text) => text.match(/turnAway\([^)]*\)/g) ?? []);
    const text = `${passed}\n${turnedAway.join('\n')}`;
    return (Object.keys(ERRORS) as ErrorCode[]).filter((code) => code === 'internal' || text.includes(`'${code}'`));
  }

  test('those that a downstream may hear are on the page of HTTP, as they are spoken, and no others', () => {
    const rows = heard().map((code) => {
      const { status, fault, sentence } = ERRORS[code];
      return [`\`${code}\``, String(status), fault, sentence];
    });
    expect(tableRows(document('docs/http.md').text, 'code')).toEqual(rows);
  });

  test('a code that only the operator meets is not taken for one that a downstream hears', () => {
    expect(heard()).not.toContain('not-running');
    expect(heard()).toEqual(expect.arrayContaining(['no-service', 'connections-exhausted', 'credential-missing']));
  });

  const stems = [...new Set(Object.keys(ERRORS).map((code) => code.split('-')[0]!))].join('|');
  const ends = 'ambiguous|closed|denied|invalid|limited|malformed|missing|paused|refused|timeout|unavailable|unfit';
  const likeCode = new RegExp(`^(${stems})-(\\w+-)?(${ends})$`);
  const unknownCodes = (text: string) =>
    codeSpans(text).filter((span) => likeCode.test(span) && !Object.hasOwn(ERRORS, span));

  test.each(documents().map(({ file, text }) => [file, text] as const))('every code in %s exists', (_, text) => {
    expect(unknownCodes(text)).toEqual([]);
  });

  test('a code that does not exist is found', () => {
    expect(unknownCodes('`credential-lost` `credential-invalid` `provider-tool-missing`')).toEqual([
      'credential-invalid',
    ]);
  });
});

describe('metrics', () => {
  test('those exposed are on the page of operations with their type and labels, and no others', async () => {
    const metrics = openMetrics({ version: '1.2.3' });
    metrics.watchLedger(() => ({ up: true, lagEvents: 0 }));
    metrics.listener('tcp://127.0.0.1:1').opened();
    metrics.tunnels('tcp://127.0.0.1:1').asked('spliced');
    for (const outcome of OUTCOMES) metrics.service('one').ended(outcome, 0.1, 0.1);
    metrics.provider('env').fetched('ok', 0.1);
    const { text } = await metrics.scrape();
    const exposed = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [
      name,
      type,
      labelsOf(name!, text),
    ]);
    const told = tableRows(document('docs/operations.md').text, 'metric').flatMap(([names, type, labels]) =>
      codeSpans(names!).map((name) => [name, type, codeSpans(labels!).sort()]),
    );
    expect(told.sort()).toEqual(exposed.sort());
  });

  function labelsOf(name: string, text: string): string[] {
    const [, labels = ''] = new RegExp(`^${name}(?:_bucket|_sum|_count)?\\{([^}]*)\\}`, 'm').exec(text) ?? [];
    const found = [...labels.matchAll(/(\w+)="/g)].map(([, label]) => label!);
    return found.filter((label) => label !== 'le').sort();
  }
});
