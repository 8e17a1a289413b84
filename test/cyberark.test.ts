import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { recordedIo } from '../src/cli/testdata/recorded-io.ts';
import { runCli } from '../src/cli/dispatch.ts';
import { check, file, loaded, MATCH } from './cyberark-kit.ts';
import { temporaryFolder } from './rig.ts';

/*
 * What a file of CyberArk Secretless Broker meets here: one test for each place where the broker misled its users.
 * The forms themselves are in cyberark-forms.test.ts.
 *
 * | there                                                    | here, and the test                                   |
 * | -------------------------------------------------------- | ---------------------------------------------------- |
 * | no `version` means 1; `v2`, `2.0`, `genericversion`      | this file, "the version"                             |
 * | unknown keys ignored, duplicate keys last wins           | this file, "keys"                                    |
 * | service errors one by one, crash on a bad address        | this file, "a service"                               |
 * | YAML 1.1 scalars as credentials                          | this file, "a scalar"                                |
 * | `from` missing, list, unknown provider: found at use     | this file, "a credential"                            |
 * | patterns: missing, crash on a bad one, unanchored        | this file, "patterns"; traffic, "anchored"           |
 * | `forceSSL` false by default, shared between services     | this file, "`forceSSL`"; traffic, "`forceSSL`"       |
 * | `<no value>` and `%!s(<nil>)` sent                       | this file, "templates"; traffic, "missing"           |
 * | version 1: conversion, first handler, messages           | this file, "version 1"                               |
 * | a broken ./secretless.yml is skipped; Go-only flags      | this file, "the command line"                        |
 * | every `:5335` interface, port clash ignored              | this file, "health"; process, "health"               |
 * | unmatched URLs forwarded, CONNECT, origin form           | traffic, "the proxy"                                 |
 * | overlap: first by name, silently                         | this file, "patterns"; traffic, "the first by name"  |
 * | query re-encoded; hop-by-hop fields forwarded            | traffic, "the query", "hop-by-hop"                   |
 * | event streams held back, WebSocket dead, no trailers     | traffic, "streams"                                   |
 * | error text told; provider error ends the process         | traffic, "a provider"                                |
 * | `file` untrimmed, colon in a user name, `oauth1`         | traffic, "credentials"                               |
 * | a Unix socket path is deleted whatever it is             | traffic, "a Unix socket"                             |
 * | accept errors end a listener; no timeouts                | process, "EMFILE"; traffic, "timeouts"               |
 * | SIGHUP exits, SIGTERM cuts, a bad file ends the process  | process, all                                         |
 */

describe('the version', () => {
  test.each(['2', '"2"', "'2'"])('written %s is 2', (version) => {
    expect(loaded(file().replace('version: 2', `version: ${version}`)).errors).toEqual([]);
  });

  test.each(['2.0', '02', 'v2', '"v2"', '2.', '3'])('written %s is an error that says what to write', (version) => {
    expect(loaded(file().replace('version: 2', `version: ${version}`)).errors).toEqual([
      '1: unknown configuration version: write version: "2"',
    ]);
  });

  test('misspelled `genericversion: 2` does not fall to version 1: both the key and what is missing are named', () => {
    expect(loaded(file().replace('version: 2', 'genericversion: 2')).errors).toEqual([
      '1: the version is missing: write version: "2"',
      '1: unknown key "genericversion"',
    ]);
  });

  test('left out beside `services` is asked for instead of read as version 1', () => {
    const { errors } = loaded(file().replace('version: 2\n', ''));
    expect(errors).toEqual(['1: the version is missing: write version: "2"']);
  });
});

describe('keys', () => {
  test('that nobody knows are refused at every level, all at once, with the one that was meant', () => {
    const config = `{ header: {}, credentialPatterns: { token: x }, headers: { A: '{{ .token }}' }, ${MATCH} }`;
    const text = `${file({ config, credentials: '{ token: { form: env, get: T } }' })}    debug: true\nservice: {}\n`;
    const { errors } = loaded(text);
    expect(errors).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^6: unknown key "form"/),
        '7: unknown key "header" (headers)',
        '7: unknown key "credentialPatterns" (credentialValidations)',
        '8: unknown key "debug"',
        '9: unknown key "service" (services)',
      ]),
    );
  });

  test.each([
    ['a service', `${file()}  api: { connector: pg }\n`, '8: the key "api" is written twice'],
    ['a key of a service', `${file()}    listenOn: tcp://127.0.0.1:1\n`, '8: the key "listenOn" is written twice'],
    [
      'a credential',
      file({ credentials: '{ token: { from: env, get: T }, token: x }' }),
      '6: the key "token" is written twice',
    ],
  ])('written twice are refused instead of the last one winning: %s', (_, text, message) => {
    expect(loaded(text).errors).toEqual([message]);
  });

  test('`match` in a `config` is not taken for patterns', () => {
    const { errors } = loaded(file({ config: `{ headers: { A: '{{ .token }}' }, match: ['^http://a/'] }` }));
    expect(errors).toContainEqual(expect.stringMatching(/^7: unknown key "match"/));
    expect(errors).toContainEqual(expect.stringContaining('needs a `target`, or `authenticateURLsMatching`'));
  });

  test('`config` nested under `credentials` does not become a credential', () => {
    const { errors } = loaded(file({ credentials: `{ token: x, config: { headers: { A: b } } }` }));
    expect(errors).toContainEqual('6: unknown key "headers"');
  });
});

describe('a service', () => {
  test('that is wrong is reported together with all others', () => {
    const { errors } = loaded(
      'version: 2\nservices:\n  a: {}\n  b: { connector: nope, listenOn: x, credentials: {} }\n  c: []\n',
    );
    expect(new Set(errors.map((error) => error[0]))).toEqual(new Set(['3', '4', '5']));
  });

  test('with a connector that nobody knows is refused with the one that was meant', () => {
    expect(loaded(file({ connector: 'connector: generic_htp' })).errors).toEqual([
      '4: unknown connector "generic_htp" (generic_http)',
    ]);
  });

  test('may name its connector by the legacy `protocol`, which loses against `connector`', () => {
    const legacy = loaded(file({ connector: 'protocol: generic_http' }));
    expect([legacy.service?.connector, legacy.errors]).toEqual(['http', []]);
    expect(legacy.warnings).toContainEqual(expect.stringContaining('`protocol` is the old word'));
    const both = loaded(file({ connector: 'connector: generic_http\n    protocol: pg' }));
    expect(both.service?.connector).toBe('http');
    expect(both.warnings).toContainEqual(expect.stringContaining('`protocol` is ignored beside `connector`'));
  });

  test('of `protocol: http` takes its connector from `authenticationStrategy`', () => {
    const credentials = '{ username: u, password: { from: env, get: P } }';
    const { service, errors } = loaded(
      file({ connector: 'protocol: http', credentials, config: `{ authenticationStrategy: basic_auth, ${MATCH} }` }),
    );
    expect([service?.connector, errors]).toEqual(['basic-auth', []]);
    expect(loaded(file({ connector: 'protocol: http' })).errors).toContainEqual(
      expect.stringContaining('needs `config.authenticationStrategy`'),
    );
  });

  test.each([
    ['127.0.0.1:8081', 'an address looks like'],
    ['tcp://127.0.0.1', 'ends with a port'],
    ['tcp://127.0.0.1:99999', 'from 0 to 65535'],
    ['tcp://127.0.0.1:http', 'ends with a port'],
    ['udp://127.0.0.1:1', 'must begin with tcp:// or unix://'],
    ['unix://', 'the path of the socket is missing'],
  ])('at the bad address %s is found at load, not by a crash or at the bind', (listenOn, message) => {
    expect(loaded(file({ listenOn })).errors).toEqual([expect.stringContaining(message)]);
  });

  test.each([
    ['tcp://127.0.0.1:8081', { kind: 'tcp', host: '127.0.0.1', port: 8081 }],
    ['tcp4://127.0.0.1:8081', { kind: 'tcp', host: '127.0.0.1', port: 8081 }],
    ['"tcp://[::1]:8081"', { kind: 'tcp', host: '::1', port: 8081 }],
    ['unix:///sock/.api', { kind: 'unix', path: '/sock/.api' }],
  ])('listens on %s', (listenOn, address) => {
    expect(loaded(file({ listenOn })).service?.listenOn).toEqual([address]);
  });

  test('on `tcp://:8081` stays on loopback, and one that leaves it is warned about', () => {
    const short = loaded(file({ listenOn: 'tcp://:8081' }));
    expect(short.service?.listenOn).toEqual([{ kind: 'tcp', host: '127.0.0.1', port: 8081 }]);
    expect(short.warnings).toContainEqual(expect.stringContaining('listens on 127.0.0.1 only'));
    const wide = loaded(file({ listenOn: 'tcp://0.0.0.0:8081' }));
    expect(wide.warnings).toContainEqual(expect.stringContaining('listens beyond loopback'));
  });

  test('that is not HTTP has its address alone, found at load and not at the bind', () => {
    const pg = '{ connector: pg, listenOn: "tcp://127.0.0.1:5432", credentials: { host: x } }';
    expect(loaded(`version: 2\nservices:\n  a: ${pg}\n  b: ${pg}\n`).errors).toContainEqual(
      '4: the address is taken by service "a": only HTTP services share one',
    );
  });
});

describe('a scalar', () => {
  test.each([
    ['5432', '5432'],
    ['010', '8'],
    ['0x1F', '31'],
    ['1.10', '1.1'],
    ['1e3', '1000'],
    ['1_000', '1000'],
    ['yes', 'true'],
    ['on', 'true'],
    ['true', 'true'],
    ['No', 'false'],
    ['null', ''],
    ['~', ''],
    ['2001-01-01', '2001-01-01'],
    ['"010"', '010'],
  ])('%s as a credential is %j, as it always was', (written, get) => {
    const { service, errors } = loaded(file({ credentials: `\n      token: ${written}` }));
    expect([service?.credentials['token'], errors]).toEqual([{ from: 'literal', get }, []]);
  });

  test('that YAML 1.1 changes is warned about, and an empty one is called empty', () => {
    const warning = (written: string) => loaded(file({ credentials: `{ token: ${written} }` })).warnings.join('\n');
    expect(warning('010')).toContain('read as YAML 1.1 and changes: write it in quotes');
    expect(warning('"010"')).not.toContain('YAML 1.1');
    for (const empty of ['~', 'null']) expect(warning(empty)).toBe('6: this credential is empty');
  });

  test('of a block does not carry its line break into the credential', () => {
    const { service, warnings } = loaded(file({ credentials: '\n      token: |\n        abc' }));
    expect(service?.credentials['token']?.get).toBe('abc');
    expect(warnings).toContainEqual(expect.stringContaining('is dropped: write |-'));
  });
});

describe('a credential', () => {
  test.each([
    ['without `from`', '{ token: { get: T } }', 'the key "from" is missing'],
    ['without `get`', '{ token: { from: env } }', 'the key "get" is missing'],
    ['written as a list', '{ token: [a] }', 'must be a map'],
    ['from a provider that nobody knows', '{ token: { from: enb, get: T } }', 'no such provider (env)'],
    ['with a keychain id of two "#"', '{ token: { from: keychain, get: a#b#c } }', 'service#account'],
    ['with a line break', '{ token: "a\\nb" }', 'holds a line break'],
  ])('%s is found at load, not at the first connection', (_, credentials, message) => {
    expect(loaded(file({ credentials })).errors).toEqual([expect.stringContaining(message)]);
  });

  test('is needed: a service without any is refused', () => {
    expect(loaded(file({ credentials: '{}' })).errors).toContain('6: must not be empty');
    expect(loaded(file().replace(/ {4}credentials.*\n/, '')).errors).toContain('3: the key "credentials" is missing');
  });

  test('of basic_auth that is missing is not sent as %!s(<nil>): it is asked for', () => {
    const text = file({ connector: 'connector: basic_auth', credentials: '{ username: u }', config: `{ ${MATCH} }` });
    expect(loaded(text).errors).toEqual(['6: the credential "password" is missing: password']);
  });

  test('from a provider that only other builds have is told from a mistake', async () => {
    const text = file({ credentials: '{ token: { from: vault, get: a#b } }' });
    expect((await check(text)).err).toContain('provider "vault" is not in this build');
    expect((await check(text, '--grammar')).code).toBe(0);
  });
});

describe('patterns', () => {
  const matching = (written: string) =>
    file({ config: `{ headers: { A: '{{ .token }}' }, forceSSL: true, authenticateURLsMatching: ${written} }` });

  test('may be one text or a list', () => {
    for (const written of [`'^http://a\\.example/'`, `['^http://a\\.example/']`]) {
      expect(loaded(matching(written)).service?.match).toEqual(['^http://a\\.example/']);
    }
  });

  test('are needed: an HTTP service without any goes nowhere', () => {
    expect(loaded(file({ config: `{ headers: { A: '{{ .token }}' } }` })).errors).toEqual([
      expect.stringContaining('needs a `target`, or `authenticateURLsMatching`'),
    ]);
  });

  test.each([`'(a'`, `'a**'`, `'(?=a)'`, '[]', '{ a: b }', '5'])('that are %s are an error, not a crash', (written) => {
    expect(loaded(matching(written)).errors).toHaveLength(1);
  });

  test.each([`'.*'`, `'^http'`, `'^http://maps\\.'`])('that leave the host open load with a warning: %s', (written) => {
    const { errors, warnings } = loaded(matching(written));
    expect(errors).toEqual([]);
    expect(warnings).toContainEqual('7: this pattern matches more than one origin');
    expect(loaded(file()).warnings).toEqual([]);
  });

  test('of two services on one address that overlap are warned about, and the same one twice is refused', () => {
    const second = (written: string) => matching(written).replace(/^[^]*services:\n {2}api/, '  zpi');
    const both = loaded(file() + second(`'^http://.*\\.example\\.com/'`));
    expect(both.config?.services.map(({ name }) => name)).toEqual(['api', 'zpi']);
    expect(both.warnings).toContainEqual(
      expect.stringContaining('may match what service "api" matches too: that one comes first by name'),
    );
    expect(loaded(file() + second(`'^http://other\\.example/'`)).warnings).toEqual([]);
    expect(loaded(file() + second(`'^http://api\\.example\\.com/'`)).errors).toEqual([
      expect.stringContaining('service "api" has the same pattern'),
    ]);
  });
});

describe('`forceSSL`', () => {
  test('left out is warned about; written, it is kept as it is', () => {
    const without = loaded(file().replace('forceSSL: true, ', ''));
    expect(without.service?.forceSSL).toBeUndefined();
    expect(without.warnings).toEqual([expect.stringContaining('`forceSSL` is not written')]);
    for (const written of [true, false]) {
      const { service, warnings } = loaded(file().replace('forceSSL: true', `forceSSL: ${written}`));
      expect([service?.forceSSL, warnings]).toEqual([written, []]);
    }
  });

  test('of two basic_auth services is one for each, not that of the last', () => {
    const basic = (name: string, force: boolean) =>
      `  ${name}: { connector: basic_auth, listenOn: "tcp://127.0.0.1:8080", credentials: { username: u, password: { from: env, get: P } }, config: { forceSSL: ${force}, authenticateURLsMatching: '^http://${name}\\.example/' } }\n`;
    const { config } = loaded(`version: 2\nservices:\n${basic('a', true)}${basic('b', false)}`);
    expect(config?.services.map(({ forceSSL }) => forceSSL)).toEqual([true, false]);
  });
});

describe('templates', () => {
  const header = (template: string) => file({ config: `{ headers: { A: '${template}' }, ${MATCH} }` });

  test.each(['{{ .missing }}', '{{ .missing | base64 }}', '{{ printf "%s:%s" .token .missing }}'])(
    'that name a credential which is not there are refused at load: %s',
    (template) => {
      expect(loaded(header(template)).errors).toEqual([
        '7: the template names the credential "missing", which this service does not have',
      ]);
    },
  );

  test('that do not parse are an error at load which says why, not a crash', () => {
    expect(loaded(header('{{ .api-key }}')).errors[0]).toContain('(index . "a-b")');
    expect(loaded(header('{{ sha256 .token }}')).errors[0]).toContain('there is no function "sha256"');
    expect(loaded(header('{{ .token')).errors).toHaveLength(1);
  });

  test.each([
    '{{ urlquery .token }}{{ html .token }}{{ js .token }}{{ len .token }}{{ slice .token 0 1 }}{{ index . "token" }}',
    '{{ if .token }}{{ with $v := .token }}{{ $v }}{{ end }}{{ else }}none{{ end }}',
    '{{ range $k, $v := . }}{{ $k }}={{ $v }}{{ end }}',
    '{{- .token -}}{{/* why */}}{{ if and (eq .token "a") (not .token) }}x{{ end }}',
  ])('in Go’s own words load: %s', (template) => {
    expect(loaded(header(template)).errors).toEqual([]);
  });

  test('cannot set `Host`, and say so instead of being ignored', () => {
    const { errors } = loaded(file({ config: `{ headers: { Host: '{{ .token }}' }, ${MATCH} }` }));
    expect(errors).toEqual([expect.stringContaining('belongs to the connection and cannot be injected')]);
  });

  test('of `oauth1` are exactly four', () => {
    const four = 'consumer_key: a, consumer_secret: b, token: c, token_secret: d';
    const oauth1 = (written: string) => loaded(file({ config: `{ oauth1: { ${written} }, ${MATCH} }` })).errors;
    expect(oauth1(four)).toEqual([]);
    expect(oauth1(four.replace(', token_secret: d', ''))).toEqual(['7: the key "token_secret" is missing']);
    expect(oauth1(`${four}, realm: e`)).toEqual(['7: unknown key "realm"']);
  });
});

describe('version 1', () => {
  const credentials = '[{ name: username, provider: literal, id: u }, { name: password, provider: env, id: P }]';
  const handler = (name: string, more = '') =>
    `  - { name: ${name}, listener: l, type: http/basic_auth, match: ['^http://${name}\\.example/'], credentials: ${credentials}${more} }\n`;
  const listener = (more = '') => `listeners: [{ name: l, protocol: http, address: "127.0.0.1:8080"${more} }]\n`;

  test.each(['', 'version: 1\n', 'version: "1"\n', 'version:\n'])('begins with %j', (version) => {
    const { service, errors, warnings } = loaded(`${version}${listener()}handlers:\n${handler('h')}`);
    expect(errors).toEqual([]);
    expect(warnings[0]).toContain('a version 1 file: read as version 2');
    expect(service).toMatchObject({
      name: 'h',
      connector: 'basic-auth',
      listenOn: [{ kind: 'tcp', host: '127.0.0.1', port: 8080 }],
      match: ['^http://h\\.example/'],
      credentials: { username: { from: 'literal', get: 'u' }, password: { from: 'env', get: 'P' } },
    });
  });

  test('has one service for each handler of an HTTP listener, by name', () => {
    const { config } = loaded(`${listener()}handlers:\n${handler('z')}${handler('a')}`);
    expect(config?.services.map(({ name }) => name)).toEqual(['a', 'z']);
  });

  test('has one service for a listener that is not HTTP, and says which handlers it leaves out', async () => {
    const text = `listeners: [{ name: l, protocol: mysql, socket: /sock/mysql }]\nhandlers:\n${['a', 'b'].map((name) => `  - { name: ${name}, listener: l, credentials: [{ name: host, provider: literal, id: x }] }\n`).join('')}`;
    const { code, out, err } = await check(text, '--grammar', '--print');
    expect(code).toBe(0);
    expect(out).toContain('unix:///sock/mysql');
    expect(out).not.toMatch(/^ {2}b:/m);
    expect(err).toContain('ignored: the listener "l" serves its first handler only');
  });

  test('takes `debug`, and says that `caCertFiles` never had an effect', () => {
    const { errors, warnings } = loaded(
      `${listener(', debug: true, caCertFiles: [/a.pem]')}handlers:\n${handler('h', ', debug: true')}`,
    );
    expect(errors).toEqual([]);
    expect(warnings).toContainEqual(expect.stringContaining('has never had an effect'));
  });

  test.each([
    ['listeners: []\nhandlers: []\n', ['listeners cannot be blank', 'handlers cannot be blank']],
    [
      `${listener().replace('name: l', 'name: x')}handlers:\n${handler('h')}`,
      ['has no associated listener', 'has no associated handler'],
    ],
    [
      `${listener().replace(', address: "127.0.0.1:8080"', '')}handlers:\n${handler('h')}`,
      ['address or socket is required'],
    ],
    [`${listener(', socket: /a')}handlers:\n${handler('h')}`, ['only one of address or socket must be provided']],
  ])('that is wrong is told in the words its users know: %#', (text, messages) => {
    const { config, errors } = loaded(text);
    expect(config).toBeUndefined();
    for (const message of messages) expect(errors).toContainEqual(expect.stringContaining(message));
  });
});

describe('the command line', () => {
  test('does not skip a broken ~/.secretless.yml for the next place', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, '.secretless.yml'), 'version: 2\nservices: {}\n');
    const io = recordedIo({ env: { HOME: folder, SECRETLESS_HOME: folder } });
    expect(await runCli(['check'], io)).toBe(78);
    expect(io.err()).toContain(`${join(folder, '.secretless.yml')}:2:`);
  });

  test.each([['-version'], ['--version'], ['version']])('%s prints the version', async (word) => {
    const io = recordedIo();
    expect(await runCli([word], io)).toBe(0);
    expect(io.out()).toMatch(/\d+\.\d+\.\d+/);
  });

  test('takes every flag of the broker; one without effect is said, one unknown is refused', async () => {
    const io = recordedIo({ env: { HOME: '/nowhere', SECRETLESS_HOME: '/nowhere' } });
    const words = [
      '-f',
      '/nowhere.yml',
      '-watch',
      '-debug',
      '-config-mgr',
      'configfile',
      '-p',
      '/usr/local/lib/secretless',
      '-s',
      'sums',
      '-profile',
      'cpu',
      '-graceful-exit',
    ];
    // It gets as far as the file, which is not there.
    expect(await runCli(words, io)).toBe(78);
    expect(io.err()).toContain('/nowhere.yml cannot be read');
    for (const flag of ['config-mgr', 'p', 's', 'profile', 'graceful-exit']) {
      expect(io.err()).toContain(`-${flag} has no effect: `);
    }
    expect(await runCli(['-f', 'x', '-wach'], recordedIo())).toBe(64);
  });
});

describe('health', () => {
  test('is on port 5335 as before, on loopback only, can be moved and turned off', () => {
    expect(loaded(file()).config?.telemetry.listenOn).toEqual({ kind: 'tcp', host: '127.0.0.1', port: 5335 });
    expect(loaded(`${file()}telemetry: { listenOn: off }\n`).config?.telemetry.listenOn).toBeUndefined();
    expect(loaded(file({ listenOn: 'tcp://127.0.0.1:5335' })).errors).toEqual([
      '5: the address is taken by `telemetry.listenOn`',
    ]);
  });
});
