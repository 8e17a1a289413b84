import fc from 'fast-check';
import { SidecarError } from 'secretless-sidecar/connector';
import { describe, expect, test } from 'vitest';
import { compileTemplate, TemplateProblem, type CredentialTexts } from './template.ts';

const VALUES = { user: 'Jonah', pass: 's3cr&t <"\'>', empty: '', uni: 'héé', 'a-b': 'hyphen' };

function textsOf(values: Readonly<Record<string, string>>): CredentialTexts {
  return {
    names: Object.keys(values),
    text(name) {
      const value = Object.hasOwn(values, name) ? values[name] : undefined;
      if (value === undefined) throw new SidecarError('credential-missing', { detail: `credential "${name}"` });
      return value;
    },
  };
}

function render(source: string, values: Readonly<Record<string, string>> = VALUES): string {
  return compileTemplate(source).render(textsOf(values));
}

function problemOf(source: string): string {
  try {
    compileTemplate(source);
  } catch (error) {
    if (error instanceof TemplateProblem) return error.message;
    throw error;
  }
  return 'none';
}

function codeOf(source: string, values: Readonly<Record<string, string>> = VALUES): string {
  try {
    render(source, values);
  } catch (error) {
    return error instanceof SidecarError ? error.code : 'another error';
  }
  return 'none';
}

describe('a template gives what Go gives', () => {
  test.each([
    ['plain text', 'plain text'],
    ['Bearer {{ .user }}', 'Bearer Jonah'],
    ['{{.user}}{{.user}}', 'JonahJonah'],
    ['{{ index . "a-b" }}', 'hyphen'],
    ['{{ "a-b" | index . }}', 'hyphen'],
    ['{{ $.user }}', 'Jonah'],
    ['{{ printf "%s:%s" .user .empty | base64 }}', 'Sm9uYWg6'],
    ['{{ (printf "%s!" .user) | printf "%q" }}', '"Jonah!"'],
    [
      '{{ printf "%5d|%-5s|%05d|%x|%X|%v|%t|%%|%.2s" 42 "ab" -42 "hi" 255 true false "xyz" }}',
      '   42|ab   |-0042|6869|FF|true|false|%|xy',
    ],
    ['{{ printf "%q" "a\\tb\\"c" }}', '"a\\tb\\"c"'],
    ['{{ urlquery .pass }}', 's3cr%26t+%3C%22%27%3E'],
    ['{{ html .pass }}', 's3cr&amp;t &lt;&#34;&#39;&gt;'],
    ['{{ js "a<b=\'c\'" }}', "a\\u003Cb\\u003D\\'c\\'"],
    ['{{ len .user }},{{ len .uni }},{{ len . }}', '5,5,5'],
    ['{{ slice .user 1 3 }},{{ slice .user 2 }},{{ slice .user }}', 'on,nah,Jonah'],
    ['{{ index .user 0 }}', '74'],
    ['{{ print 1 2 "a" 3 }}', '1 2a3'],
    ['{{ print }}', ''],
    ['{{ println "a" 1 }}', 'a 1\n'],
    ['{{ "raw: " }}{{ `a\\n"b"` }}', 'raw: a\\n"b"'],
    ['{{ "\\x41\\u00e9\\101\\\\" }}', 'AéA\\'],
    ['{{ 0x1F }} {{ 010 }} {{ -7 }} {{ 0b11 }}', '31 8 -7 3'],
    ['{{ true }} {{ not true }}', 'true false'],
    ['{{ if .empty }}a{{ else if eq .user "x" "Jonah" }}b{{ else }}c{{ end }}', 'b'],
    ['{{ if ne .user "Jonah" }}a{{ end }}', ''],
    ['{{ if and .user (not .empty) }}yes{{ end }}', 'yes'],
    ['{{ and .empty .user }}|{{ or .empty .user }}', '|Jonah'],
    ['{{ or .user .missing }}', 'Jonah'],
    ['{{ with .user }}{{ . }}-{{ $.empty }}{{ else }}none{{ end }}', 'Jonah-'],
    ['{{ with .empty }}x{{ else }}{{ .user }}{{ end }}', 'Jonah'],
    ['{{ with $v := .user }}{{ $v | len }}{{ end }}', '5'],
    ['{{ range $k, $v := . }}{{ $k }}={{ len $v }};{{ end }}', 'a-b=6;empty=0;pass=11;uni=5;user=5;'],
    ['{{ range $v := . }}{{ len $v }}{{ end }}{{ range . }}{{ len . }}{{ end }}', '601155601155'],
    ['{{ $x := "a" }}{{ if true }}{{ $x = "b" }}{{ $x := "c" }}{{ end }}{{ $x }}', 'b'],
    ['a  {{- " b " -}}  c', 'a b c'],
    ['a {{- /* said\nonce */ -}} b{{/* and again */}}', 'ab'],
    ['{{- 3}}{{ -3 }}', '3-3'],
    ['{{ $c := . }}{{ $c.user }}', 'Jonah'],
  ])('%s', (source, expected) => {
    expect(render(source)).toBe(expected);
  });

  test('text without an action is itself', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        fc.pre(!text.includes('{{'));
        expect(render(text)).toBe(text);
      }),
    );
  });

  test('printf and base64 agree with the same written in JavaScript', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (user, pass) => {
        const expected = Buffer.from(`${user}:${pass}`).toString('base64');
        expect(render('{{ printf "%s:%s" .user .pass | base64 }}', { user, pass })).toBe(expected);
      }),
    );
  });
});

describe('a template is refused at load', () => {
  test.each([
    ['{{ .api-key }}', 'unexpected "-": a credential with a hyphen is written (index . "a-b"), at character 8'],
    ['{{ bas64 .x }}', 'there is no function "bas64" (did you mean "base64"?), at character 4'],
    ['{{ sha256 .x }}', 'there is no function "sha256", at character 4'],
    ['ok\n{{ user }}', 'there is no function "user", at line 2, character 4'],
    ['{{ .x ', 'an action is not closed with "}}", at character 1'],
    ['{{ "x }}', 'a string is not closed, at character 4'],
    ['{{ }}', 'a value is missing, at character 4'],
    ['{{ .x | }}', 'a value is missing, at character 9'],
    ['{{ .x .y }}', 'only a function takes arguments, at character 7'],
    ['{{ .x | .y }}', 'only a function takes arguments, at character 9'],
    ['{{ .a.b }}', '".b" asks for a field of a text, at character 6'],
    [
      '{{ with .a }}{{ .b }}{{ end }}',
      '".b" asks for a field of a text; inside this block "." is a text, write $.b, at character 17',
    ],
    ['{{ if .x }}', 'a block is not closed with {{ end }}, at character 1'],
    ['{{ end }}', '"end" without an open block, at character 1'],
    ['{{ else }}', '"else" without an open block, at character 1'],
    ['{{ if .x }}{{ else }}{{ else }}{{ end }}', 'a block has a second {{ else }}, at character 1'],
    ['{{ define "x" }}{{ end }}', '{{ define }} is not supported, at character 1'],
    ['{{ break }}', '{{ break }} is not supported, at character 1'],
    ['{{ $x }}', 'there is no variable "$x" here, at character 4'],
    ['{{ if $x := .a }}{{ end }}{{ $x }}', 'there is no variable "$x" here, at character 30'],
    ['{{ . }}', 'the set of all credentials is not a text: name one of them, at character 1'],
    ['{{ range .x }}{{ end }}', 'range goes over all credentials only: {{ range $name, $value := . }}, at character 1'],
    ['{{ printf "%s" }}', 'printf has 1 verb for 0 arguments, at character 4'],
    ['{{ printf "%w" .x }}', 'printf does not know "%w" (it knows %s %v %q %d %x %X %t %%), at character 4'],
    ['{{ printf "%9999s" .x }}', 'printf has a width over 1024, at character 4'],
    ['{{ base64 }}', 'base64 takes at least 1 argument, at character 4'],
    ['{{ base64 .a .b }}', 'base64 takes at most 1 argument, at character 4'],
    ['{{ 1.5 }}', 'this is not an integer (only integers are supported), at character 4'],
    ['{{ (.x }}', 'a parenthesis is not closed, at character 4'],
    ['{{ "a\\q" }}', 'a string holds an unknown escape, at character 6'],
    ['{{ /* a */ .x }}', 'a comment shares an action with something else, at character 1'],
    [`{{ ${'('.repeat(40)}.x${')'.repeat(40)} }}`, 'a template nests deeper than 32, at character 36'],
    [`${'{{ if .x }}'.repeat(40)}`, 'a template nests deeper than 32, at character 353'],
    [`{{ .x ${'| html '.repeat(40)} }}`, 'a pipeline has more than 32 stages, at character 224'],
    ['x'.repeat(4097), 'a template is longer than 4096 bytes, at character 1'],
  ])('%s', (source, expected) => {
    expect(problemOf(source)).toBe(expected);
  });

  test('and names each credential that it needs, fixed index keys included', () => {
    const { credentials } = compileTemplate('{{ .a }}{{ index . "b-c" }}{{ with .d }}{{ $.e }}{{ end }}{{ .a }}');
    expect(credentials).toEqual(['a', 'b-c', 'd', 'e']);
  });
});

describe('a template fails the use', () => {
  test.each([
    ['{{ .missing }}', 'credential-missing'],
    ['{{ .missing | base64 }}', 'credential-missing'],
    ['{{ printf "%s" .missing }}', 'credential-missing'],
    ['{{ if .missing }}{{ end }}', 'credential-missing'],
    ['{{ index . .user }}', 'credential-missing'],
    ['{{ index . "constructor" }}', 'credential-missing'],
    ['{{ .__proto__ }}', 'credential-missing'],
    ['{{ slice .user 3 9 }}', 'credential-unfit'],
    ['{{ slice .uni 0 2 }}', 'credential-unfit'],
    ['{{ index .user 99 }}', 'credential-unfit'],
    ['{{ printf "%d" .user }}', 'config-invalid'],
    ['{{ printf .user .user }}', 'config-invalid'],
    ['{{ base64 1 }}', 'config-invalid'],
    ['{{ eq .user 1 }}', 'config-invalid'],
    ['{{ eq . .user }}', 'config-invalid'],
    ['{{ and . }}', 'config-invalid'],
    ['{{ $d := .user }}{{ range . }}{{ $d = printf "%s%s" $d $d }}{{ end }}', 'none'],
  ])('%s with %s', (source, code) => {
    expect(codeOf(source)).toBe(code);
  });

  test('without naming a computed key, which may be a secret itself', () => {
    const template = compileTemplate('{{ index . .user }}');
    expect(() => template.render(textsOf({ user: 'canary-one' }))).toThrow(/names no credential/);
    expect(() => template.render(textsOf({ user: 'canary-one' }))).not.toThrow(/canary/);
  });

  test('when it doubles a value beyond the bound', () => {
    const source = `{{ $d := .user }}${'{{ $d = printf "%s%s" $d $d }}'.repeat(20)}`;
    expect(codeOf(source)).toBe('config-invalid');
  });

  test('when its text grows beyond the bound without any function', () => {
    const values = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`c${at}`, 'x'.repeat(3000)]));
    expect(codeOf('{{ range . }}{{ . }}{{ end }}', values)).toBe('config-invalid');
    expect(codeOf('{{ range . }}{{ len . }}{{ end }}', values)).toBe('none');
  });

  test('when nested ranges turn too often', () => {
    const values = Object.fromEntries(Array.from({ length: 12 }, (_, at) => [`c${at}`, 'x']));
    const nested = (depth: number): string => '{{ range $ }}'.repeat(depth) + '{{ end }}'.repeat(depth);
    expect(codeOf(nested(2), values)).toBe('none');
    expect(codeOf(nested(6), values)).toBe('config-invalid');
  });
});

describe('whatever the template says', () => {
  const piece = fc.constantFrom(
    ...[
      '{{',
      '}}',
      '{{-',
      '-}}',
      ' ',
      '.',
      '.user',
      '.pass',
      '$',
      '$x',
      ':=',
      '=',
      '|',
      '(',
      ')',
      ',',
      '"%s"',
      '"a',
      '`b`',
      '0',
      '3',
      '-',
    ],
    ...[
      'if',
      'else',
      'end',
      'with',
      'range',
      'printf',
      'base64',
      'index',
      'slice',
      'len',
      'eq',
      'and',
      'true',
      'html',
      '{{ end }}',
      '/*',
      '*/',
    ],
    ...['{{ .user }}', '{{ with .pass }}', '{{ range $k, $v := . }}', '{{ if .user }}', '{{ else }}', '\n', 'text'],
  );
  const source = fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(''));

  test('it is refused with a place or gives a bounded text, and no error quotes a value', () => {
    const values = { user: 'canary-one', pass: 'canary-two' };
    fc.assert(
      fc.property(source, (text) => {
        let template;
        try {
          template = compileTemplate(text);
        } catch (error) {
          expect(error).toBeInstanceOf(TemplateProblem);
          return;
        }
        try {
          expect(template.render(textsOf(values)).length).toBeLessThanOrEqual(64 * 1024);
        } catch (error) {
          expect(error).toBeInstanceOf(SidecarError);
          expect(String(error)).not.toContain('canary');
        }
      }),
      { numRuns: 3000 },
    );
  });

  test('a compiled template holds no value between two renderings', () => {
    const template = compileTemplate('{{ $x := .user }}{{ range . }}{{ $x = . }}{{ end }}{{ $x }}');
    expect(template.render(textsOf({ user: 'first' }))).toBe('first');
    expect(template.render(textsOf({ user: 'second' }))).toBe('second');
  });
});
