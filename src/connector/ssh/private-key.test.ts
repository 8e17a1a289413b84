import { createSign, generateKeyPairSync } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { Secret } from '../../credential/secret.ts';
import { SidecarError } from '../../error.ts';
import ssh2 from 'ssh2';
import { afterAll, describe, expect, test } from 'vitest';
import { OPENSSH_CIPHERS } from './openssh-cipher.ts';
import { exposeEd25519 } from './openssh-file.ts';
import { readKeyObject, readPrivateKey } from './private-key.ts';
import { publicKeyOf, readPublicKey } from './public-key.ts';
import { isSignedBy, signatureAlgorithmsOf } from './signature.ts';
import { hasKeygen, KeyFolder, type MadeKey } from './testdata/keygen.ts';
import { number, strings, uint32, WireReader } from './wire.ts';

const PASSPHRASE = 'correct horse';
const TYPES = ['ed25519', 'rsa 2048', 'ecdsa 256', 'ecdsa 384', 'ecdsa 521'];
const folder = new KeyFolder();
afterAll(() => folder.remove());

const PLAIN = new Map<string, MadeKey>();
function plain(type: string): MadeKey {
  const made = PLAIN.get(type) ?? folder.make(type);
  PLAIN.set(type, made);
  return made;
}

async function detailOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof SidecarError)) throw new Error(`expected an error of ours, got ${inspect(error)}`);
  expect(error.code).toBe('credential-unfit');
  return error.detail ?? '';
}

function contained(bytes: Buffer): Secret {
  return new Secret(
    `-----BEGIN OPENSSH PRIVATE KEY-----\n${bytes.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`,
  );
}

/** The key signs with every algorithm that it has, and the public half that ssh-keygen wrote verifies it. */
async function expectKey(text: Uint8Array, blob: Buffer, passphrase?: string): Promise<void> {
  const key = await readPrivateKey(new Secret(text), passphrase === undefined ? undefined : new Secret(passphrase));
  expect(key.publicBlob).toEqual(blob);
  for (const algorithm of signatureAlgorithmsOf(key.algorithm)) {
    const signature = await key.sign(Buffer.from('to be signed'), algorithm);
    expect(new WireReader(signature).name()).toBe(algorithm);
    expect(isSignedBy(readPublicKey(blob), Buffer.from('to be signed'), signature)).toBe(true);
    expect(isSignedBy(readPublicKey(blob), Buffer.from('to be Signed'), signature)).toBe(false);
  }
}

describe.skipIf(!hasKeygen)('a key that ssh-keygen made', () => {
  for (const type of TYPES) {
    test(`of ${type} is read in every format, with a passphrase and without`, async () => {
      const { text, blob } = plain(type);
      await expectKey(text, blob);
      await expectKey(text, blob, 'one that nothing needs');
      await expectKey(Buffer.from(`\n  ${text.toString().replaceAll('\n', '\r\n')}`), blob);
      const formats = type === 'ed25519' ? ['PKCS8'] : ['PEM', 'PKCS8'];
      const sealed = folder.make(type, PASSPHRASE, '-a', '1');
      await expectKey(sealed.text, sealed.blob, PASSPHRASE);
      for (const format of formats) {
        const bare = folder.make(type, '', '-m', format);
        // Older ssh-keygen writes ed25519 in its own format only.
        await expectKey(bare.text, bare.blob);
        const shut = folder.make(type, PASSPHRASE, '-m', format, '-a', '1');
        await expectKey(shut.text, shut.blob, PASSPHRASE);
      }
    }, 60_000);
  }

  test('is read with each of the ciphers of OpenSSH', async () => {
    for (const { name } of OPENSSH_CIPHERS) {
      const type = name.startsWith('chacha') ? 'rsa 2048' : 'ed25519';
      const { text, blob } = folder.make(type, PASSPHRASE, '-Z', name, '-a', '1');
      await expectKey(text, blob, PASSPHRASE);
      expect(await detailOf(readPrivateKey(new Secret(text), new Secret('wrong')))).toContain(
        'the passphrase is wrong',
      );
    }
  }, 60_000);

  test('whose authentication tag does not hold is refused, though only its comment was changed', async () => {
    for (const [cipher, fromEnd] of [
      // Before the tag: inside the comment, whatever the padding.
      ['chacha20-poly1305@openssh.com', 16 + 12],
      ['aes256-gcm@openssh.com', 1],
    ] as const) {
      const { text } = folder.make('ed25519', PASSPHRASE, '-Z', cipher, '-a', '1');
      const container = Buffer.from(text.toString().replace(/-----.*-----|\n/g, ''), 'base64');
      container[container.length - fromEnd]! ^= 1;
      const pem = `-----BEGIN OPENSSH PRIVATE KEY-----\n${container.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`;
      expect(await detailOf(readPrivateKey(new Secret(pem), new Secret(PASSPHRASE)))).toContain('the key was changed');
    }
  }, 60_000);

  test('with a passphrase says so when none is given, and when a wrong one is', async () => {
    for (const format of ['RFC4716', 'PEM', 'PKCS8']) {
      const { text } = folder.make('ecdsa 256', PASSPHRASE, '-m', format, '-a', '1');
      expect(await detailOf(readPrivateKey(new Secret(text)))).toContain('no passphrase is given');
      expect(await detailOf(readPrivateKey(new Secret(text), new Secret('')))).toContain('no passphrase is given');
      expect(await detailOf(readPrivateKey(new Secret(text), new Secret('wrong')))).toContain(
        'the passphrase is wrong',
      );
    }
  });

  test('of RSA comes out of the OpenSSH format with every number that its PEM has', async () => {
    for (const bits of [1024, 2048, 3072, 4096]) {
      const { text, path } = folder.make(`rsa ${bits}`);
      const key = await readKeyObject(new Secret(text));
      folder.run('-q', '-p', '-N', '', '-m', 'PEM', '-f', path);
      expect(key.export({ format: 'pem', type: 'pkcs1' })).toBe(readFileSync(path, 'utf8'));
    }
  });

  test('of ed25519 is the same key to ssh-keygen and to ssh2 when it is written anew', async () => {
    const { text, line, blob } = plain('ed25519');
    const lent: Buffer[] = [];
    const parsed = await exposeEd25519(await readKeyObject(new Secret(text)), (written) => {
      writeFileSync(join(folder.path, 'written'), written, { mode: 0o600 });
      lent.push(written);
      return ssh2.utils.parseKey(Buffer.from(written));
    });
    expect(folder.run('-y', '-f', join(folder.path, 'written')).trim()).toBe(line);
    if (parsed instanceof Error) throw parsed;
    expect(parsed.getPublicSSH()).toEqual(blob);
    expect(parsed.verify(Buffer.from('by ssh2'), parsed.sign(Buffer.from('by ssh2')))).toBe(true);
    expect(lent[0]!.every((byte) => byte === 0)).toBe(true);
  });

  test('is no key where its two halves are those of two keys', async () => {
    const make = (): Buffer =>
      Buffer.from(
        folder
          .make('ecdsa 256')
          .text.toString()
          .replace(/-----.*-----|\n/g, ''),
        'base64',
      );
    const [one, other] = [make(), make()];
    // The public key stands once in front, and once in the private section.
    const begin = one.indexOf('ecdsa-sha2') + 19 + 12;
    const point = other.subarray(begin, begin + 69);
    const front = Buffer.from(one);
    front.set(point, begin);
    expect(await detailOf(readPrivateKey(contained(front)))).toContain('two halves');
    const both = Buffer.from(front);
    both.set(point, both.indexOf('ecdsa-sha2', begin) + 19 + 12);
    await detailOf(readPrivateKey(contained(both)));
  });

  test('says nothing of itself when it is printed', async () => {
    const { text } = plain('ed25519');
    const key = await readPrivateKey(new Secret(text));
    const secretLetters = text.toString().split('\n')[3]!;
    expect(inspect(key, { depth: 9, showHidden: true })).not.toContain(secretLetters);
    expect(inspect(key, { depth: 9, showHidden: true })).not.toContain('PrivateKeyObject');
    expect(Object.keys(key)).toEqual(['algorithm', 'publicBlob']);
  });

  test('is refused whenever a byte of its text is another', async () => {
    const { text, blob } = plain('ed25519');
    const container = Buffer.from(text.toString().replace(/-----.*-----|\n/g, ''), 'base64');
    let readable = 0;
    for (let at = 0; at < container.length; at += 1) {
      const changed = Buffer.from(container);
      changed[at]! ^= 1 << (at % 8);
      const pem = `-----BEGIN OPENSSH PRIVATE KEY-----\n${changed.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`;
      const key = await readPrivateKey(new Secret(pem)).catch((error: unknown) => {
        if (!(error instanceof SidecarError)) throw error;
        return undefined;
      });
      if (key === undefined) continue;
      // Letters of the comment, and nothing else, may be others.
      expect(key.publicBlob).toEqual(blob);
      readable += 1;
    }
    expect(readable).toBe('made for a test'.length);
  });

  test('is refused when it is cut anywhere', async () => {
    const { text } = plain('ecdsa 256');
    const container = Buffer.from(text.toString().replace(/-----.*-----|\n/g, ''), 'base64');
    for (let length = 0; length < container.length; length += 1) {
      const pem = `-----BEGIN OPENSSH PRIVATE KEY-----\n${container.subarray(0, length).toString('base64')}\n-----END OPENSSH PRIVATE KEY-----\n`;
      await detailOf(readPrivateKey(new Secret(pem)));
    }
  });
});

describe('a key that PuTTYgen made', () => {
  const files = join(import.meta.dirname, 'testdata');
  for (const name of readdirSync(files).filter((file) => file.endsWith('.ppk'))) {
    test(`is read: ${name}`, async () => {
      const text = readFileSync(join(files, name));
      const line = readFileSync(join(files, name.replace('.ppk', '.pub')), 'utf8');
      const passphrase = name.includes('sealed') ? PASSPHRASE : undefined;
      await expectKey(text, Buffer.from(line.split(' ')[1]!, 'base64'), passphrase);
      await expectKey(
        Buffer.from(text.toString().replaceAll('\n', '\r\n')),
        Buffer.from(line.split(' ')[1]!, 'base64'),
        passphrase,
      );
    });

    test(`is refused where its MAC does not hold: ${name}`, async () => {
      const passphrase = name.includes('sealed') ? new Secret(PASSPHRASE) : undefined;
      const text = readFileSync(join(files, name), 'utf8');
      const renamed = text.replace('comment', 'Comment');
      expect(await detailOf(readPrivateKey(new Secret(renamed), passphrase))).toContain('the key was changed');
      const shortened = text.replace(/(Private-MAC: ).*/, '$1');
      expect(await detailOf(readPrivateKey(new Secret(shortened), passphrase))).toContain('the key was changed');
      if (passphrase === undefined) return;
      expect(await detailOf(readPrivateKey(new Secret(text), new Secret('wrong')))).toContain(
        'the passphrase is wrong',
      );
      expect(await detailOf(readPrivateKey(new Secret(text)))).toContain('no passphrase is given');
    });
  }

  test('is refused before memory is given for a derivation that asks for too much', async () => {
    const text = readFileSync(join(files, 'v3-ed25519-sealed.ppk'), 'utf8');
    const greedy = [
      text.replace('Memory: 8192', 'Memory: 262145'),
      text.replace('Passes: 13', 'Passes: 5000'),
      text.replace('Parallelism: 1', 'Parallelism: 65'),
    ];
    for (const file of greedy) {
      expect(file).not.toBe(text);
      expect(await detailOf(readPrivateKey(new Secret(file), new Secret(PASSPHRASE)))).toContain('takes too much');
    }
  });
});

test('a derivation of more rounds than anyone waits for is refused before it begins', async () => {
  const options = (rounds: number): Buffer => Buffer.concat([strings(Buffer.alloc(16)), uint32(rounds)]);
  for (const rounds of [0, 2001, 0xffff_ffff]) {
    const container = Buffer.concat([
      Buffer.from('openssh-key-v1\0'),
      strings('aes256-ctr', 'bcrypt', options(rounds)),
      uint32(1),
      strings('public', Buffer.alloc(64)),
    ]);
    const begin = performance.now();
    const text = `-----BEGIN OPENSSH PRIVATE KEY-----\n${container.toString('base64')}\n-----END OPENSSH PRIVATE KEY-----`;
    const detail = await detailOf(readPrivateKey(new Secret(text), new Secret(PASSPHRASE)));
    expect(detail).toContain(`a derivation of ${rounds} rounds`);
    expect(performance.now() - begin).toBeLessThan(500);
  }
});

test('PKCS#8 of ed25519 is read, with a passphrase and without', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const { blob } = publicKeyOf(publicKey);
  await expectKey(Buffer.from(privateKey.export({ format: 'pem', type: 'pkcs8' })), blob);
  const options = { format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: PASSPHRASE } as const;
  const sealed = privateKey.export(options);
  await expectKey(Buffer.from(sealed), blob, PASSPHRASE);
  expect(await detailOf(readPrivateKey(new Secret(sealed)))).toContain('no passphrase is given');
});

test('a key of a type that SSH does not have, and a text that is none, are refused in words', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
  const foreign = privateKey.export({ format: 'pem', type: 'pkcs8' });
  expect(await detailOf(readPrivateKey(new Secret(foreign)))).toContain('that SSH does not know');
  const { privateKey: pss } = generateKeyPairSync('rsa-pss', { modulusLength: 2048 });
  const padded = pss.export({ format: 'pem', type: 'pkcs8' });
  expect(await detailOf(readPrivateKey(new Secret(padded)))).toContain('that SSH does not know');
  const { privateKey: small } = generateKeyPairSync('rsa', { modulusLength: 512 });
  const weak = small.export({ format: 'pem', type: 'pkcs8' });
  expect(await detailOf(readPrivateKey(new Secret(weak)))).toContain('512 bits');
  for (const text of ['', ' ', 'ssh-ed25519 AAAA', '-----BEGIN DSA PRIVATE KEY-----\n']) {
    await detailOf(readPrivateKey(new Secret(text)));
  }
  const { privateKey: good } = generateKeyPairSync('ed25519');
  const long = `${good.export({ format: 'pem', type: 'pkcs8' }).toString()}${'\n'.repeat(70_000)}`;
  expect(await detailOf(readPrivateKey(new Secret(long)))).toContain('a text of 70');
});

test('a key signs with no algorithm but its own', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = await readPrivateKey(new Secret(privateKey.export({ format: 'pem', type: 'pkcs8' })));
  await expect(key.sign(Buffer.from('x'), 'ssh-ed25519')).rejects.toThrow(TypeError);
  await expect(key.sign(Buffer.from('x'), 'ssh-rsa' as never)).rejects.toThrow(TypeError);
  const sha1 = createSign('sha1').update('x').sign(privateKey);
  const blob = Buffer.concat([Buffer.from([0, 0, 0, 7]), Buffer.from('ssh-rsa'), Buffer.from([0, 0, 1, 0]), sha1]);
  expect(isSignedBy(readPublicKey(key.publicBlob), Buffer.from('x'), blob)).toBe(false);
});

test('a signature of a wrong length is none, whatever its algorithm', async () => {
  const algorithms = ['ed25519', 'rsa', 'ec'] as const;
  for (const algorithm of algorithms) {
    const options = { modulusLength: 2048, namedCurve: 'P-256' };
    const { privateKey } = generateKeyPairSync(algorithm as 'ec', options);
    const key = await readPrivateKey(new Secret(privateKey.export({ format: 'pem', type: 'pkcs8' })));
    const signature = new WireReader(await key.sign(Buffer.from('x')));
    const name = signature.name();
    const raw = signature.string();
    const long = number(Buffer.alloc(33, 1));
    const wrong = [Buffer.alloc(0), raw.subarray(0, -1), Buffer.concat([raw, raw]), Buffer.concat([long, long])];
    for (const bytes of wrong) {
      expect(isSignedBy(readPublicKey(key.publicBlob), Buffer.from('x'), strings(name, bytes))).toBe(false);
    }
    const followed = Buffer.concat([strings(name, raw), Buffer.alloc(1)]);
    expect(isSignedBy(readPublicKey(key.publicBlob), Buffer.from('x'), followed)).toBe(false);
    expect(isSignedBy(readPublicKey(key.publicBlob), Buffer.from('x'), strings(name, raw))).toBe(true);
  }
});

test('a signature of RSA that lost the zeros in front is still one, as OpenSSH has it', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const key = await readPrivateKey(new Secret(privateKey.export({ format: 'pem', type: 'pkcs8' })));
  for (let attempt = 0; ; attempt += 1) {
    const bytes = Buffer.from(`attempt ${attempt}`);
    const signature = new WireReader(await key.sign(bytes));
    const name = signature.name();
    const raw = signature.string();
    if (raw[0] !== 0) continue;
    expect(isSignedBy(readPublicKey(key.publicBlob), bytes, strings(name, raw.subarray(1)))).toBe(true);
    return;
  }
});
