import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Asking, type Credentials } from 'secretless-sidecar/connector';
import { credentialsOf } from 'secretless-sidecar/connector/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { type CredentialName, settingsOf } from './settings.ts';
import { targetOf } from './target.ts';
import { attemptsFor, refuseWeakDirect, tlsMaterial, tlsOptions } from './tls-plan.ts';
import type { SslMode } from './words.ts';

const remote = targetOf('db.example.com', '');
const local = targetOf('127.0.0.1', '');
const words = (mode: SslMode | undefined, target = remote, authorities?: string): string =>
  attemptsFor(target, mode, authorities)
    .map(({ tls, verify }) => `${tls}/${verify}`)
    .join(' ');

describe('sslmode', () => {
  test.each<[SslMode | undefined, string]>([
    ['disable', 'no/none'],
    ['allow', 'no/none required/none'],
    ['prefer', 'offered/none no/none'],
    ['require', 'required/none'],
    ['verify-ca', 'required/chain'],
    ['verify-full', 'required/full'],
    [undefined, 'required/full'],
  ])('%s is %s', (mode, expected) => {
    expect(words(mode)).toBe(expected);
  });

  test('is verify-full where nothing is said, and prefer on this machine', () => {
    expect(words(undefined)).toBe('required/full');
    expect(words(undefined, local)).toBe('offered/none no/none');
  });

  test('require with authorities verifies them, as libpq does', () => {
    expect(words('require', remote, 'PEM')).toBe('required/chain');
  });

  test.each<SslMode>(['disable', 'allow', 'prefer', 'require', 'verify-ca'])(
    '%s beside the authorities of the system is verify-full',
    (mode) => {
      expect(words(mode, remote, 'system')).toBe('required/full');
    },
  );

  test('is nothing to a Unix socket', () => {
    expect(words('verify-full', targetOf('/run/pg', ''))).toBe('no/none');
  });

  test('has to be require or stronger where TLS begins at once', () => {
    for (const mode of ['allow', 'prefer', 'disable'] as const) {
      expect(() => refuseWeakDirect('direct', attemptsFor(remote, mode, undefined))).toThrow(
        expect.objectContaining({ code: 'config-invalid' }),
      );
      refuseWeakDirect('postgres', attemptsFor(remote, mode, undefined));
    }
    refuseWeakDirect('direct', attemptsFor(remote, 'require', undefined));
  });
});

describe('certificates', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pem-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const pem = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  const file = join(folder, 'a.pem');
  writeFileSync(file, pem);
  writeFileSync(join(folder, 'large.pem'), Buffer.alloc(1024 * 1024 + 1));

  const material = (values: Record<string, string>) =>
    finish(
      tlsMaterial(settingsOf(credentialsOf({ host: 'db', username: 'r', ...values }) as Credentials<CredentialName>)),
    );

  test.each([
    ['PEM', pem],
    ['a file', file],
  ])('are taken from %s', async (_, value) => {
    const { authorities, certificate, key } = await material({ sslrootcert: value, sslcert: value, sslkey: value });
    expect([authorities, certificate, key?.expose((bytes) => bytes.toString())]).toEqual([pem, pem, pem]);
  });

  test('of the system are only named', async () => {
    expect((await material({ sslrootcert: 'system' })).authorities).toBe('system');
  });

  test('from a URL are files', async () => {
    expect((await material({ url: `postgres://db/x?sslrootcert=${file}` })).authorities).toBe(pem);
  });

  test.each([
    ['a file that is not there', '/nowhere/to/be/found.pem'],
    ['a folder', folder],
    ['a file over the limit', join(folder, 'large.pem')],
    ['a relative path', 'a.pem'],
    ['another device', '/dev/zero'],
  ])('are not taken from %s', async (_, value) => {
    await expect(material({ sslrootcert: value })).rejects.toMatchObject({ code: 'credential-unfit' });
  });

  test.each(['sslcert', 'sslkey'])('%s does not come alone', async (name) => {
    await expect(material({ [name]: pem })).rejects.toMatchObject({ code: 'credential-unfit' });
  });

  test('a key goes into a session as a copy, which the session overwrites', async () => {
    const held = await material({ sslcert: pem, sslkey: pem });
    const attempt = { tls: 'required', verify: 'full' } as const;
    tlsOptions(remote, attempt, held, undefined).key!.fill(0);
    expect(tlsOptions(remote, attempt, held, 'other.name')).toMatchObject({
      servername: 'other.name',
      verify: 'full',
      alpn: ['postgresql'],
      key: Buffer.from(pem),
    });
    expect(tlsOptions(remote, attempt, held, undefined).servername).toBe('db.example.com');
  });
});

/** Runs what asks for nothing but `compute`. */
async function finish<Result>(asking: Asking<Result>): Promise<Result> {
  let next = asking.next();
  while (next.done !== true) {
    if (next.value.do !== 'compute') throw new Error(`asked to ${next.value.do}`);
    const { work } = next.value;
    try {
      next = asking.next(await work());
    } catch (error) {
      next = asking.throw(error);
    }
  }
  return next.value;
}
