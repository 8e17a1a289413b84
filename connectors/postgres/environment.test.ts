import { expect, test } from 'vitest';
import { environmentOf } from './environment.ts';

const question = { owner: 'local', target: false };

test('clients are led to the listener, by libpq’s variables and by a URL', () => {
  expect(environmentOf({}, { ...question, url: 'tcp://127.0.0.1:5433' })).toMatchObject({
    set: { PGHOST: '127.0.0.1', PGPORT: '5433', PGUSER: 'local', PGSSLMODE: 'disable', PGGSSENCMODE: 'disable' },
    url: 'postgres://local@127.0.0.1:5433/?sslmode=disable',
  });
});

test('the database is named where the service fixes one, the agent where one is asked for, TLS where it is offered', () => {
  const config = { database: 'a/b', tls: 'self-signed' } as const;
  expect(environmentOf(config, { ...question, agent: 'scanner', url: 'tcp://[::1]:5432' })).toMatchObject({
    set: { PGHOST: '::1', PGDATABASE: 'a/b', PGUSER: 'scanner', PGSSLMODE: 'require' },
    url: 'postgres://scanner@[::1]:5432/a%2Fb?sslmode=require',
  });
});

test('a socket is found by its folder and its number', () => {
  expect(environmentOf({}, { ...question, url: 'unix:///run/or ders/.s.PGSQL.5432' })).toMatchObject({
    set: { PGHOST: '/run/or ders', PGPORT: '5432' },
    url: 'postgres://local@/?host=%2Frun%2For%20ders&port=5432&sslmode=disable',
  });
  expect(environmentOf({}, { ...question, url: 'unix:///run/db.sock' })).toHaveProperty('problem');
});

test('nothing is left that holds a password or leads past the listener', () => {
  const { unset } = environmentOf({}, { ...question, url: 'tcp://127.0.0.1:5432' }) as { unset: readonly string[] };
  expect(unset).toEqual(expect.arrayContaining(['PGPASSWORD', 'PGPASSFILE', 'PGHOSTADDR', 'PGSERVICE', 'PGSSLKEY']));
});
