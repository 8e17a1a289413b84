import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { emitSchema } from './emit.ts';
import { errors, examplesCatalog, load, ownCatalog, warnings, wholeCatalog } from './testdata/catalogs.ts';

const GITHUB = `  github:
    connector: http
    target: https://api.github.com
    credentials: { token: { from: env, get: TOKEN } }
    config: { headers: { Authorization: "Bearer {{ .token }}" } }
`;

/** Line 2 is `egress`, `more` stands behind it, services come last. */
function file(egress: string, more = '', services = GITHUB): string {
  return `version: "2"\negress: { listenOn: "tcp://127.0.0.1:3128"${egress === '' ? '' : `, ${egress}`} }\n${more}services:\n${services}`;
}

function service(name: string, target: string, more = ''): string {
  return `  ${name}: { connector: http, target: "${target}", credentials: { t: { from: env, get: T } }${more} }\n`;
}

const TOKENS = 'agents: { scanner: { token: { from: env, get: SCANNER } } }\n';

describe('egress', () => {
  test('that says where it listens has the rest by default', () => {
    const { config, problems } = load(file(''));
    expect(problems).toEqual([]);
    expect(config).toMatchObject({ agents: {}, services: [{ name: 'github', listenOn: [], http2: 'auto' }] });
    expect(config?.egress).toEqual({
      listenOn: [{ kind: 'tcp', host: '127.0.0.1', port: 3128 }],
      mode: 'proxy',
      unmatched: 'deny',
      allow: [],
      addresses: { deny: [], reach: [] },
      resolve: {},
      ca: { store: 'memory', names: [] },
      socketMode: 0o600,
    });
  });

  test('is read whole', () => {
    const text = file(
      `mode: proxy, allow: ["https://*.example.com:8443", "https://registry.example.com"], deny: { addresses: [192.0.2.0/24] },
  reach: { addresses: [10.20.0.0/16, "fd12::/16"] }, resolve: { build.internal: "FD12::0:1" }, agent: nobody, socketMode: 0640,
  upstreamProxy: { url: "http://proxy.internal:3128", username: jo, password: { from: env, get: PW } },
  ca: { store: folder, names: [github.com] }`,
    );
    const { config, problems } = load(text);
    expect(problems).toEqual([]);
    expect(config?.egress).toMatchObject({
      allow: [
        { scheme: 'https', host: 'example.com', port: 8443, below: true },
        { scheme: 'https', host: 'registry.example.com', port: 443, below: false },
      ],
      addresses: { deny: ['192.0.2.0/24'], reach: ['10.20.0.0/16', 'fd12::/16'] },
      resolve: { 'build.internal': 'fd12::1' },
      agent: 'nobody',
      upstreamProxy: {
        origin: { scheme: 'http', host: 'proxy.internal', port: 3128 },
        username: { from: 'literal', get: 'jo' },
        password: { from: 'env', get: 'PW' },
        resolves: false,
      },
      ca: { store: 'folder', names: ['github.com'] },
      socketMode: 0o640,
    });
  });

  test('that the file leaves out listens where the caller says, and else there is none', () => {
    const egress = { listenOn: ['tcp://127.0.0.1:0'] };
    const bare = file('').replace(/^egress.*\n/m, '');
    expect(load(bare, { egress }).config?.egress?.listenOn).toEqual([{ kind: 'tcp', host: '127.0.0.1', port: 0 }]);
    expect(load(bare, { egress }).problems).toEqual([]);
    const silent = bare.replace('services:', 'egress: { allow: ["https://x.example"] }\nservices:');
    expect(load(silent, { egress }).config?.egress).toMatchObject({ allow: [{ host: 'x.example' }] });
    expect(errors(silent)).toEqual(['2:1 the key "listenOn" is missing']);
    expect(load(file(''), { egress }).config?.egress?.listenOn).toMatchObject([{ port: 3128 }]);
    expect(load(bare.replace('target', 'listenOn: tcp://127.0.0.1:1\n    target')).config?.egress).toBeUndefined();
  });

  test.each([
    ['listenOn: []', '2:54 must not be empty'],
    ['mode: tproxy', '2:51 must be one of proxy, transparent'],
    ['unmatched: allow', '2:56 must be one of deny, pass'],
    ['listen: x', '2:45 unknown key "listen"'],
    ['allow: []', '2:52 must not be empty'],
    ['allow: [api.example.com]', '2:53 an origin looks like https://api.example.com or https://*.example.com'],
    ['allow: ["https://a.b", "https://A.b:443"]', '2:68 the origin is written twice'],
    ['deny: { addresses: [10.0.0.1/8] }', '2:65 the address has bits that a block of 8 does not have'],
    ['deny: [10.0.0.0/8]', '2:51 must be a map'],
    ['reach: { addresses: [intranet] }', '2:66 a block of addresses looks like 10.0.0.0/8 or fd00::/8'],
    ['deny: { addresses: [10.0.0.0/8] }, reach: { addresses: [10.0.0.0/8] }', '2:101 the same block is in `deny`'],
    ['resolve: { a.internal: b.internal }', '2:68 the address of a name is an IP address, without a port'],
    ['resolve: { a.internal: "10.0.0.1:443" }', '2:68 the address of a name is an IP address, without a port'],
    ['resolve: { A.internal: 10.0.0.1 }', '2:56 a name is written in lower case'],
    ['resolve: { "*.internal": 10.0.0.1 }', '2:56 a host name is to be written here, and its address behind it'],
    ['resolve: { 10.0.0.1: 10.0.0.2 }', '2:56 a host name is to be written here, and its address behind it'],
    ['upstreamProxy: "socks5://p:1080"', '2:60 a proxy is a URL like http://proxy.internal:3128, http or https'],
    ['upstreamProxy: { username: jo }', '2:45 the key "url" is missing'],
    [
      'upstreamProxy: { url: "http://p:1", password: { from: env, get: X } }',
      '2:45 `username` and `password` belong together: write both',
    ],
    ['upstreamProxy: { url: "http://p:1", username: { from: envy, get: X }, password: x }', '2:99 no such provider'],
    ['ca: { store: disk }', '2:58 must be one of memory, folder'],
    ['ca: { names: ["*.github.com"] }', '2:59 a domain is meant with all names below it, not "*.github.com"'],
    ['socketMode: "999"', '2:57 has the wrong form, like 0600'],
  ])('with %s is refused', (egress, message) => {
    const text = egress.startsWith('listenOn')
      ? file(egress).replace('listenOn: "tcp://127.0.0.1:3128", ', '')
      : file(egress);
    const found = errors(text);
    expect(found).toHaveLength(1);
    if (!egress.startsWith('listenOn')) expect(found).toEqual([message]);
    expect(load(text).config).toBeUndefined();
  });

  test.each([
    ['allow: [api.example.com]', 'https://api.example.com'],
    ['allow: ["https://a.example/"]', 'https://a.example'],
    ['deny: { addresses: [10.0.0.1/8] }', '10.0.0.0/8'],
    ['resolve: { A.internal: 10.0.0.1 }', 'a.internal'],
    ['ca: { names: [".github.com"] }', 'github.com'],
    ['mode: transparant', 'transparent'],
  ])('with %s is told what was meant', (egress, suggestion) => {
    expect(load(file(egress)).problems).toMatchObject([{ suggestion }]);
  });

  test.each([
    ['unmatched: pass', '2:56 every origin without a service passes too, but for what a rule denies'],
    ['allow: ["http://a.example"]', '2:53 what goes to an http:// origin travels in clear'],
    ['allow: ["https://*.dev"]', '2:53 names of any owner are below this one'],
    ['reach: { addresses: [127.0.0.0/8] }', '2:66 a name may then lead to this machine'],
    ['reach: { addresses: ["::1"] }', '2:66 a name may then lead to this machine'],
    ['reach: { addresses: [0.0.0.0/0] }', '2:66 opens nothing: the narrower blocks of the built-in set come first'],
    [
      'reach: { addresses: [169.254.169.254] }',
      '2:66 a name may then lead to the metadata service of a cloud, which hands credentials out',
    ],
    [
      'upstreamProxy: { url: "http://p:1", resolves: true }',
      '2:91 the addresses that names lead to are then not checked here',
    ],
    ['socketMode: "0662"', '2:57 users besides the owner may connect to the socket and use the credential'],
  ])('with %s loads with a warning', (egress, message) => {
    expect(load(file(egress)).config).toBeDefined();
    expect(warnings(file(egress))).toEqual([message]);
  });

  test('in a URL of a proxy no password is shown, neither in a problem nor in the print', () => {
    const text = file('upstreamProxy: "http://jo:canary-8d2f@proxy:3128"');
    expect(errors(text)).toEqual([expect.stringContaining('write { url, username, password }')]);
    for (const url of ['"http://jo:canary-8d2f@proxy:3128"', '"http://jo:canary-8d2f@${P}:3128"']) {
      const written = [`upstreamProxy: ${url}`, `upstreamProxy: { url: ${url} }`, `upstreamProxy: [${url}]`];
      for (const one of written)
        expect(JSON.stringify(load(file(one), { environment: { P: 'p' } }))).not.toContain('canary-8d2f');
    }
    expect(JSON.stringify(load(file('', 'agents: canary-8d2f\n')).normalized)).not.toContain('canary-8d2f');
  });

  test('shows no credential in the print, and loads again from it', () => {
    const text = file(
      'upstreamProxy: { url: "http://p:1", username: jo, password: canary-8d2f }, socketMode: 0600',
      'agents: { a: { token: canary-8d2f-4b1c }, b: { token: canary-9e3a-4b1c }, c: { token: { from: env, get: C } } }\n',
    );
    const first = load(text);
    expect(JSON.stringify(first.normalized)).not.toMatch(/canary/);
    expect(first.normalized).toMatchObject({ agents: { c: { token: { from: 'env', get: 'C' } } } });
    const again = load(JSON.stringify(first.normalized));
    expect(again.config).toBeDefined();
    expect(again.normalized).toEqual(first.normalized);
  });
});

describe('who asks through egress', () => {
  test('proves it by a token of its own', () => {
    const { config, problems } = load(file('', TOKENS));
    expect(problems).toEqual([]);
    expect(config?.agents).toEqual({ scanner: { token: { from: 'env', get: 'SCANNER' } } });
  });

  test.each([
    ['{ scanner: {} }', '3:20 must not be empty'],
    ['{ scanner: { toke: a } }', '3:22 unknown key "toke"'],
    ['{ scanner: { token: { from: envy, get: A } } }', '3:37 no such provider'],
    ['{ scanner: { token: "" } }', expect.stringContaining('3:29 a token has at least 16 bytes')],
    ['{ scanner: { token: fifteen-bytes-x } }', expect.stringContaining('3:29 a token has at least 16 bytes')],
    ['{ "a:b": { token: { from: env, get: A } } }', expect.stringContaining('3:11 the name of an agent')],
    [
      '{ a: { token: { from: env, get: A } }, b: { token: { from: env, get: A } } }',
      '3:60 agent "a" has the same token: each needs its own',
    ],
    [
      '{ a: { token: sixteen-bytes-xx }, b: { token: sixteen-bytes-xx } }',
      '3:55 agent "a" has the same token: each needs its own',
    ],
  ])('is refused as %s', (agents, message) => {
    const found = errors(file('', `agents: ${agents}\n`));
    expect(found).toContainEqual(message);
  });

  test.each(['listener: true', 'uid: 1001', 'kubernetes: { serviceAccount: ci/builder }'])(
    'by %s is not in this build, and said so once',
    (proof) => {
      const { problems, config } = load(file('', `agents: { local: { ${proof} } }\n`));
      expect(config).toBeUndefined();
      expect(problems).toMatchObject([
        {
          line: 3,
          column: 20,
          kind: 'not-in-build',
          message: expect.stringContaining('in this build: write a `token`') as string,
        },
      ]);
    },
  );

  test('cannot show a token in transparent mode, unless all are one agent', () => {
    expect(errors(file('mode: transparent', TOKENS))).toEqual([
      '2:51 in transparent mode nobody can show the token of an agent: write in `egress.agent` who is asking',
    ]);
    expect(errors(file('mode: transparent, agent: pod', TOKENS))).toEqual([]);
    expect(errors(file('mode: transparent'))).toEqual([]);
  });

  test.each([
    ['', '', true],
    ['', TOKENS, false],
    ['agent: pod', TOKENS, true],
    ['mode: transparent, agent: pod', TOKENS, true],
  ])('with %j and %j from beyond loopback is warned about: %s', (egress, agents, warned) => {
    const found = warnings(file(egress, agents).replace('127.0.0.1:3128', '0.0.0.0:3128'));
    expect(found.filter((line) => line.includes('whoever reaches this address uses the credentials'))).toHaveLength(
      warned ? 1 : 0,
    );
  });

  test('is named in rules without a warning, and a name that nobody has is warned about', () => {
    const rules = (agent: string) => `rules: [{ id: a, effect: allow, agents: [${agent}] }]\n`;
    expect(warnings(file('', TOKENS + rules('scanner')))).toEqual([]);
    expect(warnings(file('agent: pod', rules('pod')))).toEqual([]);
    expect(warnings(file('', rules('local')))).toEqual([]);
    expect(warnings(file('', TOKENS + rules('scaner')))).toEqual(['4:42 no agent has this name']);
  });

  test('needs an egress listener to show its token to', () => {
    const text = file('', TOKENS)
      .replace(/^egress.*\n/m, '')
      .replace('target:', 'listenOn: tcp://127.0.0.1:1\n    target:');
    expect(warnings(text)).toEqual(['2:1 no `egress` is there to ask for their tokens']);
  });
});

describe('a service that is reached through egress', () => {
  test('needs no address, and without egress is told both ways out', () => {
    expect(errors(file('').replace(/^egress.*\n/m, ''))).toEqual([
      '3:3 the key "listenOn" is missing; without it clients need a top-level `egress`, where they ask for the target itself',
    ]);
  });

  test.each([
    [
      '  db: { connector: pg, credentials: { host: db.internal } }\n',
      '4:3 the key "listenOn" is missing: only HTTP services are reached through `egress`',
    ],
    [
      `  old: { connector: http, credentials: { t: { from: env, get: T } }, config: { authenticateURLsMatching: "^https://x/", forceSSL: true } }\n`,
      '4:3 the key "listenOn" is missing: through `egress` services with a `target` are reached',
    ],
    [
      '  all: { connector: router, credentials: { key: { from: env, get: K } } }\n',
      '4:3 the key "listenOn" is missing: through `egress` services with a `target` are reached',
    ],
    [service('a', 'https://x.example', ', listenOn: []'), expect.stringMatching(/^4:\d+ must not be empty$/)],
    [service('a', 'https://x.example', ', agent: jo'), expect.stringContaining('belongs to a listener')],
    [service('-', 'https://x.example').replace('-:', '"-":'), '4:3 this name stands for no service: choose another'],
    [service('a', 'https://x.example.'), expect.stringContaining('without a dot at its end')],
  ])('%s is refused: %s', (services, message) => {
    expect(errors(file('', '', services))).toEqual([message]);
  });

  test('has an origin and a path of its own', () => {
    const two = (a: string, b: string, more = '') => service('a', a) + service('b', b, more);
    const same = '5:33 service "a" has the same target: give one a path of its own, or a `listenOn`';
    expect(errors(file('', '', two('https://x.example', 'https://X.example:443/')))).toEqual([same]);
    expect(errors(file('', '', two('https://x.example/v1', 'https://x.example/v1')))).toEqual([same]);
    expect(errors(file('', '', two('https://x.example', 'https://x.example/v1')))).toEqual([]);
    expect(errors(file('', '', two('https://x.example', 'https://x.example:8443')))).toEqual([]);
    const listening = two('https://x.example', 'https://x.example', ', listenOn: "tcp://127.0.0.1:1"');
    expect(errors(file('', '', listening))).toEqual([]);
  });

  test('is not in `allow` too, while those below a name may be', () => {
    expect(errors(file('allow: ["https://a.example", "https://api.github.com:443"]'))).toEqual([
      '2:74 is the target of service "github", which gets its requests: leave it out of one',
    ]);
    expect(errors(file('allow: ["https://*.github.com", "https://api.github.com:444"]'))).toEqual([]);
    const listening = GITHUB.replace('target', 'listenOn: tcp://127.0.0.1:1\n    target');
    expect(errors(file('allow: ["https://api.github.com"]', '', listening))).toEqual([]);
  });

  test('has a host that certificates may be issued for', () => {
    expect(errors(file('ca: { names: [github.com] }'))).toEqual([]);
    expect(errors(file('ca: { names: [api.github.com] }'))).toEqual([]);
    const refused = [expect.stringContaining('no certificate may be issued for this host')];
    expect(errors(file('ca: { names: [hub.com] }'))).toEqual(refused);
    expect(errors(file('ca: { names: [github.com] }', '', service('a', 'https://192.0.2.7')))).toEqual(refused);
    expect(errors(file('ca: { names: [github.com] }', '', service('a', 'http://127.0.0.1:1')))).toEqual([]);
  });

  test('has the port of its scheme in transparent mode, where listeners are ports too', () => {
    expect(errors(file('mode: transparent', '', service('a', 'https://x.example:8443')))).toEqual([
      expect.stringContaining('in transparent mode connections come from the ports 443 and 80 alone'),
    ]);
    expect(errors(file('mode: transparent').replace('tcp://127.0.0.1:3128', 'unix:///run/e.sock'))).toEqual([
      expect.stringContaining('connections are redirected to ports'),
    ]);
  });

  test('travels in clear with a warning, as behind a listener', () => {
    expect(warnings(file('', '', service('a', 'http://x.example')))).toEqual([
      expect.stringContaining('the credential travels in clear'),
    ]);
  });

  test('is what egress is for: one that leads nowhere is warned about', () => {
    const listening = GITHUB.replace('target', 'listenOn: tcp://127.0.0.1:1\n    target');
    expect(warnings(file('', '', listening))).toEqual([expect.stringContaining('2:1 leads nowhere')]);
    expect(warnings(file('allow: ["https://a.example"]', '', listening))).toEqual([]);
  });

  test('needs no address for editors either, but a service without a target does', () => {
    const validate = new Ajv({ strict: false }).compile(emitSchema(wholeCatalog));
    expect(validate(parse(file('unmatched: pass', TOKENS)))).toBe(true);
    expect(validate(parse(file('upstreamProxy: "http://p:1", socketMode: 0600')))).toBe(true);
    expect(validate(parse(file('').replace(/ {4}target.*\n/, '')))).toBe(false);
    expect(validate(parse(file('mode: reverse')))).toBe(false);
    expect(validate(parse(file('', 'agents: { a: {} }\n')))).toBe(false);
  });
});

describe('a service whose connector knows its hosts', () => {
  const options = { catalog: examplesCatalog };
  const CREDENTIALS = 'credentials: { accessKeyId: { from: env, get: I }, secretAccessKey: { from: env, get: S } }';
  const cloud = (name: string, more = ''): string => `  ${name}: { connector: aws, ${CREDENTIALS}${more} }\n`;
  const listening = ', listenOn: "tcp://127.0.0.1:1"';

  test('needs neither target nor address where there is an egress', () => {
    const { config, problems } = load(file('', '', cloud('a')), options);
    expect(problems).toEqual([]);
    expect(config?.services).toMatchObject([{ name: 'a', listenOn: [], match: [] }]);
    expect(config?.services[0]?.target).toBeUndefined();
    expect(errors(file('', '', cloud('a')).replace(/^egress.*\n/m, ''), options)).toEqual([
      '3:3 the key "listenOn" is missing',
    ]);
  });

  test('is the only one, beside those with an address or a target', () => {
    expect(errors(file('', '', cloud('a') + cloud('b')), options)).toEqual([
      '5:3 finds out itself where requests go, as service "a" does: through `egress` one may, so give one a `target` or a `listenOn`',
    ]);
    const beside = cloud('b', listening) + cloud('c', ', target: "https://s3.aws.test"');
    expect(errors(file('', '', cloud('a') + beside), options)).toEqual([]);
  });

  test('gets the requests of its hosts, which `allow` therefore does not name, nor has it an agent of its own', () => {
    expect(errors(file('allow: ["https://s3.aws.test"]', '', cloud('a')), options)).toEqual([
      '2:53 is a host of service "a", which gets its requests: leave it out',
    ]);
    const others = 'allow: ["https://*.aws.test", "https://s3.aws.test:8443", "http://s3.aws.test", "https://x.test"]';
    expect(errors(file(others, '', cloud('a')), options)).toEqual([]);
    expect(errors(file('allow: ["https://s3.aws.test"]', '', cloud('a', listening)), options)).toEqual([]);
    expect(errors(file('', '', cloud('a', ', agent: jo')), options)).toEqual([
      expect.stringContaining('belongs to a listener'),
    ]);
  });

  test('needs no address for editors either', () => {
    const validate = new Ajv({ strict: false }).compile(emitSchema(examplesCatalog));
    expect(validate(parse(file('', '', cloud('a'))))).toBe(true);
  });
});

describe('a file without services', () => {
  const lone = (egress: string, more = ''): string => file(egress, '', '').replace('services:\n', more);

  test('is one whose egress lets something pass', () => {
    for (const more of ['', 'services: {}\n']) {
      expect(load(lone('allow: ["https://a.example"]', more)).config?.services).toEqual([]);
      expect(errors(lone('unmatched: pass', more))).toEqual([]);
    }
    expect(errors(lone(''))).toEqual(['1:1 the key "services" is missing']);
    expect(errors(lone('', 'services: {}\n'))).toEqual(['3:11 must not be empty']);
    expect(errors('version: "2"\nservices: {}\n')).toEqual(['2:11 must not be empty']);
    expect(errors('version: "2"\n')).toEqual(['1:1 the key "services" is missing']);
  });

  test('is that for editors where it has an egress', () => {
    const validate = new Ajv({ strict: false }).compile(emitSchema(wholeCatalog));
    expect(validate(parse(lone('unmatched: pass')))).toBe(true);
    expect(validate({ version: '2' })).toBe(false);
    expect(validate({ version: '2', services: {} })).toBe(false);
    expect(validate({ version: '2', services: [] })).toBe(false);
  });
});

describe('the addresses of egress', () => {
  test.each([
    ['telemetry: { listenOn: "tcp://127.0.0.1:3128" }\n', '2:21 the address is taken by `telemetry.listenOn`'],
    ['telemetry: { listenOn: "tcp://0.0.0.0:3128" }\n', '2:21 the address is taken by `telemetry.listenOn`'],
  ])('are not those of %s', (more, message) => {
    expect(errors(file('', more))).toEqual([message]);
  });

  test('are not those of a service, nor of the control socket', () => {
    const services = service('a', 'https://x.example', ', listenOn: "tcp://127.0.0.1:3128"');
    expect(errors(file('', '', GITHUB + services))).toEqual([
      expect.stringContaining('the address is taken by `egress.listenOn`'),
    ]);
    const socket = file('').replace('tcp://127.0.0.1:3128', 'unix:///state/control.sock');
    expect(errors(socket)).toEqual([expect.stringContaining('the address is taken by `control.socket`')]);
    const ephemeral = service('a', 'https://x.example', ', listenOn: "tcp://127.0.0.1:0"');
    expect(errors(file('', '', GITHUB + ephemeral).replace(':3128', ':0'))).toEqual([]);
  });
});

describe('`http2` of a service', () => {
  test.each(['auto', 'always', 'never'])('may be %s', (http2) => {
    const { config } = load(file('', '', service('a', 'https://x.example', `, http2: ${http2}`)));
    expect(config?.services[0]?.http2).toBe(http2);
  });

  test('is nothing else, and nothing for other connectors', () => {
    expect(errors(file('', '', service('a', 'https://x.example', ', http2: true')))).toHaveLength(1);
    const db =
      '  db: { connector: pg, listenOn: "tcp://127.0.0.1:1", http2: never, credentials: { host: db.internal } }\n';
    expect(errors(file('', '', GITHUB + db))).toEqual([
      expect.stringMatching(/^9:\d+ `http2` is for services of HTTP connectors: pg speaks a protocol of its own$/),
    ]);
    const validate = new Ajv({ strict: false }).compile(emitSchema(ownCatalog));
    expect(validate(parse(file('', '', db)))).toBe(false);
  });
});

describe('`deliver` of a rule', () => {
  const rule = (text: string) => `rules: [{ id: a, effect: allow, ${text} }]\n`;

  test('is kept as written', () => {
    const { config, problems } = load(file('', rule('deliver: [inject, value]')));
    expect(problems).toEqual([]);
    expect(config?.rules).toEqual([{ id: 'a', effect: 'allow', deliver: ['inject', 'value'] }]);
  });

  test.each(['deliver: []', 'deliver: value', 'deliver: [minted]', 'deliver: [value, value]', 'delivery: [value]'])(
    'is refused as %s',
    (text) => {
      expect(errors(file('', rule(text)))).toHaveLength(1);
    },
  );
});
