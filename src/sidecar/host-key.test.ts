import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { publicKeyOf } from '../connector/ssh/public-key.ts';
import { hostKey, hostKeyPath } from './host-key.ts';

function stateFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'host-key-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, 'state');
}

async function problemOf(folder: string): Promise<string> {
  const problem = await hostKey(folder).then(
    () => 'none',
    (error: unknown) => error,
  );
  expect(problem).toMatchObject({ code: 'config-invalid' });
  return (problem as Error).message;
}

test('the host key is made once, is nobody else’s to read, and stays the same', async () => {
  const folder = stateFolder();
  const first = await hostKey(folder);
  expect(first.asymmetricKeyType).toBe('ed25519');
  expect(first.type).toBe('private');
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  expect(statSync(hostKeyPath(folder)).mode & 0o777).toBe(0o600);
  expect(readdirSync(folder)).toEqual(['ssh_host_ed25519_key']);
  expect((await hostKey(folder)).equals(first)).toBe(true);
});

test('sidecars that start at the same time end with one key, and leave nothing else behind', async () => {
  for (let round = 0; round < 10; round += 1) {
    const folder = stateFolder();
    const keys = await Promise.all(Array.from({ length: 12 }, () => hostKey(folder)));
    expect(keys.every((key) => key.equals(keys[0]!))).toBe(true);
    expect(readdirSync(folder)).toEqual(['ssh_host_ed25519_key']);
  }
});

test.skipIf(!existsSync('/usr/bin/ssh-keygen'))('ssh-keygen reads the file, and its keys are taken', async () => {
  const folder = stateFolder();
  const key = await hostKey(folder);
  const line = `ssh-ed25519 ${publicKeyOf(key).blob.toString('base64')}`;
  expect(execFileSync('/usr/bin/ssh-keygen', ['-y', '-f', hostKeyPath(folder)], { encoding: 'utf8' }).trim()).toBe(
    line,
  );
  rmSync(hostKeyPath(folder));
  execFileSync('/usr/bin/ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', hostKeyPath(folder)]);
  const [, base64] = readFileSync(`${hostKeyPath(folder)}.pub`, 'utf8').split(' ');
  expect(publicKeyOf(await hostKey(folder)).blob.toString('base64')).toBe(base64);
});

test('a file that others may read is refused with what to do', async () => {
  const folder = stateFolder();
  await hostKey(folder);
  for (const mode of [0o640, 0o604, 0o620, 0o601]) {
    chmodSync(hostKeyPath(folder), mode);
    expect(await problemOf(folder)).toContain(`chmod 600 ${hostKeyPath(folder)}`);
  }
});

test('a link and a folder are no host key', async () => {
  const folder = stateFolder();
  await hostKey(folder);
  const elsewhere = stateFolder();
  const target = await hostKey(elsewhere);
  rmSync(hostKeyPath(folder));
  symlinkSync(hostKeyPath(elsewhere), hostKeyPath(folder));
  await problemOf(folder);
  expect((await hostKey(elsewhere)).equals(target)).toBe(true);
  expect(await problemOf('/dev/null')).toContain('/dev/null/ssh_host_ed25519_key');
});

test('a pipe is not waited for, and a file of any length not read', async () => {
  const folder = stateFolder();
  const path = hostKeyPath(folder);
  await hostKey(folder);
  rmSync(path);
  execFileSync('mkfifo', ['-m', '600', path]);
  expect(await problemOf(folder)).toContain('is not a regular file');
  rmSync(path);
  mkdirSync(path, { mode: 0o700 });
  expect(await problemOf(folder)).toContain('is not a regular file');
  rmSync(path, { recursive: true });
  writeFileSync(path, '', { mode: 0o600 });
  truncateSync(path, 2 ** 40);
  expect(await problemOf(folder)).toContain('is no ed25519 key');
});

test.skipIf(process.getuid?.() !== 0)('a file of another user is refused, and one of root is taken', async () => {
  const folder = stateFolder();
  const made = await hostKey(folder);
  chownSync(hostKeyPath(folder), 65_534, 65_534);
  expect(await problemOf(folder)).toContain('belongs to another user');
  chownSync(hostKeyPath(folder), 0, 0);
  const uid = vi.spyOn(process, 'getuid').mockReturnValue(65_534);
  onTestFinished(() => uid.mockRestore());
  expect((await hostKey(folder)).equals(made)).toBe(true);
});

test('a file that is cut, of another type of key, or none at all is refused and left as it is', async () => {
  const folder = stateFolder();
  const path = hostKeyPath(folder);
  await hostKey(folder);
  const whole = readFileSync(path);
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'pem', type: 'pkcs8' });
  truncateSync(path, whole.length - 80);
  expect(await problemOf(folder)).toContain('is no ed25519 key');
  for (const text of [rsa, '', 'nothing', 'x'.repeat(17_000)]) {
    writeFileSync(path, text);
    const problem = await problemOf(folder);
    expect(problem).toContain('is no ed25519 key');
    expect(problem).not.toContain('BEGIN');
    expect(readFileSync(path, 'utf8')).toBe(text);
  }
});

test('a key that somebody put there as PKCS#8 is taken too', async () => {
  const folder = stateFolder();
  await hostKey(folder);
  const { privateKey } = generateKeyPairSync('ed25519');
  writeFileSync(hostKeyPath(folder), privateKey.export({ format: 'pem', type: 'pkcs8' }));
  expect(createPublicKey(await hostKey(folder)).equals(createPublicKey(privateKey))).toBe(true);
});
