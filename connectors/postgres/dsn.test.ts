import fc from 'fast-check';
import { Secret, SidecarError } from 'secretless-sidecar/connector';
import { describe, expect, test } from 'vitest';
import { parseDsn } from './dsn.ts';

function read(text: string | Buffer) {
  const { hosts, user, password, parameters } = parseDsn(new Secret(text));
  return {
    hosts: hosts.map(({ host, port }) => `${host}|${port}`),
    user,
    password: password?.expose((bytes) => bytes.toString('latin1')),
    parameters: Object.fromEntries(parameters),
  };
}

describe('a connection URL', () => {
  test.each([
    ['postgres://', { hosts: ['|'] }],
    ['postgresql://localhost', { hosts: ['localhost|'] }],
    ['POSTGRES://db:5433/orders', { hosts: ['db|5433'] }],
    ['postgres://u:p@db', { hosts: ['db|'], user: 'u', password: 'p' }],
    ['postgres://u@db', { hosts: ['db|'], user: 'u' }],
    ['postgres://a:1,b,[::1]:3/x', { hosts: ['a|1', 'b|', '::1|3'] }],
    ['postgres://%2Fvar%2Frun:5433', { hosts: ['/var/run|5433'] }],
    ['postgres:///x?host=/tmp&port=7', { hosts: ['/tmp|7'], parameters: { host: '/tmp', port: '7' } }],
    ['postgres://u:a%40b%3a%25@db', { hosts: ['db|'], user: 'u', password: 'a@b:%' }],
    ['postgres://u:a@b@db', { hosts: ['db|'], user: 'u', password: 'a@b' }],
    ['postgres://u:a:b@db', { hosts: ['db|'], user: 'u', password: 'a:b' }],
    ['postgres://db?options=-c%20geqo%3Doff&a=1', { hosts: ['db|'], parameters: { options: '-c geqo=off', a: '1' } }],
    ['postgres://db?user=u&password=p%26', { hosts: ['db|'], user: 'u', password: 'p&', parameters: { user: 'u' } }],
    ['postgres://db?a=1+2&b=', { hosts: ['db|'], parameters: { a: '1+2', b: '' } }],
    ['postgres://db/x\r\n', { hosts: ['db|'] }],
  ])('%s is read', (text, expected) => {
    expect(read(text)).toEqual({ user: undefined, password: undefined, parameters: {}, ...expected });
  });

  test('gives any password back byte for byte', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (bytes) => {
        const password = Buffer.from(bytes.map((byte) => byte || 1));
        const escaped = [...password].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
        expect(read(`postgres://u:${escaped}@db`).password).toBe(password.toString('latin1'));
        expect(read(`postgres://db?password=${escaped}`).password).toBe(password.toString('latin1'));
      }),
    );
  });

  test.each([
    'mysql://db',
    'host=db password=hunter2',
    'postgres://u:hunter2%@db',
    'postgres://u:hunter2%zz@db',
    'postgres://u:hunter2%00@db',
    'postgres://u:hunter2@[::1',
    'postgres://u:hunter2@[::1]x',
    'postgres://db?hunter2',
    'postgres://db?=hunter2',
    `postgres://${'a,'.repeat(40)}hunter2`,
    `postgres://db?${'a=1&'.repeat(200)}hunter2=1`,
    `postgres://${'x'.repeat(200_000)}`,
    'postgres://u:hun\0ter2@db',
    'postgres://a,b,c?port=1,2',
  ])('that is none is refused without quoting it: %.40s', (text) => {
    const thrown = caught(() => parseDsn(new Secret(text)));
    expect(thrown).toMatchObject({ code: 'credential-unfit' });
    expect(`${thrown.message} ${thrown.detail}`).not.toContain('hunter2');
  });

  test('of any bytes is read or refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          parseDsn(new Secret(Buffer.concat([Buffer.from('postgres://'), bytes])));
        } catch (error) {
          expect(error).toBeInstanceOf(SidecarError);
        }
      }),
    );
  });
});

function caught(run: () => unknown): SidecarError {
  try {
    run();
  } catch (error) {
    return error as SidecarError;
  }
  throw new Error('nothing was thrown');
}
