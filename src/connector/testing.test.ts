import { Type } from '../schema.ts';
import { describe, expect, test } from 'vitest';
import { defineHttpConnector, type HttpConnector } from './connector.ts';
import { withHeader, withoutHeader, withQueryParameter, type RequestHead } from './head.ts';
import { lineOf } from './text.ts';
import { SidecarError } from '../error.ts';
import { conformanceChecks, credentialsOf, inspectConnector, requestHead, type ConnectorSample } from './testing.ts';

const sample: ConnectorSample = { config: { realm: 'eu' }, credentials: { key: 'canary-key-123' } };

/** A connector that keeps everything: one header and one query parameter. */
const sound = defineHttpConnector({
  kind: 'http',
  name: 'vendor-key',
  aliases: ['vendor_key'],
  summary: 'the key of a vendor',
  config: Type.Object({ realm: Type.String() }, { additionalProperties: false }),
  credentials: [{ name: 'key', required: true, meaning: 'key of the vendor', example: 'k-1' }],
  open: ({ realm }) => ({
    authenticate(head, credentials) {
      const key = lineOf(credentials.get('key'), 'key');
      return { head: withQueryParameter(withHeader(head, 'X-Vendor-Key', `${realm}:${key}`), 'vendor-key', key) };
    },
  }),
}) as unknown as HttpConnector;

type Authenticate = ReturnType<HttpConnector['open']>['authenticate'];

function sending(authenticate: Authenticate): HttpConnector {
  return { ...sound, open: () => ({ authenticate }) };
}

async function findings(connector: HttpConnector, given = sample): Promise<string[]> {
  return (await inspectConnector(connector, given)).map(({ check, problem }) => `${check}: ${problem}`);
}

const keyOf = (credentials: Parameters<Authenticate>[1]): string => lineOf(credentials.get('key'), 'key');

describe('the kit', () => {
  test('finds nothing wrong with a sound connector, by fourteen checks', async () => {
    expect(await findings(sound)).toEqual([]);
    expect(conformanceChecks(sound, sample)).toHaveLength(14);
  });

  test('judges a connector that begins with requests that the sample presents', async () => {
    const proof = 'sent-by-ada';
    const beginning: HttpConnector = {
      ...sound,
      routes: true,
      open: (config) => {
        const own = sound.open(config);
        const authenticate: Authenticate = (...given) => own.authenticate(...given);
        return {
          authenticate: () => {
            throw new Error('the service itself is not asked');
          },
          begin: ({ head, origin }) => {
            if (!head.headers.includes(proof)) throw new SidecarError('caller-unproven');
            const body = () => ({ digest: { memory: 1, disk: 1 } });
            return { origin: origin!, head: withoutHeader(head, 'X-Proof'), credentialed: true, body, authenticate };
          },
        };
      },
    };
    const present = (head: RequestHead) => withHeader(withHeader(head, 'Host', 'localhost'), 'X-Proof', proof);
    expect(await findings(beginning, { ...sample, present })).toEqual([]);
    expect((await findings(beginning)).join()).toContain('does not prove');
  });

  const form = 'its name, aliases and summary have the form of the catalog';
  const strict = 'its schema refuses unknown keys at every level';
  const described = 'its credentials are described and the sample provides them';
  test.each<[string, Partial<HttpConnector>, string]>([
    ['a name that is no folder', { name: 'Vendor_Key' }, `${form}: name "Vendor_Key" is not a kebab-case word`],
    ['an alias like the name', { aliases: ['vendor-key'] }, `${form}: a name stands twice among name and aliases`],
    ['an empty summary', { summary: ' ' }, `${form}: summary is not one line`],
    [
      'an open schema',
      { config: Type.Object({ realm: Type.String() }) },
      `${strict}: config accepts keys that it does not name`,
    ],
    [
      'a schema open further down',
      {
        config: Type.Object(
          { realm: Type.String(), more: Type.Optional(Type.Array(Type.Object({ a: Type.String() }))) },
          { additionalProperties: false },
        ),
      },
      `${strict}: config.more[] accepts keys that it does not name`,
    ],
    [
      'a schema that takes anything somewhere',
      { config: Type.Object({ realm: Type.Unknown() }, { additionalProperties: false }) },
      `${strict}: config.realm accepts keys that it does not name`,
    ],
    [
      'a check that refuses the sample',
      { check: () => [{ path: [], message: 'never good' }] },
      'its schema and check() accept the sample: check() refuses the sample: never good',
    ],
    [
      'a credential without a meaning',
      { credentials: [{ name: 'key', required: true, meaning: '', example: 'k' }] },
      `${described}: credential "key" lacks a meaning or an example`,
    ],
  ])('finds %s', async (_, change, expected) => {
    expect(await findings({ ...sound, ...change })).toEqual([expected]);
  });

  test('finds a sample too short to look for', async () => {
    const short = { ...sample, credentials: { key: 'abc' } };
    expect(await findings(sound, short)).toContain(
      `${described}: the sample's credential "key" is shorter than 8 characters`,
    );
  });

  test.each<[string, Authenticate, string]>([
    [
      'a connector that does nothing',
      (head, credentials) => ({ head: keyOf(credentials) === '' ? head : { ...head } }),
      'authenticate puts the credential on the request: authenticate changed neither a header nor a parameter',
    ],
    [
      'the given head returned',
      (head, credentials) => {
        (head.headers as string[]).push('X-Vendor-Key', keyOf(credentials));
        return { head };
      },
      'authenticate returns a new head and leaves the given one untouched: authenticate changed the head that it was given',
    ],
    [
      'client copies left in another case',
      (head, credentials) => ({ head: { ...head, headers: [...head.headers, 'X-Vendor-Key', keyOf(credentials)] } }),
      "authenticate removes client copies in every spelling: a client's own X-Vendor-Key is still there",
    ],
    [
      'client copies left with an underscore',
      (head, credentials) => {
        const kept = head.headers.filter((_, at) => head.headers[at - (at % 2)]!.toLowerCase() !== 'x-vendor-key');
        return { head: { ...head, headers: [...kept, 'X-Vendor-Key', keyOf(credentials)] } };
      },
      "authenticate removes client copies in every spelling: a client's own X_Vendor_Key is still there",
    ],
    [
      'client copies left in the query',
      (head, credentials) => ({ head: { ...head, target: `${head.target}&key=${keyOf(credentials)}` } }),
      "authenticate removes client copies in every spelling: a client's own query parameter is still there",
    ],
    [
      'a query written anew',
      (head, credentials) => {
        const [path, query] = head.target.split('?');
        const target = `${path}?${new URLSearchParams(query).toString()}`;
        return { head: withHeader({ ...head, target }, 'X-Vendor-Key', keyOf(credentials)) };
      },
      'authenticate keeps all other fields and parameters byte for byte: the target is not the given one, with parameters appended at most',
    ],
    [
      'a framing field',
      (head, credentials) => ({ head: withHeader(head, 'Transfer_Encoding', keyOf(credentials)) }),
      'authenticate injects well-formed fields and none of the framing: the field Transfer_Encoding belongs to the connection',
    ],
    [
      'a field outside ASCII',
      (head, credentials) => ({ head: withHeader(head, 'X-Vendor-Key', `\u00fc${keyOf(credentials)}`) }),
      'authenticate injects well-formed fields and none of the framing: the field X-Vendor-Key is not one line of ASCII',
    ],
    [
      'raw bytes of the secret',
      (head, credentials) => ({
        head: withHeader(
          head,
          'X-Vendor-Key',
          credentials.get('key').expose((bytes) => bytes.toString('latin1')),
        ),
      }),
      'an unfit secret is refused with credential-unfit: credential "key" with a line break was sent',
    ],
    [
      'an optional reading of a required credential',
      (head, credentials) => ({
        head: withHeader(head, 'X-Vendor-Key', credentials.has('key') ? keyOf(credentials) : 'anonymous'),
      }),
      'a missing credential is refused with credential-missing: authenticate did not refuse to go on without credential "key"',
    ],
    [
      'an error that quotes',
      (head, credentials) => {
        const raw = credentials.get('key').expose((bytes) => bytes.toString());
        if (raw !== raw.trim() || /[\p{Cc}\u20ac]/u.test(raw))
          throw new SidecarError('credential-unfit', { detail: raw });
        return { head: withHeader(head, 'X-Vendor-Key', keyOf(credentials)) };
      },
      'no error quotes a secret: the error for a broken credential "key" quotes a secret',
    ],
  ])('finds %s', async (_, authenticate, expected) => {
    expect(await findings(sending(authenticate))).toContain(expected);
  });

  test('finds an instance that is shared between two services', async () => {
    const shared = sound.open({ realm: 'eu' });
    expect(await findings({ ...sound, open: () => shared })).toEqual([
      'each use takes the credentials of its own lease: open returned one instance for two services',
    ]);
  });

  test('finds a secret kept from an earlier lease, and one that prints', async () => {
    const keeping = (): HttpConnector => ({
      ...sound,
      open: () => {
        const kept: { key?: string } = {};
        return {
          kept,
          authenticate(head, credentials) {
            kept.key ??= keyOf(credentials);
            return { head: withHeader(head, 'X-Vendor-Key', kept.key) };
          },
        };
      },
    });
    const found = await findings(keeping());
    expect(found).toContain('each use takes the credentials of its own lease: a secret of another lease was sent');
    expect(found).toContain('the service prints no secret: the service prints a secret after its use');
  });
});

describe('credentialsOf and requestHead', () => {
  test('credentials are secrets, and a missing one is an error of the right code', () => {
    const credentials = credentialsOf({ key: 'value' });
    expect(String(credentials.get('key'))).toBe('[secret]');
    expect([credentials.names, credentials.has('key'), credentials.has('other')]).toEqual([['key'], true, false]);
    expect(() => credentials.get('other')).toThrow(expect.objectContaining({ code: 'credential-missing' }));
  });

  test('a head is frozen and keeps the order of its lines', () => {
    const head = requestHead('GET', '/', { A: ['1', '2'], b: '3' });
    expect(head.headers).toEqual(['A', '1', 'A', '2', 'b', '3']);
    expect(() => (head.headers as string[]).push('x')).toThrow(TypeError);
  });
});
