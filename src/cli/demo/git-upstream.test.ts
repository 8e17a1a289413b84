import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AuthContext } from 'ssh2';
import { expect, onTestFinished, test } from 'vitest';
import { publicKeyOf } from '../../connector/ssh/index.ts';
import { isHolder, openGitUpstream } from './git-upstream.ts';

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'demo-git-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('only the signature of the one key logs in', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const { blob } = publicKeyOf(privateKey);
  const signed = Buffer.from('what the client signs');
  const login = { username: 'git', method: 'publickey', key: { algo: 'ssh-ed25519', data: blob }, blob: signed };
  const holds = (change: object): boolean => isHolder({ ...login, ...change } as AuthContext, publicKey, blob);
  expect(holds({ signature: sign(null, signed, privateKey) })).toBe(true);
  expect(holds({})).toBe(true); // the question whether the key would do
  expect(holds({ signature: sign(null, Buffer.from('another'), privateKey) })).toBe(false);
  expect(holds({ signature: sign(null, signed, generateKeyPairSync('ed25519').privateKey) })).toBe(false);
  expect(holds({ signature: sign(null, signed, privateKey), blob: undefined })).toBe(false);
  expect(holds({ username: 'root' })).toBe(false);
  expect(holds({ method: 'none' })).toBe(false);
  expect(
    holds({ key: { algo: 'ssh-ed25519', data: publicKeyOf(generateKeyPairSync('ed25519').privateKey).blob } }),
  ).toBe(false);
});

test('where git or ssh is missing, it says which', async () => {
  expect(await openGitUpstream(scratch(), { PATH: '/nonexistent' })).toEqual({ missing: 'there is no git on PATH' });
});

const noClient = ['git', 'ssh', 'ssh-keygen'].some((name) => spawnSync('which', [name]).status !== 0);

test.skipIf(noClient)('a client with another key is refused, and nothing of it is seen', async () => {
  const folder = scratch();
  const upstream = await openGitUpstream(folder, process.env);
  if ('missing' in upstream) throw new Error(upstream.missing);
  onTestFinished(() => upstream.close());
  const key = join(folder, 'other');
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key]);
  const words = ['-F', 'none', '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=no', '-o', 'IdentityAgent=none'];
  const files = ['-o', 'UserKnownHostsFile=/dev/null', '-i', key, '-p', String(upstream.port)];
  const said = await new Promise<string>((resolve) => {
    execFile('ssh', [...words, ...files, 'git@127.0.0.1', 'git-upload-pack', '/'], (_error, _out, err) => resolve(err));
  });
  expect(said).toContain('Permission denied (publickey)');
  expect(upstream.seen).toEqual([]);
});
