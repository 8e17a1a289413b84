import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Fetched, SecretStore } from '../../credential/store.ts';
import { FILE_BYTES_MAX, FileStore } from './file-store.ts';
import { file } from './index.ts';

const never = new AbortController().signal;
let folder: string;
let store: SecretStore;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'file-provider-'));
  store = new FileStore(folder);
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true });
});

function put(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function textOf({ secret }: Fetched): string {
  return secret.expose((bytes) => bytes.toString());
}

describe('reading', () => {
  it('keeps the content whole, newline and all', async () => {
    expect(textOf(await store.fetch(put('a', 'token\n'), never))).toBe('token\n');
    const bytes = Uint8Array.from({ length: 256 }, (_, at) => at);
    const { secret } = await store.fetch(put('b', bytes), never);
    expect(secret.expose((content) => [...content])).toEqual([...bytes]);
    expect((await store.fetch(put('c', ''), never)).secret.length).toBe(0);
  });

  it('a relative path starts from the folder the store was opened in', async () => {
    put('a', 'token');
    expect(textOf(await store.fetch('a', never))).toBe('token');
    expect(textOf(await store.fetch('./x/../a', never))).toBe('token');
  });

  it('an unchanged file is the same secret', async () => {
    const path = put('a', 'token');
    const first = await store.fetch(path, never);
    expect(first.retained).toBe(true);
    expect((await store.fetch(path, never)).secret).toBe(first.secret);
  });
});

describe('a change is seen at the next fetch', () => {
  it('when the file is written again in place, though size and clock tick are the same', async () => {
    for (let round = 0; round < 50; round += 1) {
      const content = `token-${round % 10}`;
      expect(textOf(await store.fetch(put('a', content), never))).toBe(content);
    }
  });

  it('when another file is renamed over it', async () => {
    const path = put('a', 'one');
    await store.fetch(path, never);
    renameSync(put('b', 'two'), path);
    expect(textOf(await store.fetch(path, never))).toBe('two');
  });

  it('when the writer sets the old time back', async () => {
    const path = put('a', 'one');
    const old = new Date('2020-01-01');
    utimesSync(path, old, old);
    await store.fetch(path, never);
    writeFileSync(path, 'two');
    utimesSync(path, old, old);
    expect(textOf(await store.fetch(path, never))).toBe('two');
  });

  it('when the links of a Kubernetes volume swap', async () => {
    for (const version of ['1', '2']) {
      mkdirSync(join(folder, `..${version}`));
      put(`..${version}/token`, `value-${version}`);
    }
    symlinkSync('..1', join(folder, '..data'));
    symlinkSync('..data/token', join(folder, 'token'));
    expect(textOf(await store.fetch('token', never))).toBe('value-1');
    symlinkSync('..2', join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
    expect(textOf(await store.fetch('token', never))).toBe('value-2');
  });

  it('when it is removed and when it comes back', async () => {
    const path = put('a', 'one');
    await store.fetch(path, never);
    rmSync(path);
    await expect(store.fetch(path, never)).rejects.toMatchObject({ code: 'credential-missing' });
    put('a', 'two');
    expect(textOf(await store.fetch(path, never))).toBe('two');
  });

  it('and the secret that was lent before is not wiped', async () => {
    const path = put('a', 'one');
    const before = await store.fetch(path, never);
    put('a', 'another');
    await store.fetch(path, never);
    expect(textOf(before)).toBe('one');
  });
});

describe('what is refused', () => {
  it('a path with nothing at it', async () => {
    await expect(store.fetch('none', never)).rejects.toMatchObject({ code: 'credential-missing' });
    put('a', '');
    await expect(store.fetch('a/b', never)).rejects.toMatchObject({ code: 'credential-missing' });
  });

  it('a directory, a device and a FIFO that nobody writes to', async () => {
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    for (const path of ['.', '/dev/zero', 'fifo']) {
      await expect(store.fetch(path, never)).rejects.toMatchObject({ code: 'credential-unavailable' });
    }
  });

  it('one byte more than the limit, and not the limit itself', async () => {
    const { secret } = await store.fetch(put('a', Buffer.alloc(FILE_BYTES_MAX)), never);
    expect(secret.length).toBe(FILE_BYTES_MAX);
    await expect(store.fetch(put('b', Buffer.alloc(FILE_BYTES_MAX + 1)), never)).rejects.toMatchObject({
      code: 'credential-unavailable',
    });
  });

  it.skipIf(process.getuid?.() === 0)('a file that the sidecar may not read', async () => {
    chmodSync(put('a', 'x'), 0);
    await expect(store.fetch('a', never)).rejects.toMatchObject({ code: 'credential-unavailable' });
  });

  it('an id that no path can be', () => {
    expect(file.checkId!('')).toBeTypeOf('string');
    expect(file.checkId!('a\0')).toBeTypeOf('string');
    expect(file.checkId!('/run/keys/token')).toBeUndefined();
  });
});

it('wipes what it retains when it closes', async () => {
  const { secret } = await store.fetch(put('a', 'token'), never);
  await store.close();
  expect(secret.wiped).toBe(true);
});
