import type { PgCase } from './place.ts';

/** A value there and back, and as text of the server. */
function type(name: string, expression: string, expected: unknown): PgCase {
  return [`reads ${name}`, (at) => at.value(`select ${expression} as value`), expected];
}

function parameter(name: string, cast: string, value: unknown, expected: unknown = value): PgCase {
  return [`sends ${name} and reads it back`, (at) => at.value(`select $1::${cast} as value`, [value]), expected];
}

export const TYPES: readonly PgCase[] = [
  type('a smallint', '(-32768)::int2', -32_768),
  type('an integer', '2147483647', 2_147_483_647),
  type('a bigint as text', '9223372036854775807::int8', '9223372036854775807'),
  type('a numeric of 200 digits as text', `('1' || repeat('0', 200) || '.5')::numeric`, `1${'0'.repeat(200)}.5`),
  type('numeric NaN as text', `'NaN'::numeric`, 'NaN'),
  type('a real', '1.5::float4', 1.5),
  type('a double of 17 digits', '0.1::float8 + 0.2::float8', 0.300_000_000_000_000_04),
  type('infinite doubles', `'-Infinity'::float8`, -Infinity),
  type('true', 'true', true),
  type('false', 'false', false),
  type('null', 'null::int', null),
  type('money as text', '12.34::money', '$12.34'),
  type('a char padded', `'a'::char(3)`, 'a  '),
  type('a text of other scripts', `'åß漢字🦉'`, 'åß漢字🦉'),
  type('an empty text', `''`, ''),
  type('a uuid', `'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid`, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
  type('bytea', `'\\x00ff10'::bytea`, Buffer.from([0, 255, 16])),
  type('an empty bytea', `''::bytea`, Buffer.alloc(0)),
  type('a bit string', `B'1011'`, '1011'),
  type('json', `'{"a": [1, null, "x"]}'::json`, { a: [1, null, 'x'] }),
  type('jsonb', `'{"b": {"c": true}}'::jsonb`, { b: { c: true } }),
  type('a timestamp with time zone', `'2020-02-29 12:00:00+00'::timestamptz`, new Date('2020-02-29T12:00:00Z')),
  type('a timestamp of infinity', `'infinity'::timestamptz`, Infinity),
  type('a timestamp before Christ', `'0044-03-15 12:00:00+00 BC'::timestamptz`, new Date('-000043-03-15T12:00:00Z')),
  type('a time', `'12:34:56.789'::time`, '12:34:56.789'),
  type('a point', `'(1.5,2)'::point`, { x: 1.5, y: 2 }),
  type('a circle', `'<(1,2),3>'::circle`, { x: 1, y: 2, radius: 3 }),
  type('an inet', `'10.0.0.0/8'::inet`, '10.0.0.0/8'),
  type('a range', 'int4range(1, 5)', '[1,5)'),
  type('an xid', `'17'::xid`, '17'),
  type('an array of integers', 'array[1, null, 3]', [1, null, 3]),
  type('an array of arrays', `array[['a,b', '"'], ['{}', null]]`, [
    ['a,b', '"'],
    ['{}', null],
  ]),
  type('an empty array', `'{}'::text[]`, []),
  type('an array with bounds', `'[2:3]={7,8}'::int[]`, [7, 8]),
  type('an array of dates as jsonb', `array['{"a":1}'::jsonb]`, [{ a: 1 }]),
  type('an array of bytea', `array['\\x01'::bytea]`, [Buffer.from([1])]),
  type('a record as text', `row(1, 'x y', null)`, '(1,"x y",)'),
  type('a tsvector', `to_tsvector('simple', 'fat cats')`, "'cats':2 'fat':1"),
  parameter('an integer', 'int', 42),
  parameter('a negative double', 'float8', -0.5),
  parameter('a bigint', 'int8', 9_007_199_254_740_993n, '9007199254740993'),
  parameter('a boolean', 'bool', true),
  parameter('a text with every quote', 'text', `' " \\ $$ \n \t`),
  parameter('a date', 'timestamptz', new Date('2021-07-08T09:10:11.123Z')),
  parameter('an object', 'jsonb', { deep: [{ er: null }] }),
  parameter('an array of text', 'text[]', ['a', null, 'c,"d"', '\\']),
  parameter('nested arrays', 'int[]', [
    [1, 2],
    [3, 4],
  ]),
  parameter('bytes', 'bytea', Buffer.from([0, 1, 2, 255])),
  parameter('bytes of a view', 'bytea', new Uint8Array([9, 8]).subarray(1), Buffer.from([8])),
  parameter('an array of bytes', 'bytea[]', [Buffer.from('x')]),
  parameter('a value with toPostgres', 'int', { toPostgres: () => '5' }, 5),
  [
    'sends 20 MB of bytes and reads them back',
    async (at) => {
      const sent = Buffer.alloc(20_000_000, 'bytes of all kinds \0\x01');
      return sent.equals((await at.value('select $1::bytea', [sent])) as Buffer);
    },
    true,
  ],
  [
    'keeps a custom type parser',
    async (at) => {
      const client = await at.connect();
      client.setTypeParser(20, (text) => BigInt(text));
      return (await client.query('select 5::int8 as n')).rows as unknown;
    },
    [{ n: 5n }],
  ],
  [
    'reads an enum and a composite of its own',
    async (at) => {
      await at.query(`create type pg_temp.mood as enum ('sad', 'happy')`);
      await at.query('create type pg_temp.pair as (a int, b pg_temp.mood)');
      return at.rows(`select 'happy'::pg_temp.mood as mood, row(1, 'sad')::pg_temp.pair as pair`);
    },
    [{ mood: 'happy', pair: '(1,sad)' }],
  ],
];
