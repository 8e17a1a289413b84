import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { asksForReplication, databaseOf, parameterOf, parseStartup, rebuildStartup, textOf } from './startup.ts';
import { startupPacket } from './testdata/packets.ts';

const identity = { user: Buffer.from('role'), database: Buffer.from('orders'), options: [] };

describe('a StartupMessage', () => {
  test('keeps version, order, duplicates and bytes of everything but user and database', () => {
    const packet = startupPacket(
      [
        ['client_encoding', 'LATIN1'],
        ['user', 'app'],
        ['DateStyle', Buffer.from([0xe9, 0xff])],
        ['database', 'mine'],
        ['_pq_.command', 'on'],
        ['DateStyle', ''],
        ['user', 'again'],
      ],
      0x0003270f,
    );
    expect(rebuildStartup(parseStartup(packet), identity)).toEqual(
      startupPacket(
        [
          ['user', 'role'],
          ['database', 'orders'],
          ['client_encoding', 'LATIN1'],
          ['DateStyle', Buffer.from([0xe9, 0xff])],
          ['_pq_.command', 'on'],
          ['DateStyle', ''],
        ],
        0x0003270f,
      ),
    );
  });

  test('keeps any parameters through parsing and building', () => {
    const text = fc.uint8Array({ max: 20 }).map((bytes) => Buffer.from(bytes.filter((byte) => byte !== 0)));
    const name = fc.string({ minLength: 1, unit: 'grapheme-ascii' }).filter((each) => !/^(user|database)$/.test(each));
    fc.assert(
      fc.property(fc.array(fc.tuple(name, text), { maxLength: 10 }), (parameters) => {
        const built = rebuildStartup(parseStartup(startupPacket(parameters)), identity);
        expect(built).toEqual(startupPacket([['user', 'role'], ['database', 'orders'], ...parameters]));
      }),
    );
  });

  test('takes options of the service only where the client has none of that name', () => {
    const options = [
      { name: 'application_name', value: Buffer.from('sidecar') },
      { name: 'search_path', value: Buffer.from('app') },
    ];
    const built = rebuildStartup(parseStartup(startupPacket([['application_name', 'psql']])), { ...identity, options });
    expect(parameterOf(parseStartup(built), 'application_name')?.toString()).toBe('psql');
    expect(parameterOf(parseStartup(built), 'search_path')?.toString()).toBe('app');
  });

  test.each([
    ['no terminator', startupPacket([['user', 'app']]).subarray(0, -1)],
    ['a value missing', Buffer.concat([startupPacket([]).subarray(0, -1), Buffer.from('user\0')])],
    ['bytes behind the terminator', Buffer.concat([startupPacket([['user', 'app']]), Buffer.from('x')])],
    ['nothing at all', startupPacket([]).subarray(0, -1)],
  ])('with %s is refused', (_, packet) => {
    expect(() => parseStartup(packet)).toThrow(expect.objectContaining({ code: 'downstream-protocol' }));
  });
});

describe('the database', () => {
  const of = (parameters: [string, string][], configured?: string): string =>
    databaseOf(parseStartup(startupPacket(parameters)), configured).toString();

  test('is the configured one, else the one asked for, else the name of the user', () => {
    const asked: [string, string][] = [
      ['user', 'app'],
      ['database', 'mine'],
    ];
    expect(of(asked, 'orders')).toBe('orders');
    expect(of(asked)).toBe('mine');
    expect(of([['user', 'app']])).toBe('app');
    expect(of([...asked, ['database', '']])).toBe('app');
  });

  test('is the last one asked for, as for a server', () => {
    expect(
      of([
        ['database', 'first'],
        ['database', 'last'],
      ]),
    ).toBe('last');
  });

  test('has to be known before policy decides', () => {
    expect(() => of([])).toThrow(expect.objectContaining({ code: 'downstream-protocol' }));
  });

  test('is refused where a server would cut its name to another one', () => {
    expect(of([['database', 'x'.repeat(63)]])).toHaveLength(63);
    expect(() => of([['database', 'x'.repeat(64)]])).toThrow(expect.objectContaining({ code: 'downstream-protocol' }));
  });
});

test.each([
  ['true', true],
  ['database', true],
  ['1', true],
  ['o', true],
  ['', true],
  ['falsehood', true],
  ['false', false],
  ['F', false],
  ['of', false],
  ['no', false],
  ['0', false],
])('replication=%s is seen as %s', (value, expected) => {
  expect(asksForReplication(parseStartup(startupPacket([['replication', value]])))).toBe(expected);
});

test('replication is seen wherever any of several values asks for it', () => {
  const twice: [string, string][] = [
    ['replication', 'true'],
    ['replication', 'false'],
  ];
  expect(asksForReplication(parseStartup(startupPacket(twice)))).toBe(true);
  expect(asksForReplication(parseStartup(startupPacket([])))).toBe(false);
});

test('text for policy is UTF-8, or Latin-1 where it is not', () => {
  expect(textOf(Buffer.from('café'))).toBe('café');
  expect(textOf(Buffer.from('café', 'latin1'))).toBe('caf\udce9');
  expect(textOf(Buffer.from([0xff, 0x41, 0x80]))).toBe('\udcffA\udc80');
});
