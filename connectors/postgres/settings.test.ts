import { type Credentials, type SidecarError } from 'secretless-sidecar/connector';
import { credentialsOf } from 'secretless-sidecar/connector/testing';
import { describe, expect, test } from 'vitest';
import { type CredentialName, settingsOf } from './settings.ts';
import { targetUrl } from './target.ts';

const lend = (values: Record<string, string | Uint8Array>) =>
  credentialsOf({ username: 'role', ...values }) as Credentials<CredentialName>;

function read(values: Record<string, string | Uint8Array>) {
  const settings = settingsOf(lend(values));
  return {
    ...settings,
    urls: settings.targets.map(targetUrl),
    user: settings.username.toString(),
    secret: settings.password?.expose((bytes) => bytes.toString()),
    options: settings.options.map(({ name, value }) => `${name}=${value.toString()}`),
  };
}

describe('credentials', () => {
  test.each<[Record<string, string>, string[]]>([
    [{ host: 'db' }, ['postgres://db:5432']],
    [{ host: 'db', port: '5433' }, ['postgres://db:5433']],
    [{ host: 'a,b', port: '1,2' }, ['postgres://a:1', 'postgres://b:2']],
    [{ host: 'a,b', port: '7' }, ['postgres://a:7', 'postgres://b:7']],
    [{ host: '::1' }, ['postgres://[::1]:5432']],
    [{ host: '/run/pg', port: '6' }, ['postgres://%2Frun%2Fpg%2F.s.PGSQL.6']],
    [{ address: 'db:5433' }, ['postgres://db:5433']],
    [{ address: '[::1]:5433' }, ['postgres://[::1]:5433']],
    [{ address: 'db' }, ['postgres://db:5432']],
    [{ url: 'postgres://a:1,b/x' }, ['postgres://a:1', 'postgres://b:5432']],
    [{ url: 'postgres://a:1/x', host: 'b' }, ['postgres://b:5432']],
    [{ url: 'postgres://a:1/x', port: '2' }, ['postgres://a:2']],
    [{ url: 'postgres://a/x?hostaddr=10.0.0.1' }, ['postgres://10.0.0.1:5432']],
    [{ url: 'postgres:///x' }, ['postgres://localhost:5432']],
  ])('%j lead to %j', (values, urls) => {
    expect(read(values).urls).toEqual(urls);
  });

  test('win over the parts of a URL', () => {
    const url = 'postgres://other:theirs@db/x?sslmode=disable&sslhost=a';
    const own = read({ url, username: 'mine', password: 'ours', sslmode: 'verify-ca', sslhost: 'b' });
    expect(own).toMatchObject({ user: 'mine', secret: 'ours', sslmode: 'verify-ca', sslhost: 'b' });
    const { username: _, ...none } = { username: '', url };
    const urls = settingsOf(credentialsOf(none));
    expect(urls).toMatchObject({ sslmode: 'disable', sslhost: 'a' });
    expect(urls.username.toString()).toBe('other');
  });

  test('by other names are startup options, and so are parameters of a URL that say nothing about connecting', () => {
    const url = 'postgres://db/x?application_name=a&connect_timeout=5&keepalives=1&search_path=app';
    expect(read({ url, statement_timeout: '5s' }).options).toEqual([
      'statement_timeout=5s',
      'application_name=a',
      'search_path=app',
    ]);
  });

  test('never change what policy has seen: user, database, replication', () => {
    const { options } = read({
      url: 'postgres://db/other?dbname=other&database=other&replication=off',
      database: 'other',
      user: 'other',
      replication: 'true',
    });
    expect(options).toEqual([]);
  });

  test.each([
    ['secret', 'secret'],
    ['secret\n', 'secret'],
    ['secret\r\n', 'secret'],
    ['secret\n\n', 'secret\n'],
    [' secret ', ' secret '],
    ['', ''],
  ])('the password %j is sent as %j', (given, sent) => {
    expect(read({ host: 'db', password: given }).secret).toBe(sent);
  });

  test('a password is a copy, so that wiping it leaves the lease whole', () => {
    const credentials = lend({ host: 'db', password: 'secret' });
    settingsOf(credentials).password!.wipe();
    expect(credentials.get('password').expose((bytes) => bytes.toString())).toBe('secret');
  });

  test.each<[Record<string, string>, string]>([
    [{ host: 'db hunter2' }, 'credential-unfit'],
    [{ host: 'user:hunter2' }, 'credential-unfit'],
    [{ host: 'a,b,c', port: '1,2' }, 'credential-unfit'],
    [{ host: 'db', port: '0' }, 'credential-unfit'],
    [{ host: 'db', port: '65536' }, 'credential-unfit'],
    [{ host: 'db', port: 'hunter2' }, 'credential-unfit'],
    [{ host: 'db', sslmode: 'hunter2' }, 'credential-unfit'],
    [{ host: 'db', password: 'hunter2\0' }, 'credential-unfit'],
    [{ host: 'db', username: '' }, 'credential-missing'],
    [{ address: 'db:5432/hunter2' }, 'credential-unfit'],
    [{ address: '::1' }, 'credential-unfit'],
    [{ url: 'postgres://u:hunter2@db/x?sslmode=verify_full' }, 'credential-unfit'],
    [{ url: 'postgres://u:hunter2@db/x?channel_binding=maybe' }, 'credential-unfit'],
    [{ url: 'postgres://u:hunter2@db/x?require_auth=!md5' }, 'credential-unfit'],
    [{ url: 'postgres://u:hunter2@db/x?target_session_attrs=read-write' }, 'credential-unfit'],
    [{ url: 'postgres://u:hunter2@db/x?gssencmode=require' }, 'credential-unfit'],
    [{ url: 'postgres://u:hunter2@db/x?sslcrl=/crl.pem' }, 'credential-unfit'],
    [{ url: 'postgres://u:hunter2@a,b/x?hostaddr=10.0.0.1' }, 'credential-unfit'],
    [{}, 'credential-missing'],
  ])('%j are refused without quoting them', (values, code) => {
    const thrown = caught(() => settingsOf(lend(values)));
    expect(thrown.code).toBe(code);
    expect(`${thrown.message} ${thrown.detail}`).not.toContain('hunter2');
  });

  test('demands of a URL are kept for the login', () => {
    const url =
      'postgres://db/x?channel_binding=require&require_auth=scram-sha-256,%20none&sslnegotiation=direct&ssl=true';
    expect(read({ url })).toMatchObject({
      channelBinding: 'require',
      requireAuth: ['scram-sha-256', 'none'],
      sslnegotiation: 'direct',
      sslmode: 'require',
    });
  });
});

describe('a host is local', () => {
  test.each([
    ['localhost', true],
    ['LOCALHOST', true],
    ['127.0.0.1', true],
    ['127.255.0.9', true],
    ['::1', true],
    ['/run/pg', true],
    ['127.example.com', false],
    ['localhost.example.com', false],
    ['10.0.0.1', false],
    ['::2', false],
  ])('%s: %s', (host, local) => {
    expect(read({ host }).targets[0]!.local).toBe(local);
  });

  test('by the address that is dialled, whatever its name', () => {
    expect(read({ url: 'postgres://localhost/x?hostaddr=10.0.0.1' }).targets[0]!.local).toBe(false);
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
