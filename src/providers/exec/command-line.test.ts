import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { commandFor, splitCommand } from './command-line.ts';

describe('a command is split', () => {
  const cases: Readonly<Record<string, readonly string[]>> = {
    'gh auth token': ['gh', 'auth', 'token'],
    '  gh \t auth\n token ': ['gh', 'auth', 'token'],
    'op read "op://vault/my item/field"': ['op', 'read', 'op://vault/my item/field'],
    "jq -r '.a | .b'": ['jq', '-r', '.a | .b'],
    'a "it\'s" \'say "x"\'': ['a', "it's", 'say "x"'],
    'a --key="x y"z': ['a', '--key=x yz'],
    'a "" b': ['a', '', 'b'],
    "a '$HOME' '*' '`x`' '\\n'": ['a', '$HOME', '*', '`x`', '\\n'],
    'a ~ * ?': ['a', '~', '*', '?'],
  };
  for (const [command, argv] of Object.entries(cases)) {
    it(JSON.stringify(command), () => expect(splitCommand(command)).toEqual({ argv }));
  }

  it('and any words that were quoted come back as they were', () => {
    const word = fc.string().filter((text) => !/['\0]/.test(text));
    fc.assert(
      fc.property(fc.array(word, { minLength: 1 }), (words) => {
        fc.pre(words[0] !== '');
        expect(splitCommand(words.map((text) => `'${text}'`).join(' '))).toEqual({ argv: words });
      }),
    );
  });
});

describe('a command is refused', () => {
  for (const command of ['', '  ', '""', 'a "b', "a 'b", 'a\0', 'a | b', 'a $(b)', 'a `b`', 'a; b', 'a > b', 'a\\ b']) {
    it(JSON.stringify(command), () => expect(splitCommand(command)).toHaveProperty('problem'));
  }
});

describe('the id of a named store', () => {
  it('takes the place of every {}', () => {
    expect(commandFor(['op', 'read', '{}', '--x={}/{}'], 'id')).toEqual(['op', 'read', 'id', '--x=id/id']);
  });

  it('is the last argument where there is no {}', () => {
    expect(commandFor(['op', 'read'], 'a b')).toEqual(['op', 'read', 'a b']);
    expect(commandFor(['op', 'read'], '')).toEqual(['op', 'read']);
  });

  it('is never read as a pattern of the replacement, and never names the tool', () => {
    expect(commandFor(['a', '[{}]'], '$& {}')).toEqual(['a', '[$& {}]']);
    expect(commandFor(['{}', 'x'], 'rm')).toEqual(['{}', 'x', 'rm']);
  });
});
