import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { listenOn } from '../telemetry/local-server.ts';
import { prepareSocketPath, sharedFolderReason } from './socket-path.ts';

function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sock-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** A socket file whose process was killed. */
async function staleSocket(): Promise<string> {
  const path = join(emptyFolder(), 's.sock');
  const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await once(spawn(process.execPath, ['-e', script], { stdio: 'ignore' }), 'close');
  expect(statSync(path).isSocket()).toBe(true);
  return path;
}

test('a stale socket is removed', async () => {
  const path = await staleSocket();
  await prepareSocketPath(path);
  expect(existsSync(path)).toBe(false);
});

test('a socket that is answered stays, and keeps answering', async () => {
  const path = join(emptyFolder(), 's.sock');
  const holder = createServer();
  await listenOn(holder, { kind: 'unix', path });
  onTestFinished(() => void holder.close());
  await expect(prepareSocketPath(path)).rejects.toMatchObject({
    code: 'address-unavailable',
    detail: expect.stringContaining('in use by a running process'),
  });
  expect(statSync(path).isSocket()).toBe(true);
});

test('a file stays', async () => {
  const path = join(emptyFolder(), 's.sock');
  writeFileSync(path, 'mine');
  await expect(prepareSocketPath(path)).rejects.toThrow('is not a socket');
  expect(existsSync(path)).toBe(true);
});

test('a link to a stale socket stays', async () => {
  const target = await staleSocket();
  const path = join(emptyFolder(), 's.sock');
  symlinkSync(target, path);
  await expect(prepareSocketPath(path)).rejects.toThrow('is not a socket');
  expect(existsSync(target)).toBe(true);
});

test('a missing folder is made for us alone', async () => {
  const folder = join(emptyFolder(), 'a', 'b');
  await prepareSocketPath(join(folder, 's.sock'));
  expect(statSync(folder).mode & 0o777).toBe(0o700);
});

test('a path that is too long for a socket is refused before anything is made', async () => {
  const folder = join(emptyFolder(), 'x'.repeat(110));
  await expect(prepareSocketPath(join(folder, 's.sock'))).rejects.toThrow('a socket path may have');
  expect(existsSync(folder)).toBe(false);
});

test('a socket has its mode from its first instant, whatever the umask', async () => {
  const before = process.umask(0);
  onTestFinished(() => void process.umask(before));
  const path = join(emptyFolder(), 's.sock');
  const server = createServer();
  onTestFinished(() => void server.close());
  const listening = listenOn(server, { kind: 'unix', path });
  // bind(2) happened inside the call: no turn of the event loop lies between it and this line.
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(process.umask()).toBe(0);
  await listening;
});

test('without the mask the same socket would be open to all', async () => {
  const before = process.umask(0);
  onTestFinished(() => void process.umask(before));
  const path = join(emptyFolder(), 's.sock');
  const server = createServer().listen(path);
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  expect(statSync(path).mode & 0o777).toBe(0o777);
});

test('a folder where others may write is told, one of our own is not', async () => {
  const folder = emptyFolder();
  expect(await sharedFolderReason(join(folder, 's.sock'))).toBeUndefined();
  chmodSync(folder, 0o777);
  expect(await sharedFolderReason(join(folder, 's.sock'))).toContain('can be written by others');
  chmodSync(folder, 0o1777);
  expect(await sharedFolderReason(join(folder, 's.sock'))).toBeUndefined();
});
