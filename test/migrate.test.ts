import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadConfig, type LoadResult } from '../src/config/load.ts';
import { CATALOG } from '../src/main.ts';
import { lostComments } from '../src/migrate/comments.ts';
import { fromCyberArk } from '../src/migrate/cyberark.ts';
import { canary } from './canary.ts';
import { check, file, form, FORMS, loaded } from './cyberark-kit.ts';
import { migrate, run, said } from './migrate-kit.ts';
import { temporaryFolder } from './rig.ts';

/* `secretless migrate` on files of CyberArk Secretless Broker. */

function textsIn(folder: string): [name: string, text: string][] {
  const path = join(import.meta.dirname, '..', folder);
  return readdirSync(path)
    .filter((name) => name.endsWith('.yml'))
    .map((name) => [name, readFileSync(join(path, name), 'utf8')]);
}

const ORIGINALS: readonly [name: string, text: string][] = [
  ...FORMS.map((name): [string, string] => [name, form(name)]),
  ...textsIn('src/config/testdata/corpus'),
  ...textsIn('config/examples'),
];

/** What `check` says of a text, without the places, which a conversion moves. */
async function verdict(text: string): Promise<{ code: number; errors: string[] }> {
  const { code, err } = await check(text);
  return { code, errors: [...err.matchAll(/: error: (.*)$/gm)].map(([, message]) => message!).sort() };
}

/** What a text configures; each is read in a folder of its own, where ledger and control socket are. */
function meaning(text: string): unknown {
  return JSON.parse((JSON.stringify(loaded(text).config) ?? 'null').replaceAll(/sl-\w{6}/g, 'sl'));
}

describe('a conversion', () => {
  test.each(ORIGINALS)('of %s loads as the original does', async (_, text) => {
    const { out, code } = await migrate(text);
    expect(await verdict(out)).toEqual(await verdict(text));
    expect(meaning(out)).toEqual(meaning(text));
    expect(code).toBe((await verdict(text)).code);
  });

  test.each(ORIGINALS)('of %s keeps every comment and brings no version 1 word', async (_, text) => {
    const { out } = await migrate(text);
    expect(lostComments(text, out)).toEqual([]);
    expect(out).not.toMatch(/^(handlers|listeners):/m);
  });

  test.each(ORIGINALS)('of %s, converted once more, stays as it is', async (_, text) => {
    const once = (await migrate(text)).out;
    expect((await migrate(once)).out).toBe(once);
  });

  test('puts comments of a version 1 file where their places went', async () => {
    const { out } = await migrate(
      [
        '# mine',
        'listeners:',
        '  # the door',
        '  - { name: web, protocol: http, address: "127.0.0.1:8086" }',
        'handlers:',
        '  # the wiki',
        '  - name: wiki',
        '    listener: web',
        '    type: basic_auth',
        '    match: # for whom',
        '      - ^http://wiki\\.example\\.com/ # all of it',
        '    credentials:',
        '      - { name: username, provider: literal, id: jo }',
        '      # from the shell',
        '      - { name: password, provider: env, id: WIKI_PASSWORD }',
        '# end',
      ].join('\n'),
    );
    const lines = out.split('\n').map((line) => line.trim());
    const after = (line: string): string => lines[lines.indexOf(line) + 1]!;
    expect(lines[0]).toBe('# mine');
    expect([after('# the door'), after('# the wiki'), after('# from the shell')]).toEqual([
      '# the wiki',
      'wiki:',
      'password: { from: env, get: WIKI_PASSWORD }',
    ]);
    expect(out).toContain("- '^http://wiki\\.example\\.com/' # all of it");
    expect(out).not.toContain('whose place is gone');
  });

  test('collects at the end the comments whose place is gone', async () => {
    const { out } = await migrate(
      file().replace('    connector', '    # a comment on nothing\n    debug: true # gone\n    connector'),
    );
    expect(out).toMatch(/# migrate: comments of the original whose place is gone:\n(#.*\n)*# gone\n/);
    expect(out).toContain('# a comment on nothing');
  });

  test('takes the first handler of a listener that is not HTTP, as the broker did, and says so', async () => {
    const credentials =
      '[{ name: host, provider: literal, id: 127.0.0.1 }, { name: username, provider: literal, id: u }]';
    const { out, err, code } = await migrate(
      `listeners: [{ name: l, protocol: pg, socket: /run/x.sock }]\nhandlers:\n  - { name: one, listener: l, credentials: ${credentials} }\n  - { name: two, listener: l, credentials: ${credentials} }\n`,
    );
    expect(loaded(out).config?.services.map(({ name }) => name)).toEqual(['one']);
    expect(err).toContain('warning: services: the handler "two" is left out');
    expect(code).toBe(0);
  });

  test('of a name or a pattern that YAML 1.1 reads as a number keeps what it was read as', async () => {
    const text = `listeners: [{ name: l, address: 127.0.0.1:1 }]\nhandlers:\n  - { name: 010, listener: l, type: http/basic_auth, match: [^http://a\\.example/], credentials: [{ name: username, provider: literal, id: 1.10 }, { name: password, provider: env, id: P }] }\n`;
    const { config } = loaded((await migrate(text)).out);
    expect(config?.services[0]).toMatchObject({ name: '8', credentials: { username: { get: '1.1' } } });
  });
});

test('a result that would mean something else is an error of ours, and is not given out', () => {
  const folder = temporaryFolder();
  const load = (text: string): LoadResult =>
    loadConfig(text, { file: join(folder, 'x.yml'), environment: {}, home: folder, catalog: CATALOG });
  const original = file();
  expect(fromCyberArk(original, load).text).toContain('# migrate');
  const wrong = file({ listenOn: 'tcp://127.0.0.1:9' });
  expect(() => fromCyberArk(original, (text) => load(text === original ? original : wrong))).toThrow(
    'does not mean what the original means',
  );
});

describe('what the broker let pass', () => {
  test('a key that is unknown and like no other is left out', async () => {
    const { out, err, code } = await migrate(file().replace('services:', 'genericversion: 2\nservices:'));
    expect([code, (await check(out)).code]).toEqual([0, 0]);
    expect(err).toContain('warning: the key "genericversion" had no effect, and is an error here: left out');
    expect(out).not.toMatch(/^genericversion/m);
  });

  test('a key that looks like a known one stays, since somebody meant it, and ends with 78', async () => {
    const text = file().replace('headers:', 'credentialValidation: { token: "^x$" }, headers:');
    const { out, err, code } = await migrate(text);
    expect(code).toBe(78);
    expect(err).toContain('to do: services.api.config.credentialValidation: unknown key');
    expect(out).toContain('credentialValidation:');
  });

  test('of a key that is written twice the last is left', async () => {
    const text = file().replace('listenOn:', 'listenOn: tcp://127.0.0.1:1\n    listenOn:');
    const { out, err } = await migrate(text);
    expect(err).toContain('warning: services.api: a key was written twice here: the last one counted, and is left');
    expect(loaded(out).service?.listenOn).toMatchObject([{ port: 8081 }]);
  });

  test('`protocol: http` and its strategy become a connector', async () => {
    const text = file({
      connector: 'protocol: http # old',
      credentials: '{ username: u, password: { from: env, get: P } }',
      config: `{ authenticationStrategy: basic_auth, forceSSL: true, authenticateURLsMatching: '^http://a\\.example/' }`,
    });
    const { out } = await migrate(text);
    expect(out).toContain('connector: basic_auth');
    expect(out).not.toMatch(/^\s*(protocol|config.*authenticationStrategy)/m);
    expect(loaded(out).warnings).not.toEqual(expect.arrayContaining([expect.stringContaining('old word')]));
    expect(lostComments(text, out)).toEqual([]);
  });

  test('`${NAME}` is told to be filled in, and one that is not set is left to do', async () => {
    const text = file({ credentials: '{ token: "x${NOT_SET}y" }' });
    const { out, err, code } = await migrate(text);
    expect(code).toBe(78);
    expect(err).toContain('to do: services.api.credentials.token: environment variable NOT_SET is not set');
    expect(said(out).join('\n')).toContain('`${NAME}` is filled in from the environment here');
    expect(out).not.toContain('a secret stands in this file');
  });
});

describe('advice', () => {
  /** Comments on a file with one service of these lines. */
  async function advice(...lines: string[]): Promise<string> {
    const { out } = await migrate(`version: 2\nservices:\n  s:\n${lines.map((line) => `    ${line}\n`).join('')}`);
    return said(out).join('\n');
  }

  test('`pg` without `sslmode` is told what it meant, unless it goes to this machine', async () => {
    const postgres = (host: string) =>
      advice(
        'connector: pg',
        'listenOn: tcp://127.0.0.1:1',
        `credentials: { host: ${host}, username: u, password: { from: env, get: P } }`,
      );
    expect(await postgres('db.example.com')).toContain('without `sslmode` the broker took any certificate');
    expect(await postgres('127.0.0.1')).not.toContain('sslmode');
  });

  test('a pattern of one origin is told of `target`, a wider one is not', async () => {
    const http = (pattern: string) =>
      advice(
        'connector: generic_http',
        'listenOn: tcp://127.0.0.1:1',
        'credentials: { t: { from: env, get: T } }',
        `config: { headers: { A: '{{ .t }}' }, forceSSL: true, authenticateURLsMatching: '${pattern}' }`,
      );
    expect(await http('^http://api\\.example\\.com:8443/')).toContain('`target: https://api.example.com:8443`');
    for (const pattern of [
      '^http://api\\.example\\.com/v1/',
      '^http',
      'api\\.example\\.com',
      '^http://(a|b)\\.example/',
    ]) {
      expect(await http(pattern)).not.toContain('target:');
    }
  });

  test('`aws` is told of its clients, `ssh-agent` of what is refused', async () => {
    const aws = 'credentials: { accessKeyId: { from: env, get: A }, secretAccessKey: { from: env, get: S } }';
    expect(
      await advice('connector: aws', 'listenOn: tcp://127.0.0.1:1', aws, "config: { authenticateURLsMatching: '.*' }"),
    ).toContain('the broker took any made-up key');
    expect(
      await advice(
        'connector: ssh-agent',
        'listenOn: unix:///run/a',
        'credentials: { rsa: { from: file, get: /run/id } }',
      ),
    ).toContain('adding, removing and locking is refused');
  });

  test('each secret in the file is warned of, never shown outside of it', async () => {
    const secrets = [canary(), canary(), canary()];
    const { err, out } = await migrate(
      file({
        credentials: `{ token: ${secrets[0]}, other: { from: literal, get: ${secrets[1]} }, user: ${secrets[2]} }`,
      }),
    );
    expect(err.match(/a secret stands in this file/g)).toHaveLength(2);
    expect(secrets.filter((secret) => err.includes(secret))).toEqual([]);
    expect(secrets.filter((secret) => !out.includes(secret))).toEqual([]);
  });

  test('without rules there are some to begin with, which load and allow every service', async () => {
    const { out } = await migrate(form('e7'));
    const from = out.indexOf('\n# rules:');
    const rules = out.slice(from).replaceAll('\n# ', '\n');
    const { config, errors } = loaded(out.slice(0, from) + rules);
    expect(errors).toEqual([]);
    expect(config?.rules?.map(({ services }) => services)).toEqual([['a-internal'], ['b-github']]);
    expect(
      (await migrate(readFileSync(join(import.meta.dirname, '../config/examples/rules.yml'), 'utf8'))).out,
    ).not.toContain('without `rules`');
  });

  test('what this build lacks is left to do', async () => {
    const { code, err } = await migrate(form('e3'));
    expect(code).toBe(78);
    expect(err).toContain('to do: services.mysql.connector: connector "mysql" is not in this build');
  });
});

describe('the command', () => {
  test.each([
    ['no YAML', 'a: [b', 'not valid YAML'],
    ['anchors', 'version: 2\nservices: &a\n  x: *a\n', 'aliases are refused'],
    [
      'parts that do not fit',
      'listeners: [{ name: l, address: 127.0.0.1:1 }]\nhandlers: [{ name: h, listener: x, type: aws }]\n',
      'has no associated',
    ],
    ['nothing', '', 'the file is empty'],
  ])('refuses a file with %s, prints nothing of it and ends with 78', async (_, text, message) => {
    const { code, out, err } = await migrate(text);
    expect([code, out]).toEqual([78, '']);
    expect(err).toMatch(/:\d+:\d+: error: /);
    expect(err).toContain(message);
    expect(err).toContain('the file cannot be converted');
  });

  test('writes a new file that its owner alone may read, and replaces one only with --force', async () => {
    const output = join(temporaryFolder(), 'new.yml');
    expect((await migrate(file(), '--output', output)).out).toBe('');
    expect(statSync(output).mode & 0o777).toBe(0o600);
    const first = readFileSync(output, 'utf8');
    expect((await check(first)).code).toBe(0);
    const again = await migrate(form('e1'), '--output', output);
    expect([again.code, again.err.includes('is there already: --force replaces it')]).toEqual([78, true]);
    expect(readFileSync(output, 'utf8')).toBe(first);
    expect((await migrate(form('e1'), '-o', output, '--force')).code).toBe(0);
    expect(readFileSync(output, 'utf8')).toContain('orders-db');
    expect(statSync(output).mode & 0o777).toBe(0o600);
  });

  test('does not write over what it could not convert', async () => {
    const output = join(temporaryFolder(), 'new.yml');
    writeFileSync(output, 'mine');
    expect((await migrate('a: [b', '--output', output, '--force')).code).toBe(78);
    expect(readFileSync(output, 'utf8')).toBe('mine');
  });

  test.each([
    [['migrate'], 'which file?'],
    [['migrate', 'a', 'b'], 'migrate takes one file'],
    [['migrate', '--force', 'a'], '--force is for --output'],
    [['migrate', '--from', 'cyberak', 'a'], 'unknown tool cyberak (did you mean cyberark?)'],
  ])('%j is a wrong command line', async (words, message) => {
    const { code, err } = await run(...words);
    expect([code, err.split('\n')[0]]).toEqual([64, `secretless: ${message}`]);
  });

  test('a file that is not there, or is too large, is refused before it is read', async () => {
    const folder = temporaryFolder();
    const large = join(folder, 'large.yml');
    writeFileSync(large, '#'.repeat(1024 * 1024 + 1));
    expect((await run('migrate', join(folder, 'none.yml'))).err).toContain('cannot be read');
    const { code, err } = await run('migrate', large);
    expect([code, err.includes('it is larger than 1 MiB')]).toEqual([78, true]);
  });
});
