import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SshError } from '../transport/index.ts';
import { errorOf, type Fields, login, outcomeOf } from './testdata/lending.ts';
import { Folder, keygen, noSshd, type Server, startSshd } from './testdata/servers.ts';

describe.skipIf(noSshd !== undefined)(`host keys of OpenSSH${noSshd === undefined ? '' : ` (${noSshd})`}`, () => {
  const folder = new Folder();
  const types = ['ed25519', 'ecdsa 256', 'rsa 2048'] as const;
  let hosts: readonly string[];
  let sshd: Server;
  let certified: Server;
  let authority: string;
  let at: Fields;

  beforeAll(async () => {
    hosts = types.map((type) => folder.make(type));
    authority = folder.make('ecdsa 384');
    const own = folder.make('ed25519');
    const keys = hosts.map((host) => `HostKey ${folder.file(host)}`);
    sshd = await startSshd(folder, keys);
    const files = hosts.map((host) => folder.file(`${host}.pub`));
    keygen('-q', '-s', folder.file(authority), '-I', 'hosts', '-h', '-n', '127.0.0.1,web', ...files);
    certified = await startSshd(folder, [
      ...keys,
      ...hosts.map((host) => `HostCertificate ${folder.file(`${host}-cert.pub`)}`),
    ]);
    for (const server of [sshd, certified]) server.authorize(folder.line(own));
    at = { user: sshd.user, privateKey: folder.read(own) };
  });
  afterAll(() => {
    sshd.stop();
    certified.stop();
    folder.remove();
  });

  const address = (server = sshd): string => `127.0.0.1:${server.port}`;
  const named = (line: string, server = sshd): string => `[127.0.0.1]:${server.port} ${line}\n`;
  const blobOf = (name: string): Buffer => Buffer.from(folder.line(name).split(' ')[1] ?? '', 'base64');

  /** The host key algorithm that a login ends up with. */
  async function shown(fields: Fields): Promise<string> {
    const leg = await login({ ...at, ...fields });
    leg.raw.end(new SshError('aborted', 'seen enough'));
    return leg.negotiated.serverHostKey;
  }

  test.each([
    [0, 'ssh-ed25519'],
    [1, 'ecdsa-sha2-nistp256'],
    [2, 'rsa-sha2-512'],
  ])('of several, the one that is known is asked for: %i, %s', async (index, algorithm) => {
    const host = hosts[index] ?? '';
    const line = folder.line(host);
    const ways: string[] = [line, line.split(' ')[1] ?? '', keygen('-lf', folder.file(`${host}.pub`))];
    for (const hostKey of [...ways, blobOf(host)]) {
      expect(await shown({ address: address(), hostKey })).toBe(algorithm);
    }
    expect(await shown({ address: address(), knownHosts: `# mine\n\n${named(line)}` })).toBe(algorithm);
  });

  test('are found by a fingerprint alone where the type that the server prefers has it', async () => {
    const [, pin = ''] = keygen('-lf', folder.file(`${hosts[0]}.pub`)).split(' ');
    expect(await shown({ address: address(), hostKey: pin })).toBe('ssh-ed25519');
    const [, rsa = ''] = keygen('-lf', folder.file(`${hosts[2]}.pub`)).split(' ');
    const error = await errorOf({ ...at, address: address(), hostKey: rsa });
    expect(error.code).toBe('host-key-unknown');
    expect(error.detail).toContain(`the ssh-ed25519 host key ${pin}`);
    expect(await shown({ address: address(), hostKey: `${rsa}, ${pin}` })).toBe('ssh-ed25519');
  });

  test('are found under names that are hashed', async () => {
    const file = folder.file('hashed');
    writeFileSync(file, named(folder.line(hosts[0] ?? '')));
    keygen('-q', '-H', '-f', file);
    const knownHosts = folder.read('hashed');
    expect(knownHosts).toContain('|1|');
    expect(await shown({ address: address(), knownHosts })).toBe('ssh-ed25519');
  });

  test('that nobody knows end the login before the credential is used', async () => {
    const before = sshd.log().length;
    const other = folder.line(folder.make('ed25519'));
    const bad: Fields[] = [
      {},
      { hostKey: other },
      { knownHosts: named(other) },
      { knownHosts: `127.0.0.1 ${folder.line(hosts[0] ?? '')}\n` },
      { knownHosts: `somewhere ${folder.line(hosts[0] ?? '')}\n` },
      { knownHosts: '' },
      // A type that the server has no key of.
      { hostKey: folder.line(folder.make('ecdsa 521')) },
    ];
    for (const known of bad) {
      expect(await outcomeOf({ ...at, address: address(), ...known }), JSON.stringify(known)).toBe('host-key-unknown');
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(sshd.log().slice(before)).not.toMatch(/Accepted|Failed|publickey/);
    expect(await outcomeOf({ ...at, address: address(), hostKey: folder.line(hosts[0] ?? '') })).toBe('in');
  });

  test('that are unknown are taken only where it is written so', async () => {
    const insecure = { insecure: true };
    expect(await outcomeOf({ ...at, address: address() }, insecure)).toBe('in');
    const other = folder.line(folder.make('ed25519'));
    expect(await outcomeOf({ ...at, address: address(), hostKey: other }, insecure)).toBe('host-key-unknown');
    expect(await outcomeOf({ ...at, address: address(), knownHosts: named(other) }, insecure)).toBe('host-key-unknown');
  });

  test('that are revoked are refused, whatever else knows them', async () => {
    const line = folder.line(hosts[0] ?? '');
    const knownHosts = `@revoked * ${line}\n${named(line)}`;
    expect(await outcomeOf({ ...at, address: address(), hostKey: line, knownHosts })).toBe('host-key-unknown');
    expect(await outcomeOf({ ...at, address: address(), hostKey: line, knownHosts: named(line) })).toBe('in');
  });

  test('that cannot be read are told of by their line', async () => {
    const error = await errorOf({ ...at, address: address(), knownHosts: 'one two\n' });
    expect([error.code, error.detail]).toEqual([
      'credential-unfit',
      expect.stringContaining('"knownHosts" cannot be read: line 1'),
    ]);
  });

  describe('with certificates', () => {
    const trusting = (line: string): string => `@cert-authority * ${line}\n`;

    test('are known by their authority', async () => {
      const knownHosts = trusting(folder.line(authority));
      expect(await shown({ address: address(certified), knownHosts })).toBe('ssh-ed25519-cert-v01@openssh.com');
    });

    test.each(types.map((type, index) => [type, index] as const))('of %s are verified', async (_type, index) => {
      const host = hosts[index] ?? '';
      const one = await startSshd(folder, [
        `HostKey ${folder.file(host)}`,
        `HostCertificate ${folder.file(`${host}-cert.pub`)}`,
      ]);
      one.authorize(folder.line('key-5'));
      const knownHosts = trusting(folder.line(authority));
      const algorithm = await shown({ address: address(one), knownHosts });
      expect(algorithm).toMatch(/^(ssh-ed25519|ecdsa-sha2-nistp256|rsa-sha2-512)-cert-v01@openssh.com$/);
      one.stop();
    });

    test('of another authority, another name, another kind or another time are not', async () => {
      const strange = folder.make('ed25519');
      const outcomeWith = async (
        signer: string,
        knownHosts: string,
        ...options: readonly string[]
      ): Promise<string> => {
        const host = folder.make('ed25519');
        keygen('-q', '-s', folder.file(signer), '-I', 'x', ...options, folder.file(`${host}.pub`));
        const one = await startSshd(folder, [
          `HostKey ${folder.file(host)}`,
          `HostCertificate ${folder.file(`${host}-cert.pub`)}`,
        ]);
        one.authorize(folder.line('key-5'));
        const outcome = await outcomeOf({ ...at, address: address(one), knownHosts });
        one.stop();
        return outcome;
      };
      const known = trusting(folder.line(authority));
      const name = ['-h', '-n', '127.0.0.1'];
      expect(await outcomeWith(authority, known, ...name)).toBe('in');
      expect(await outcomeWith(strange, known, ...name)).toBe('host-key-unknown');
      expect(await outcomeWith(authority, known, '-h', '-n', 'db')).toBe('host-key-unknown');
      expect(await outcomeWith(authority, known, '-h')).toBe('host-key-unknown');
      const past = ['-V', '20200101000000Z:20200102000000Z'];
      expect(await outcomeWith(authority, known, ...name, ...past)).toBe('host-key-unknown');
      const revoked = `${known}@revoked * ${folder.line(authority)}\n`;
      expect(await outcomeWith(authority, revoked, ...name)).toBe('host-key-unknown');
    });

    test('are left aside where only the key is known', async () => {
      const hostKey = folder.line(hosts[0] ?? '');
      expect(await shown({ address: address(certified), hostKey })).toBe('ssh-ed25519');
    });
  });
});
