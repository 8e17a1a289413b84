import { describe, expect, test } from 'vitest';
import { errors, file, load, warnings } from './testdata/catalogs.ts';

describe('providers', () => {
  test('take the options of their type', () => {
    const { config } = load(file({ top: 'providers: { tool: { type: exec, command: [get, it] } }' }));
    expect(config?.providers).toEqual({ tool: { type: 'exec', options: { command: ['get', 'it'] } } });
  });

  test.each([
    ['{ tool: { type: exec, comand: [a] } }', '10:34 unknown key "comand"'],
    ['{ tool: { type: exec, timeoutSeconds: a } }', '10:50 must be a whole number'],
    ['{ tool: { type: exek } }', '10:28 unknown provider "exek"'],
    ['{ tool: {} }', '10:14 the key "type" is missing'],
    ['{ env: { type: exec } }', '10:14 the name "env" belongs to the provider of that type: choose another'],
    ['{ "a b": { type: exec } }', expect.stringContaining('the name of a provider')],
  ])('%s is refused', (providers, message) => {
    expect(errors(file({ top: `providers: ${providers}` }))).toEqual([message]);
  });

  test('a token among their options is masked in the print', () => {
    const { normalized } = load(file({ top: 'providers: { tool: { type: exec, token: canary } }' }));
    expect(JSON.stringify(normalized)).not.toContain('canary');
  });
});

describe('rules', () => {
  const rule = (text: string) => file({ top: `rules:\n  - { id: a, effect: allow, ${text} }` });

  test('none is told from an empty list, which denies everything', () => {
    expect(load(file()).config?.rules).toBeUndefined();
    const { config } = load(file({ top: 'rules: []' }));
    expect(config?.rules).toEqual([]);
    expect(warnings(file({ top: 'rules: []' }))).toEqual([expect.stringContaining('every use is denied')]);
    expect(errors(file({ top: 'rules:' }))).toEqual([expect.stringContaining('must be a list')]);
  });

  test('come out as they are written', () => {
    const text =
      'methods: [GET], paths: ["/a/**", "**"], hosts: ["*.example.com", "::1"], services: ["a*"], time: { from: 22:00, to: 06:00, zone: Europe/Zurich, days: [mon] }, rate: { perMinute: 3 }';
    const { config, problems } = load(rule(text));
    expect(problems).toEqual([]);
    expect(config?.rules).toMatchObject([
      { id: 'a', effect: 'allow', services: ['a*'], time: { from: '22:00', to: '06:00' }, rate: { perMinute: 3 } },
    ]);
  });

  test.each([
    'methods: []',
    'methods: [""]',
    'methods: ["G T"]',
    'methods: ["*"]',
    'methods: GET',
    'services: [yes]',
    'paths: [a]',
    'paths: ["/a?b"]',
    'paths: ["/a//b"]',
    'paths: ["/a/../b"]',
    'paths: ["/a**"]',
    'hosts: ["https://x"]',
    'hosts: ["x:port"]',
    'hosts: ["X"]',
    'hosts: ["a*b"]',
    'databases: []',
    'databases: [""]',
    'databases: orders',
    'databases: [5432]',
    'database: [orders]',
    'applications: []',
    'applications: psql',
    'replication: []',
    'replication:',
    'replication: "true"',
    'replication: logical',
    'time: {}',
    'time: { zone: UTC }',
    'time: { from: 9:00 }',
    'time: { from: "24:00" }',
    'time: { from: 09:00, to: 09:00 }',
    'time: { from: 09:00, zone: Mars/Base }',
    'time: { days: [monday] }',
    'time: { days: [mon, mon] }',
    'rate: { perMinute: 0 }',
    'rate: { perMinute: 1.5 }',
    'rate: {}',
    'agnets: [a]',
    'approval: human',
    'capability: a',
    'budget: {}',
  ])('%s is refused', (text) => {
    expect(errors(rule(text)).length).toBe(1);
    expect(load(rule(text)).config).toBeUndefined();
  });

  test('on logins come out as they are written', () => {
    const { config, problems } = load(rule('databases: ["orders_*"], applications: [psql], replication: no'));
    expect(problems).toEqual([]);
    expect(config?.rules).toEqual([
      { id: 'a', effect: 'allow', databases: ['orders_*'], applications: ['psql'], replication: false },
    ]);
  });

  test('two of one id, a bad effect and a rate on a denial are refused', () => {
    expect(errors(rule('methods: [GET] }\n  - { id: a, effect: deny'))).toEqual(['12:11 the id "a" is written twice']);
    expect(errors(rule('').replace('allow', 'permit'))[0]).toContain('must be one of allow, deny');
    expect(errors(rule('rate: { perMinute: 1 }').replace('allow', 'deny'))[0]).toContain('a rate belongs to');
  });

  test('a selector that nothing fits is warned about', () => {
    expect(load(rule('services: [apj], agents: [local]')).problems).toMatchObject([
      { severity: 'warning', message: 'no service has this name', suggestion: 'api' },
    ]);
    expect(warnings(rule('methods: [get]'))).toEqual([expect.stringContaining('upper case')]);
  });
});

describe('the other settings', () => {
  test('are read in their units, relative paths from the folder of the file', () => {
    const top = `ledger: { file: led/a.jsonl, durability: fsync, rotate: 1MiB, keep: 2 }
control: { socket: /run/c.sock }
telemetry: { listenOn: "tcp://127.0.0.1:9000", log: { level: debug } }
limits: { connections: 5, headerBytes: 16KiB, header: 1s, keepAlive: 2s, request: 3s, drain: 4s }`;
    const { config, problems } = load(file({ top }), { file: '/etc/secretless/s.yml' });
    expect(problems).toEqual([]);
    expect(config).toMatchObject({
      ledger: { file: '/etc/secretless/led/a.jsonl', durability: 'fsync', rotateBytes: 2 ** 20, keep: 2 },
      control: { socket: '/run/c.sock' },
      telemetry: { listenOn: { kind: 'tcp', host: '127.0.0.1', port: 9000 }, log: { level: 'debug' } },
      limits: {
        connections: 5,
        headerBytes: 16384,
        headerSeconds: 1,
        keepAliveSeconds: 2,
        requestSeconds: 3,
        drainSeconds: 4,
      },
    });
  });

  test.each(['off', '"off"', 'Off'])('telemetry is off with %s', (off) => {
    expect(load(file({ top: `telemetry: { listenOn: ${off} }` })).config?.telemetry.listenOn).toBeUndefined();
  });

  test.each([
    'telemetry: { listenOn: false }',
    'telemetry: { listenOn: nowhere }',
    'telemetry: { log: { level: loud } }',
    'ledger: { durability: none }',
    'ledger: { rotate: 1B }',
    'ledger: { rotate: huge }',
    'ledger: { keep: 0 }',
    'limits: { headerBytes: 2MiB }',
    'limits: { drain: soon }',
    'control: { listenOn: "tcp://127.0.0.1:1" }',
    'control: { socket: "" }',
    `control: { socket: "/${'x'.repeat(110)}" }`,
    'ledger: []',
    'limits:',
  ])('%s is refused', (top) => {
    expect(errors(file({ top })).length).toBe(1);
  });
});

describe('tls', () => {
  const files: Readonly<Record<string, string>> = {
    '/etc/bad.pem': 'not pem',
    '/etc/broken.pem': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----',
  };
  const readFile = (path: string) => {
    const found = files[path];
    if (found === undefined) throw Object.assign(new Error('no'), { code: 'ENOENT' });
    return found;
  };

  test.each([
    ['{ ca: missing.pem }', 'the file cannot be read (ENOENT)'],
    ['{ ca: bad.pem }', 'holds no certificate: PEM text begins with -----BEGIN CERTIFICATE-----'],
    ['{ ca: broken.pem }', 'holds a certificate that cannot be read'],
    ['{ key: k.pem }', '`key` needs its `cert`'],
    ['{ servername: "a b" }', 'must be a host name'],
    ['{ insecure: true }', 'unknown key "insecure"'],
  ])('%s is refused', (tls, message) => {
    const result = load(file({ service: `tls: ${tls}` }), { file: '/etc/s.yml', readFile });
    expect(result.problems.map((problem) => problem.message)).toEqual([message]);
  });

  test('a key may be a path, PEM text or a reference', () => {
    const keyOf = (key: string) => load(file({ service: `tls: { key: ${key} }` }), { file: '/etc/s.yml' });
    expect(keyOf('{ from: env, get: a-b }').problems.map((problem) => problem.message)).toContain(
      'not the name of a variable',
    );
    expect(JSON.stringify(keyOf('"-----BEGIN PRIVATE KEY-----canary"'))).not.toContain('canary');
  });
});
