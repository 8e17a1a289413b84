import { generateKeyPairSync } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { connect } from 'node:net';
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { publicKeyOf } from 'secretless-sidecar/connector/ssh';
import { SidecarError } from 'secretless-sidecar/connector';
import { LoginMemory, logIn, upstreamOf } from './index.ts';
import { credentialsOf, errorOf, type Fields, login, outcomeOf } from './testdata/lending.ts';
import { Folder, keygen, noSshd, type Server, startSshd } from './testdata/servers.ts';

const testdata = (name: string): string => readFileSync(new URL(`testdata/${name}`, import.meta.url), 'utf8');

describe.skipIf(noSshd !== undefined)(`OpenSSH's server${noSshd === undefined ? '' : ` (${noSshd})`}`, () => {
  const folder = new Folder();
  let sshd: Server;
  let at: Fields;

  beforeAll(async () => {
    const [host, authority] = [folder.make('ed25519'), folder.make('ed25519')];
    writeFileSync(folder.file('authority.pub'), `${folder.line(authority)}\n`);
    execFileSync('cp', [folder.file(authority), folder.file('authority')]);
    sshd = await startSshd(folder, [
      `HostKey ${folder.file(host)}`,
      `TrustedUserCAKeys ${folder.file('authority.pub')}`,
    ]);
    at = { address: `127.0.0.1:${sshd.port}`, user: sshd.user, hostKey: folder.line(host) };
  });
  afterAll(() => {
    sshd.stop();
    folder.remove();
  });

  const types = ['ed25519', 'rsa 2048', 'ecdsa 256', 'ecdsa 384', 'ecdsa 521'];
  const formats = types.flatMap((type): [type: string, format: string, more: readonly string[]][] => {
    // ssh-keygen writes ed25519 in no other format.
    if (type === 'ed25519') return [[type, 'OpenSSH', []]];
    return [
      [type, 'OpenSSH', []],
      [type, 'PEM', ['-m', 'PEM']],
      [type, 'PKCS8', ['-m', 'PKCS8']],
    ];
  });

  test.each(formats)('takes a key of %s in the format %s, sealed and open', async (type, _format, more) => {
    const [open, sealed] = [folder.make(type, '', ...more), folder.make(type, 'pass phrase', ...more)];
    sshd.authorize(folder.line(open), folder.line(sealed));
    expect(await outcomeOf({ ...at, privateKey: folder.read(open) })).toBe('in');
    // A file ends with a line end, which is no part of the passphrase.
    expect(await outcomeOf({ ...at, privateKey: folder.read(sealed), passphrase: 'pass phrase\n' })).toBe('in');
    expect(await outcomeOf({ ...at, privateKey: folder.read(sealed), passphrase: 'other' })).toBe('credential-unfit');
    expect(await outcomeOf({ ...at, privateKey: folder.read(sealed) })).toBe('credential-unfit');
  });

  test('takes an ed25519 key as PKCS#8 and a key of PuTTY', async () => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const { blob } = publicKeyOf(privateKey);
    sshd.authorize(`ssh-ed25519 ${blob.toString('base64')}`, testdata('nistp521.pub'));
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
    expect(await outcomeOf({ ...at, privateKey: pem })).toBe('in');
    expect(await outcomeOf({ ...at, privateKey: testdata('nistp521.ppk') })).toBe('in');
  });

  test('refuses a key that it does not know, and the log tells which way', async () => {
    const key = folder.make('ed25519');
    sshd.authorize();
    const error = await errorOf({ ...at, privateKey: folder.read(key) });
    expect([error.code, error.detail]).toEqual(['credential-refused', 'the upstream refused publickey']);
  });

  test('asks for another way to log in than there is', async () => {
    const error = await errorOf({ ...at, password: 'pass-word-that-nobody-wants' });
    expect(error.code).toBe('credential-refused');
    const only = await startSshd(folder, [`HostKey ${folder.file('key-1')}`, 'AuthenticationMethods publickey']);
    const other = await errorOf({ ...at, address: `127.0.0.1:${only.port}`, password: 'pass-word' });
    expect([other.code, other.detail]).toEqual([
      'login-unsupported',
      'of the ways to log in, the upstream takes publickey',
    ]);
    only.stop();
  });

  function certified(key: string, ...options: readonly string[]): string {
    keygen('-q', '-s', folder.file('authority'), '-I', 'agent-7', ...options, folder.file(`${key}.pub`));
    return folder.read(`${key}-cert.pub`);
  }

  test.each(['ed25519', 'rsa 2048', 'ecdsa 256', 'ecdsa 521'])('takes a certificate of %s', async (type) => {
    const key = folder.make(type);
    sshd.authorize();
    const certificate = certified(key, '-n', sshd.user);
    expect(await outcomeOf({ ...at, privateKey: folder.read(key), certificate })).toBe('in');
    expect(sshd.log()).toContain('ID agent-7');
    expect(await outcomeOf({ ...at, privateKey: folder.read(key) })).toBe('credential-refused');
  });

  test('hears nothing of a certificate that cannot serve', async () => {
    const [key, other] = [folder.make('ed25519'), folder.make('ed25519')];
    const privateKey = folder.read(key);
    sshd.authorize(folder.line(key));
    const detailOf = async (certificate: string, mine = privateKey): Promise<string | undefined> => {
      const before = sshd.log().length;
      const error = await errorOf({ ...at, privateKey: mine, certificate });
      expect(error.code).toBe('credential-unfit');
      expect(error.next).toContain('certificate');
      expect(sshd.log().slice(before)).not.toMatch(/Accepted|Failed|userauth/);
      return error.detail;
    };
    const day = ['-V', '20200101000000Z:20200102000000Z'];
    expect(await detailOf(certified(key, '-n', sshd.user, ...day))).toBe('the certificate has expired');
    const later = ['-V', '20990101000000Z:20990102000000Z'];
    expect(await detailOf(certified(key, '-n', sshd.user, ...later))).toBe('the certificate is not valid yet');
    expect(await detailOf(certified(key, '-n', 'git'))).toBe('the certificate is not for the user that logs in');
    expect(await detailOf(certified(key, '-h', '-n', sshd.user))).toBe('the certificate is one of a host');
    const good = certified(key, '-n', sshd.user);
    expect(await detailOf(good, folder.read(other))).toBe('the certificate belongs to another key');
    const bent = good.replace(
      / (AAAA\S{80})(.)/,
      (_, head: string, one: string) => ` ${head}${one === 'A' ? 'B' : 'A'}`,
    );
    expect(await detailOf(bent)).toContain('the certificate cannot be used');
    expect(await detailOf(folder.line(key))).toContain('a key, and no certificate');
    expect(await outcomeOf({ ...at, privateKey, certificate: good })).toBe('in');
  });

  test('sees another key and certificate with each connection where a provider makes them so', async () => {
    const memory = new LoginMemory();
    for (const run of ['one', 'two', 'three']) {
      const passphrase = `phrase-${run}`;
      const key = folder.make('ed25519', passphrase);
      const certificate = certified(key, '-n', sshd.user, '-I', `run-${run}`, '-V', 'always:+1m');
      const fields = { ...at, privateKey: folder.read(key), passphrase, certificate };
      expect(await outcomeOf(fields, { memory, version: run })).toBe('in');
      expect(sshd.log()).toContain(`ID run-${run}`);
    }
    memory.close();
  });

  test('is told nothing where a key has to be read for a connection that is gone', async () => {
    const key = folder.make('ed25519', 'sealed');
    const credentials = credentialsOf({ ...at, privateKey: folder.read(key), passphrase: 'sealed' });
    const upstream = upstreamOf(credentials);
    const socket = connect(sshd.port, '127.0.0.1');
    const done = logIn(socket, { credentials, version: '1', upstream, memory: new LoginMemory(), loginSeconds: 10 });
    socket.destroy(new Error('reset by somebody'));
    await expect(done).rejects.toMatchObject({ code: 'upstream-closed' });
  });

  test('is left when the connection is to be over, with the reason that it is over for', async () => {
    const key = folder.make('ed25519');
    sshd.authorize(folder.line(key));
    const ended = new SidecarError('grant-ended');
    const signal = AbortSignal.abort(ended);
    await expect(login({ ...at, privateKey: folder.read(key) }, { signal })).rejects.toBe(ended);
    const error = await errorOf({ ...at, privateKey: folder.read(key) }, { loginSeconds: 0 });
    expect(error.code).toBe('upstream-timeout');
  });

  test('is not told of a text that is no key', async () => {
    expect(await outcomeOf({ ...at, privateKey: 'no key' })).toBe('credential-unfit');
    expect(await outcomeOf({ ...at, certificate: 'x' })).toBe('credential-missing');
    expect(await outcomeOf(at)).toBe('credential-missing');
    expect(await outcomeOf({ ...at, password: 'two\nlines' })).toBe('credential-unfit');
  });
});
