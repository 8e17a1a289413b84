import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readPem } from './pem-file.ts';

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'sl-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

test('a file is read whole, also through a link', async () => {
  const at = folder();
  writeFileSync(join(at, 'key.pem'), '-----BEGIN KEY-----\n');
  symlinkSync('key.pem', join(at, 'link.pem'));
  const secret = await readPem(join(at, 'link.pem'), 'sslkey', 'credential-unfit');
  expect(secret.expose((bytes) => bytes.toString())).toBe('-----BEGIN KEY-----\n');
});

test('what is no file, is missing or is too large is refused by the name it has in the configuration', async () => {
  const at = folder();
  writeFileSync(join(at, 'large.pem'), '');
  truncateSync(join(at, 'large.pem'), 1024 * 1024 + 1);
  execFileSync('mkfifo', [join(at, 'pipe')]);
  for (const path of [join(at, 'missing'), join(at, 'large.pem'), join(at, 'pipe'), at]) {
    await expect(readPem(path, 'sslkey', 'credential-unfit')).rejects.toMatchObject({
      code: 'credential-unfit',
      detail: 'the file of "sslkey" cannot be used',
    });
  }
});
