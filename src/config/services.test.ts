import { describe, expect, test } from 'vitest';
import { errors, file, load, shown, warnings } from './testdata/catalogs.ts';

function forward(names: readonly string[], extra = ''): string {
  const services = names.map(
    (name) => `  ${name}:
    connector: generic_http
    listenOn: tcp://127.0.0.1:8080
    credentials: { token: { from: env, get: T } }
    config: { forceSSL: true, authenticateURLsMatching: '^http://${name}\\.example/' }
${extra}`,
  );
  return `version: "2"\nservices:\n${services.join('')}`;
}

describe('the version', () => {
  const body = file().replace(/^version.*\n/, '');
  test.each(['2', '"2"', "'2'"])('%s is version 2', (version) => {
    expect(errors(`version: ${version}\n${body}`)).toEqual([]);
  });
  test.each(['2.0', '02', 'v2', '"2.0"', '3', '[2]', 'true'])('%s is unknown', (version) => {
    expect(errors(`version: ${version}\n${body}`)).toEqual(['1:10 unknown configuration version: write version: "2"']);
  });
  test('a missing one beside services is asked for', () => {
    expect(errors(body)).toEqual(['1:1 the version is missing: write version: "2"']);
  });
});

describe('unknown keys', () => {
  test('are refused with the key that was meant, at every level, all at once', () => {
    const text = file({
      service: 'listenon: x\ntimeouts: { conect: 5s }\ntls: { serverName: x }',
      top: 'rule: []\ntelemetry: { log: { levl: info } }',
    });
    const { problems } = load(text);
    expect(problems.map(({ path, suggestion }) => [path, suggestion])).toEqual([
      ['services.api.listenon', 'listenOn'],
      ['services.api.timeouts.conect', 'connect'],
      ['services.api.tls.serverName', 'servername'],
      ['rule', 'rules'],
      ['telemetry.log.levl', 'level'],
    ]);
  });

  test.each(['identity', 'approvals', 'issuer', 'store'])('%s is not there yet', (key) => {
    expect(errors(file({ top: `${key}: {}` }))).toEqual([`10:1 unknown key "${key}"`]);
  });

  test.each(['placeholder', 'require', 'scrub', 'debug'])('%s of a service is not there', (key) => {
    expect(errors(file({ service: `${key}: true` }))).toEqual([`9:5 unknown key "${key}"`]);
  });

  test('a key of the connector is checked against the connector', () => {
    const text = file().replace('headers:', 'header:');
    expect(load(text).problems).toMatchObject([{ message: 'unknown key "header"', suggestion: 'headers', line: 8 }]);
  });
});

describe('a connector', () => {
  test('that nobody knows is refused with the one that was meant', () => {
    const found = load(file().replace('connector: http', 'connector: htpp')).problems;
    expect(found).toMatchObject([{ message: 'unknown connector "htpp"', suggestion: 'http', line: 4, column: 16 }]);
  });

  test('by its alias is given by its own name', () => {
    const { config, normalized } = load(file().replace('connector: http', 'connector: generic_http'));
    expect(config?.services[0]?.connector).toBe('http');
    expect(normalized).toMatchObject({ services: { api: { connector: 'http' } } });
  });

  test('may have a word on the configuration as a whole', () => {
    expect(errors(file().replace('.token', '.tokne'))).toEqual([
      '8:41 the template names a credential that is not there',
    ]);
  });

  test('that is missing is asked for', () => {
    expect(errors(file().replace('    connector: http\n', ''))).toEqual(['3:3 the key "connector" is missing']);
  });

  test('by the old word `protocol` loads with a warning, and loses against `connector`', () => {
    const old = load(file().replace('connector:', 'protocol: generic_http #'));
    expect(old.config?.services[0]?.connector).toBe('http');
    expect(shown(old, 'warning')).toEqual(['4:5 `protocol` is the old word: write `connector`']);
    expect(warnings(file({ service: 'protocol: pg' }))).toEqual(['9:5 `protocol` is ignored beside `connector`']);
  });

  test('`protocol: http` asks for its strategy', () => {
    const text = file().replace('connector: http', 'protocol: http');
    expect(errors(text)).toContainEqual(expect.stringContaining('`protocol: http` needs'));
  });
});

describe('where a service goes', () => {
  test('an HTTP service needs a target or patterns, and not both', () => {
    expect(errors(file().replace(/ {4}target.*\n/, ''))).toEqual([
      '3:3 an HTTP service needs a `target`, or `authenticateURLsMatching` in its config',
    ]);
    expect(errors(file().replace('config: {', 'config: { authenticateURLsMatching: "^https://x/",'))).toEqual([
      expect.stringContaining('exclude each other'),
    ]);
  });

  test('a pattern may be a text or a list, and `forceSSL` is kept as written', () => {
    const { config } = load(forward(['a']));
    expect(config?.services[0]).toMatchObject({ match: ['^http://a\\.example/'], forceSSL: true, config: {} });
    expect(config?.services[0]?.target).toBeUndefined();
  });

  test('a pattern that does not compile is refused at its place', () => {
    expect(errors(forward(['a']).replace("'^http://a\\.example/'", "['^ok', '(']"))).toEqual([
      expect.stringMatching(/^7:65 not a valid pattern/),
    ]);
    expect(errors(forward(['a']).replace("'^http", "'(?i)(?P<all>.)"))).toEqual([]);
  });

  test('a pattern that is wide is warned about, by the check that was given', () => {
    const checkPattern = (source: string) => ({ wide: !source.includes('example') });
    expect(warnings(forward(['a']), { checkPattern })).toEqual([]);
    expect(warnings(forward(['a']).replace("'^http://a\\.example/'", "'.*'"), { checkPattern })).toEqual([
      '7:57 this pattern matches more than one origin',
    ]);
  });

  test.each(['5', '[]', '[5]', '[""]', '{ a: b }', '""'])('%s is no pattern', (pattern) => {
    expect(errors(forward(['a']).replace("'^http://a\\.example/'", pattern))).toHaveLength(1);
  });

  test('a clear target beyond loopback is warned about, and forceSSL contradicts it', () => {
    expect(warnings(file().replace('https://api', 'http://api'))[0]).toContain('in clear');
    expect(warnings(file().replace('https://api.example.com', 'http://127.0.0.1:3000'))).toEqual([]);
    const both = file().replace('https://api', 'http://api').replace('config: {', 'config: { forceSSL: true,');
    expect(errors(both)).toEqual([expect.stringContaining('needs an https target')]);
  });

  test('a target with a password is refused without repeating it', () => {
    const { problems } = load(file().replace('https://api', 'https://jo:canary@api'));
    expect(problems).toMatchObject([{ severity: 'error', path: 'services.api.target' }]);
    expect(JSON.stringify(problems)).not.toContain('canary');
  });
});

describe('an address that services share', () => {
  test('serves forward services in the order of their names', () => {
    const { config, problems } = load(forward(['c', 'a', 'b']));
    expect(problems).toEqual([]);
    expect(config?.services.map((service) => service.name)).toEqual(['a', 'b', 'c']);
  });

  test('refuses the same pattern twice and warns of patterns that may overlap', () => {
    expect(errors(forward(['a', 'b']).replaceAll('//b', '//a'))).toEqual([expect.stringContaining('same pattern')]);
    expect(warnings(forward(['a', 'b']).replace('^http://b', 'http://b'))).toEqual([
      expect.stringContaining('may match what service "a" matches too'),
    ]);
  });

  test('takes one target besides forward services', () => {
    const target = file({ listenOn: 'tcp://127.0.0.1:8080' });
    const second = forward(['a']).replace(/^[^]*?services:\n/, '');
    expect(errors(target + second)).toEqual([]);
    const passing = load(`${target}${second}    unmatched: pass\n`).config?.services;
    expect(passing?.map(({ name, unmatched }) => [name, unmatched])).toEqual([
      ['a', 'pass'],
      ['api', 'deny'],
    ]);
    const again = target.replace(/^[^]*?services:\n {2}api/, '  again');
    expect(errors(target + again)).toEqual([expect.stringContaining('target of this address already')]);
  });

  test('belongs to one agent', () => {
    const text = forward(['a', 'b']);
    expect(errors(`${text}    agent: other\n`)).toEqual([expect.stringContaining('one listener belongs to one agent')]);
  });

  test('has one answer to what nothing matches, given once or the same', () => {
    const text = forward(['a', 'b']);
    expect(load(`${text}    unmatched: pass\n`).config?.services.map((service) => service.unmatched)).toEqual([
      'pass',
      'pass',
    ]);
    expect(load(text).config?.services.map((service) => service.unmatched)).toEqual(['deny', 'deny']);
    const differing = `${text.replace('  b:', '    unmatched: deny\n  b:')}    unmatched: pass\n`;
    expect(errors(differing)).toEqual([expect.stringContaining('says otherwise for the same address')]);
  });

  test('is refused where one covers the other, or where the sidecar itself listens', () => {
    const wide = forward(['a', 'b']).replace('127.0.0.1:8080', '0.0.0.0:8080');
    expect(errors(wide)).toEqual([expect.stringContaining('the port is taken by service "a"')]);
    expect(errors(file({ listenOn: 'tcp://127.0.0.1:5335' }))).toEqual([
      '5:15 the address is taken by `telemetry.listenOn`',
    ]);
    expect(errors(file({ listenOn: 'tcp://127.0.0.1:5335', top: 'telemetry: { listenOn: off }' }))).toEqual([]);
    const everywhere = file({ listenOn: 'tcp://0.0.0.0:5335' });
    expect(errors(everywhere)).toEqual(['5:15 the address is taken by `telemetry.listenOn`']);
    const anyPort = { listenOn: 'tcp://127.0.0.1:0', top: 'telemetry: { listenOn: "tcp://127.0.0.1:0" }' };
    expect(errors(file(anyPort))).toEqual([]);
    expect(errors(file({ listenOn: 'unix:///state/control.sock' }))).toEqual([
      '5:15 the address is taken by `control.socket`',
    ]);
  });

  test('is written once in a list', () => {
    expect(errors(file({ listenOn: '[tcp://127.0.0.1:1, "tcp://localhost:1"]' }))).toEqual([
      '5:35 the address is written twice',
    ]);
    expect(load(file({ listenOn: '[tcp://127.0.0.1:1, unix:///a.sock]' })).config?.services[0]?.listenOn).toHaveLength(
      2,
    );
  });
});

describe('the smaller settings of a service', () => {
  test('are read in their units', () => {
    const service =
      'timeouts: { connect: 500ms, idle: 1h }\nlimits: { connections: 3, body: 1KiB }\ncache: 60s\nsocketMode: 0660\nagent: reviewer';
    const { config } = load(file({ service, listenOn: 'unix:///run/a.sock' }));
    expect(config?.services[0]).toMatchObject({
      agent: 'reviewer',
      timeouts: { connectSeconds: 0.5, headersSeconds: 30, idleSeconds: 3600, credentialSeconds: 10 },
      limits: { upstreamConnections: 3, bodyBytes: 1024 },
      cacheSeconds: 60,
      socketMode: 0o660,
    });
  });

  test.each([
    ['cache: 5', '9:12 must be text: write it in quotes, like 5s or 500ms or 5m'],
    ['cache: 5 s', '9:12 has the wrong form, like 5s or 500ms or 5m'],
    ['cache: 48h', '9:12 must be at most 24h'],
    ['timeouts: { connect: 0s }', '9:26 must be at least 1ms'],
    ['socketMode: "0999"', '9:17 has the wrong form, like 0600'],
    ['socketMode: 9', '9:17 must be text: write it in quotes, like 0600'],
    ['limits: { connections: 0 }', '9:28 must be at least 1'],
    ['limits: { body: -1 }', '9:21 must be at least 0'],
    ['unmatched: allow', '9:16 must be one of deny, pass'],
    ['agent: ""', '9:12 must not be empty'],
    ['agent: 5', '9:12 must be text: write it in quotes'],
    ['agent:', '9:11 must be text'],
  ])('%s is refused', (service, message) => {
    expect(errors(file({ service }))).toEqual([message]);
  });
});
