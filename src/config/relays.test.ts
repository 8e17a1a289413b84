import { Ajv } from 'ajv';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { emitSchema } from './emit.ts';
import { errors as allErrors, load as loadAny, wholeCatalog } from './testdata/catalogs.ts';

const catalog = { catalog: wholeCatalog };
const load = (source: string) => loadAny(source, catalog);
const errors = (source: string) => allErrors(source, catalog);

interface Written {
  readonly connector?: string;
  readonly listenOn?: string;
  readonly via?: string;
  readonly more?: string;
}

/** A file of these services, each one line: `first` is line 3. */
function services(written: Readonly<Record<string, Written>>): string {
  const lines = Object.entries(written).map(([name, { connector = 'ssh', listenOn, via, more }]) => {
    const keys = [
      `connector: ${connector}`,
      ...(listenOn === undefined ? [] : [`listenOn: ${listenOn}`]),
      'credentials: { address: x, privateKey: y }',
      ...(via === undefined ? [] : [`config: { via: ${via} }`]),
      ...(more === undefined ? [] : [more]),
    ];
    return `  ${JSON.stringify(name)}: { ${keys.join(', ')} }\n`;
  });
  return `version: "2"\nservices:\n${lines.join('')}`;
}

const HERE = '"tcp://127.0.0.1:2222"';
const THERE = '"tcp://127.0.0.1:2223"';

describe('services that share an address', () => {
  test('may be of one connector that finds out which one is meant', () => {
    const { config } = load(services({ build: { listenOn: HERE }, 'web-1.corp_x': { listenOn: HERE } }));
    expect(config?.services.map(({ listenOn }) => listenOn)).toEqual([
      [{ kind: 'tcp', host: '127.0.0.1', port: 2222 }],
      [{ kind: 'tcp', host: '127.0.0.1', port: 2222 }],
    ]);
  });

  test('may not be of two connectors, and not of one that cannot tell', () => {
    expect(errors(services({ a: { listenOn: HERE }, b: { listenOn: HERE, connector: 'ssh-agent' } }))).toEqual([
      expect.stringContaining('the address is taken by service "a": only services of ssh share one'),
    ]);
    expect(errors(services({ a: { listenOn: HERE, connector: 'ssh-agent' }, b: { listenOn: HERE } }))).toEqual([
      expect.stringContaining('the address is taken by service "a": only HTTP services share one'),
    ]);
    const agents = { a: { listenOn: HERE, connector: 'ssh-agent' }, b: { listenOn: HERE, connector: 'ssh-agent' } };
    expect(errors(services(agents))).toEqual([
      expect.stringContaining('the address is taken by service "a": only HTTP services share one'),
    ]);
    const mixed = { a: { listenOn: HERE }, b: { listenOn: HERE, connector: 'http', more: 'target: "https://x.y"' } };
    expect(errors(services(mixed))).toEqual([expect.stringContaining('only services of ssh share one')]);
  });

  test('belong to one agent, and agree on the mode of the socket', () => {
    const socket = '"unix:///run/ssh.sock"';
    expect(
      errors(services({ a: { listenOn: socket, more: 'agent: one' }, b: { listenOn: socket, more: 'agent: two' } })),
    ).toEqual([expect.stringContaining('service "a" gives this address to another agent')]);
    const modes = (first: string, second: string) =>
      services({ a: { listenOn: socket, more: first }, b: { listenOn: socket, more: second } });
    expect(errors(modes('socketMode: "0600"', 'socketMode: "0640"'))).toEqual([
      expect.stringContaining('service "a" says otherwise for the same address'),
    ]);
    const { config } = load(modes('socketMode: "0640"', 'agent: local'));
    expect(config?.services.map(({ socketMode }) => socketMode)).toEqual([0o640, 0o640]);
  });

  test.each(['a--b', '-a', 'a b', 'a+b', 'bücher', 'a:b', 'a/b', 'a@b', 'a%b'])(
    'have names that go behind that of a user: %j is refused',
    (name) => {
      const problems = errors(services({ [name]: { listenOn: HERE }, zed: { listenOn: HERE } }));
      expect(problems).toEqual([expect.stringMatching(/^3:3 a service that shares its address has a name of letters/)]);
      expect(errors(services({ [name]: { listenOn: HERE }, zed: { listenOn: THERE } }))).toEqual([]);
    },
  );
});

describe('what is wrong with an address that is shared', () => {
  test('is not said of a service whose connector nobody knows', () => {
    const found = errors(services({ a: { listenOn: HERE, connector: 'nothing' }, b: { listenOn: HERE } }));
    expect(found).toEqual([expect.stringContaining('unknown connector "nothing"')]);
  });

  test('is not that of names where nothing is shared, and not of HTTP services at all', () => {
    const apart = services({ 'a--b': { listenOn: HERE }, zed: { listenOn: HERE, connector: 'ssh-agent' } });
    expect(errors(apart)).toEqual([expect.stringContaining('the address is taken by service "a--b"')]);
    const web = (name: string) =>
      `  "${name}": { connector: http, listenOn: ${HERE}, credentials: { t: x }, config: { authenticateURLsMatching: ["^https://${name.at(0)}\\\\.x/"], forceSSL: true, headers: { A: "{{ .t }}" } } }\n`;
    expect(errors(`version: "2"\nservices:\n${web('a--b')}${web('z z')}`)).toEqual([]);
  });
});

describe('a way through other services', () => {
  test('may lead over some that have no address of their own', () => {
    const { config, problems } = load(
      services({
        bastion: {},
        inner: { via: 'bastion' },
        target: { listenOn: HERE, via: 'inner' },
        other: { listenOn: THERE, via: 'inner' },
      }),
    );
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
    expect(config?.services.map(({ name, listenOn }) => [name, listenOn.length])).toEqual([
      ['bastion', 0],
      ['inner', 0],
      ['other', 1],
      ['target', 1],
    ]);
    expect(load(services({ a: { more: 'listenOn: []' }, b: { listenOn: HERE, via: 'a' } })).config).toBeDefined();
  });

  test.each<[string, Readonly<Record<string, Written>>, string]>([
    ['a service that is not there', { bastion: { listenOn: THERE }, t: { listenOn: HERE, via: 'bastian' } }, '4:'],
    [
      'a service of another connector',
      { a: { connector: 'mysql', listenOn: THERE }, t: { listenOn: HERE, via: 'a' } },
      '4:',
    ],
    ['itself', { t: { listenOn: HERE, via: 't' } }, '3:'],
  ])('does not lead through %s', (_, written, line) => {
    const found = load(services(written)).problems.filter(({ severity }) => severity === 'error');
    expect(found).toHaveLength(1);
    expect(found[0]).toMatchObject({ path: 'services.t.config.via', line: Number(line.replace(':', '')) });
  });

  test('that is mistyped is told what was meant', () => {
    const file = services({ bastion: { listenOn: THERE }, t: { listenOn: HERE, via: 'bastian' } });
    expect(load(file).problems).toContainEqual(
      expect.objectContaining({ message: 'there is no service "bastian"', suggestion: 'bastion' }),
    );
  });

  test('is not told to be its own way', () => {
    const { problems } = load(services({ target: { listenOn: HERE, via: 'targer' } }));
    const said = problems.find(({ message }) => message.includes('there is no service "targer"'));
    expect(said).toBeDefined();
    expect(said?.suggestion).toBeUndefined();
  });

  test('in a circle is refused once for each service in it, and once is enough for those that lead into it', () => {
    const file = services({ a: { via: 'b' }, b: { via: 'a' }, c: { listenOn: HERE, via: 'a' } });
    const found = errors(file).filter((line) => line.includes('circle'));
    expect(found).toEqual([
      expect.stringContaining('the way leads in a circle: "a" → "b" → "a"'),
      expect.stringContaining('the way leads in a circle: "b" → "a" → "b"'),
    ]);
    expect(load(file).config).toBeUndefined();
  });

  test('leads through four services at most', () => {
    const chain = (count: number) =>
      services({
        ...Object.fromEntries(
          Array.from({ length: count }, (_, at) => [`s${at}`, at === 0 ? {} : { via: `s${at - 1}` }]),
        ),
        t: { listenOn: HERE, via: `s${count - 1}` },
      });
    expect(errors(chain(4))).toEqual([]);
    expect(errors(chain(5)).filter((line) => line.includes('more than 4 services'))).toHaveLength(1);
  });
});

describe('a service without an address', () => {
  test.each([{}, { connector: 'ssh-agent' }, { connector: 'mysql' }])(
    'is refused where nothing leads through it: %o',
    (written) => {
      expect(errors(services({ a: written }))).toEqual(['3:3 the key "listenOn" is missing']);
      expect(errors(services({ a: { ...written, more: 'listenOn: []' } }))).toEqual([
        expect.stringMatching(/^3:\d+ must not be empty$/),
      ]);
    },
  );

  test('is refused where only a way that is wrong leads through it', () => {
    expect(errors(services({ a: { connector: 'mysql' }, t: { listenOn: HERE, via: 'a' } }))).toContain(
      '3:3 the key "listenOn" is missing',
    );
  });

  test('is refused beside whatever else is missing', () => {
    expect(errors('version: "2"\nservices: { a: {}, b: { connector: ssh }, c: [] }\n')).toEqual([
      '2:13 the key "connector" is missing',
      '2:13 the key "credentials" is missing',
      '2:13 the key "listenOn" is missing',
      '2:20 the key "credentials" is missing',
      '2:20 the key "listenOn" is missing',
      expect.stringMatching(/^2:/),
    ]);
  });

  test('is not asked for where what leads through it is right and the rest of it is wrong', () => {
    const file = `version: "2"\nservices:\n  a: { connector: ssh }\n${services({ t: { listenOn: HERE, via: 'a' } }).split('\n')[2]}\n`;
    expect(errors(file)).toEqual(['3:3 the key "credentials" is missing']);
  });

  test('passes the schema for editors only where its connector has such ways', () => {
    const validate = new Ajv({ strict: false }).compile(emitSchema(wholeCatalog));
    expect(validate(parse(services({ a: {}, t: { listenOn: HERE, via: 'a' } })))).toBe(true);
    expect(validate(parse(services({ a: { connector: 'mysql' } })))).toBe(false);
    expect(validate(parse(services({ a: { connector: 'mysql', listenOn: HERE } })))).toBe(true);
  });
});

test.each([
  ['ssh', 'target: "ssh://x"', 'ssh is told where to go by its credentials (address)'],
  ['ssh-agent', 'target: "ssh://x"', 'ssh-agent has no upstream of its own'],
  ['ssh', 'unmatched: pass', 'ssh decides what becomes of each connection'],
  ['ssh', 'tls: { ca: x }', 'ssh protects what it carries itself'],
  ['ssh', 'limits: { body: 1MiB }', 'a connection of ssh has no request bodies'],
])('%s refuses %s and says why', (connector, more, why) => {
  expect(errors(services({ a: { connector, listenOn: HERE, more } }))).toEqual([
    expect.stringMatching(new RegExp(`is for services of HTTP connectors: ${why.replace(/[()]/g, '\\$&')}$`)),
  ]);
});

test('a relay rests as long as it likes, and has as many connections as its listener', () => {
  const file = services({ a: { listenOn: HERE } });
  expect(load(file).config?.services[0]).toMatchObject({
    timeouts: { idleSeconds: 0 },
    limits: { upstreamConnections: Infinity },
  });
});
