import { createHash, createHmac, type BinaryLike } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { Secret } from '../../credential/secret.ts';
import { errorOf, never, textOf } from '../../credential/testdata/source-fixture.ts';
import { VirtualClock } from '../../credential/testdata/virtual-clock.ts';
import { parseDatabase } from './database.ts';
import { rdsIam } from './index.ts';
import { RdsStore } from './rds-store.ts';
import { presignLogin } from './token.ts';

const now = new Date('2030-01-02T03:04:05.678Z');
const keysWith = (accessKeyId: string, secretAccessKey: string, sessionToken?: string) => {
  const secret = new Secret(accessKeyId);
  const token = sessionToken === undefined ? {} : { sessionToken: new Secret(sessionToken) };
  return { secret, fields: { accessKeyId: secret, secretAccessKey: new Secret(secretAccessKey), ...token } };
};

/** The hash that the other signer is given: node:crypto, in the shape it asks for. */
class Sha256 {
  readonly #hash;
  constructor(key?: BinaryLike) {
    this.#hash = key === undefined ? createHash('sha256') : createHmac('sha256', key);
  }
  update(content: BinaryLike): void {
    this.#hash.update(content);
  }
  digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }
  reset(): void {}
}

describe('a token', () => {
  it('is the one that the signer of the SDK makes, whatever the user, the host and the keys', async () => {
    const text = (max: number) => fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: max });
    const host = fc.domain().map((domain) => domain.toLowerCase());
    const port = fc.integer({ min: 1, max: 65_535 });
    const property = fc.asyncProperty(
      text(40),
      host,
      port,
      text(40),
      fc.option(text(200)),
      async (user, hostname, number, secretKey, session) => {
        const sessionToken = session ?? undefined;
        const keys = keysWith('AKIAEXAMPLE', secretKey, sessionToken);
        const token = textOf(presignLogin({ user, host: hostname, port: number }, 'eu-west-1', keys, now));
        const identity = { accessKeyId: 'AKIAEXAMPLE', secretAccessKey: secretKey };
        const credentials = sessionToken === undefined ? identity : { ...identity, sessionToken };
        const signer = new SignatureV4({
          service: 'rds-db',
          region: 'eu-west-1',
          credentials,
          sha256: Sha256 as never,
        });
        const signed = await signer.presign(
          {
            method: 'GET',
            protocol: 'https:',
            hostname,
            port: number,
            path: '/',
            query: { Action: 'connect', DBUser: user },
            headers: { host: `${hostname}:${number}` },
          },
          { signingDate: now, expiresIn: 900 },
        );
        const [address, query] = [token.slice(0, token.indexOf('/?')), token.slice(token.indexOf('?') + 1)];
        expect(address).toBe(`${hostname}:${number}`);
        const pairs = query.split('&').map((pair) => pair.split('=').map(decodeURIComponent));
        expect(Object.fromEntries(pairs)).toEqual({ ...signed.query });
      },
    );
    await fc.assert(property, { numRuns: 200 });
  });

  it('names its user with every reserved character escaped', () => {
    const token = textOf(presignLogin({ user: "o'neil (a)*", host: 'h', port: 1 }, 'r', keysWith('A', 'B'), now));
    expect(token).toContain('DBUser=o%27neil%20%28a%29%2A&');
    expect(token.startsWith('h:1/?Action=connect&')).toBe(true);
  });
});

describe('an id', () => {
  it.each([
    ['app@db.internal:5432', { user: 'app', host: 'db.internal', port: 5432 }],
    ['app@db.internal:5432?region=eu-west-1', { user: 'app', host: 'db.internal', port: 5432, region: 'eu-west-1' }],
    ['a@b@DB.Internal:1', { user: 'a@b', host: 'db.internal', port: 1 }],
    ['u@o.c1.eu-central-1.rds.amazonaws.com:5432', { region: 'eu-central-1' }],
    ['u@o.cluster-c1.us-gov-west-1.rds.amazonaws.com:5432', { region: 'us-gov-west-1' }],
    ['u@o.c1.cn-north-1.rds.amazonaws.com.cn:5432', { region: 'cn-north-1' }],
    ['u@o.c1.eu-central-1.rds.amazonaws.com.evil:5432', { host: 'o.c1.eu-central-1.rds.amazonaws.com.evil' }],
  ])('%s says who and where', (id, parts) => {
    expect(parseDatabase(id)).toMatchObject(parts);
  });

  it.each([
    '',
    'app',
    'app@db',
    'app@db:0',
    'app@db:65536',
    '@db:1',
    'a@db:1?region=',
    'a@db:1?region=A',
    'a@d b:1',
    'a\n@db:1',
    'a@db:1/x',
  ])('%j is refused on sight', (id) => {
    expect(rdsIam.checkId!(id)).toContain('user@host:port');
  });
});

describe('the store', () => {
  const ID = 'app@db.internal:5432?region=eu-west-1';
  afterEach(() => {
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_CREDENTIAL_EXPIRATION'])
      delete process.env[name];
  });
  const open = (clock: VirtualClock) => {
    process.env['AWS_ACCESS_KEY_ID'] = 'AKIABASE';
    process.env['AWS_SECRET_ACCESS_KEY'] = 'base-secret';
    return new RdsStore({ base: 'environment' }, { clock, random: () => 0 });
  };

  it('uses a token for ten minutes at most, and makes the next one in time', async () => {
    const clock = new VirtualClock();
    const store = open(clock);
    const first = await store.fetch(ID, never);
    expect(first).toMatchObject({ retained: true, expiresAt: new Date('2030-01-01T00:10:00Z') });
    expect(first.fields).toBeUndefined();
    clock.advance(399);
    expect(await store.fetch(ID, never)).toMatchObject({ secret: first.secret, cached: true });
    clock.advance(1);
    await store.fetch(ID, never);
    await expect.poll(async () => textOf((await store.fetch(ID, never)).secret)).not.toBe(textOf(first.secret));
    await store.close();
    expect(first.secret.wiped).toBe(true);
  });

  it('ends a token with the credentials that signed it', async () => {
    process.env['AWS_CREDENTIAL_EXPIRATION'] = '2030-01-01T00:05:00Z';
    const store = open(new VirtualClock());
    expect((await store.fetch(ID, never)).expiresAt).toEqual(new Date('2030-01-01T00:05:00Z'));
    await store.close();
  });

  it('makes another one after the database refused it, signed with credentials that are read again', async () => {
    const clock = new VirtualClock();
    const store = open(clock);
    await store.fetch(ID, never);
    process.env['AWS_ACCESS_KEY_ID'] = 'AKIANEW';
    clock.advance(10);
    store.forget(ID);
    expect(textOf((await store.fetch(ID, never)).secret)).toContain('AKIANEW');
    await store.close();
  });

  it('refuses where nobody says the region', async () => {
    const before = process.env['AWS_REGION'];
    delete process.env['AWS_REGION'];
    const store = open(new VirtualClock());
    expect((await errorOf(store.fetch('app@db.internal:5432', never))).detail).toContain('region');
    if (before !== undefined) process.env['AWS_REGION'] = before;
    await store.close();
  });
});
