import { spawn } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmod, chown, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { inspect } from 'node:util';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { openInterception, type OpenedInterception } from './interception.ts';

const DAY = 86_400_000;
const source = new URL('interception.ts', import.meta.url).href;

let folder: string;
let keyPath: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'authority-'));
  keyPath = join(folder, 'egress-ca.key');
  onTestFinished(() => rm(folder, { recursive: true }));
});

async function opened(names: readonly string[] = [], now?: Date): Promise<OpenedInterception> {
  return await openInterception({ store: 'folder', folder, names, ...(now === undefined ? {} : { now: () => now }) });
}

test('an authority is made once and found from then on, its key for its owner alone', async () => {
  const first = await opened();
  const second = await opened();
  expect([first.came, second.came]).toEqual(['made', 'found']);
  expect(second.certificate).toBe(first.certificate);
  expect(await readFile(first.path, 'utf8')).toBe(first.certificate);
  expect((await stat(keyPath)).mode & 0o777).toBe(0o600);
  expect((await stat(first.path)).mode & 0o777).toBe(0o644);
  expect((await readdir(folder)).sort()).toEqual(['egress-ca.key', 'egress-ca.pem']);
  const root = new X509Certificate(first.certificate);
  expect(root.checkPrivateKey(createPrivateKey(await readFile(keyPath)))).toBe(true);
  const years = (first.validUntil.getTime() - Date.now()) / (365 * DAY);
  expect(years).toBeGreaterThan(9.9);
  expect(years).toBeLessThan(10.1);
});

test('modes hold under any umask', async () => {
  const before = process.umask(0o000);
  onTestFinished(() => void process.umask(before));
  await opened();
  expect((await stat(keyPath)).mode & 0o777).toBe(0o600);
  process.umask(0o077);
  await rm(join(folder, 'egress-ca.pem'));
  const { path } = await opened();
  expect((await stat(path)).mode & 0o777).toBe(0o644);
});

test('a certificate that went away, or is another one, is written again', async () => {
  const { path, certificate } = await opened();
  await rm(path);
  await opened();
  expect(await readFile(path, 'utf8')).toBe(certificate);
  await writeFile(path, 'something else');
  await opened();
  expect(await readFile(path, 'utf8')).toBe(certificate);
});

test.each([0o640, 0o604, 0o620, 0o660, 0o644])('a key of mode %o is refused, with what to do', async (mode) => {
  await opened();
  await chmod(keyPath, mode);
  const refused = opened();
  await expect(refused).rejects.toMatchObject({ code: 'config-invalid' });
  await expect(refused).rejects.toThrow(`chmod 600 ${keyPath}`);
});

test.skipIf(process.getuid?.() !== 0)('a key of another user is refused', async () => {
  await opened();
  await chown(keyPath, 65_534, 65_534);
  await expect(opened()).rejects.toThrow('belongs to another user');
});

test('a link in place of the key is not followed', async () => {
  await opened();
  const elsewhere = await mkdtemp(join(tmpdir(), 'authority-'));
  onTestFinished(() => rm(elsewhere, { recursive: true }));
  await writeFile(join(elsewhere, 'key'), await readFile(keyPath), { mode: 0o600 });
  await rm(keyPath);
  await symlink(join(elsewhere, 'key'), keyPath);
  await expect(opened()).rejects.toMatchObject({ code: 'config-invalid' });
});

test('a file that holds no pair is refused, and nothing of it is said', async () => {
  await opened();
  const good = await readFile(keyPath, 'utf8');
  const [key, certificate] = good.split('-----BEGIN CERTIFICATE-----') as [string, string];
  await rm(keyPath);
  await opened();
  const [, other] = (await readFile(keyPath, 'utf8')).split('-----BEGIN CERTIFICATE-----') as [string, string];
  const begin = '-----BEGIN CERTIFICATE-----';
  const damaged = [
    '',
    key,
    begin + certificate,
    key + begin + other,
    good.slice(0, -80),
    `${key.slice(0, 90)}\n${begin}${certificate}`,
    good + '\n'.repeat(20_000),
  ];
  for (const content of damaged) {
    await writeFile(keyPath, content);
    const refusal = await opened().then(
      () => undefined,
      (error: unknown) => error as Error,
    );
    expect(refusal, content).toMatchObject({ code: 'config-invalid' });
    expect(refusal?.message).toContain('remove it, and the next start makes a new one');
    expect(inspect(refusal, { depth: 9 })).not.toContain(key.split('\n')[1]!.slice(0, 20));
  }
});

test('an authority that ends within 30 days is renewed, and one that does not is kept', async () => {
  const first = await opened();
  const end = first.validUntil.getTime();
  expect(await opened([], new Date(end - 30 * DAY))).toMatchObject({ came: 'found', certificate: first.certificate });
  const next = await opened([], new Date(end - 30 * DAY + 1000));
  expect(next.came).toBe('renewed');
  expect(next.validUntil.getTime() - end).toBeGreaterThan(3600 * DAY);
  expect(await readFile(next.path, 'utf8')).toBe(next.certificate);
  expect(new X509Certificate(next.certificate).subject).not.toBe(new X509Certificate(first.certificate).subject);
  expect(await opened([], new Date(end))).toMatchObject({ came: 'found', certificate: next.certificate });
  expect((await stat(keyPath)).mode & 0o777).toBe(0o600);
});

test('an authority for other names is renewed, so that what the file says is what clients enforce', async () => {
  const any = await opened();
  const some = await opened(['example.com', 'a.test']);
  expect(some.came).toBe('renewed');
  expect(some.certificate).not.toBe(any.certificate);
  expect(await opened(['A.test', 'example.com', 'a.test'])).toMatchObject({ came: 'found' });
  expect(await opened(['example.com'])).toMatchObject({ came: 'renewed' });
  const back = await opened();
  expect(back.came).toBe('renewed');
  expect(await opened()).toMatchObject({ came: 'found', certificate: back.certificate });
  // What processes agreed by is left for the last change alone.
  expect((await readdir(folder)).filter((name) => name.includes('.after-'))).toHaveLength(1);
});

/** Processes that open the authority at the same moment; resolves with what each got and said. */
async function race(count: number, at: Date): Promise<readonly { certificate: string; output: string }[]> {
  const program = `
    const { openInterception } = await import(${JSON.stringify(source)});
    await import('node-forge');
    process.stdout.write('ready\\n');
    await new Promise((resolve) => process.stdin.once('data', resolve));
    const opened = await openInterception({
      store: 'folder', folder: ${JSON.stringify(folder)}, names: [], now: () => new Date(${at.getTime()}),
    });
    await opened.contextFor('api.example.com');
    console.error(opened, process.env);
    process.stdout.write(opened.certificate);
    process.exit();`;
  const children = Array.from({ length: count }, () =>
    spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: ['pipe', 'pipe', 'pipe'] }),
  );
  const outputs = children.map(async (child) => Promise.all([text(child.stdout), text(child.stderr)]));
  await Promise.all(children.map((child) => once(child.stdout, 'data')));
  for (const child of children) child.stdin.end('go');
  return (await Promise.all(outputs)).map(([out, error]) => ({
    certificate: out.replace('ready\n', ''),
    output: out + error,
  }));
}

test(
  'processes that start at once end up with one pair, and the key is in no output',
  { timeout: 60_000 },
  async () => {
    const made = await race(4, new Date());
    const found = await opened();
    expect(found.came).toBe('found');
    for (const { certificate } of made) expect(certificate).toBe(found.certificate);
    expect(await readFile(found.path, 'utf8')).toBe(found.certificate);

    const renewed = await race(4, new Date(found.validUntil.getTime() - DAY));
    const next = await opened([], found.validUntil);
    expect(next.came).toBe('found');
    expect(next.certificate).not.toBe(found.certificate);
    for (const { certificate } of renewed) expect(certificate).toBe(next.certificate);
    expect(await readFile(next.path, 'utf8')).toBe(next.certificate);
    expect((await readdir(folder)).filter((name) => name.includes('moving'))).toEqual([]);

    const body = (await readFile(keyPath, 'latin1')).split('\n')[1]!;
    for (const { output } of [...made, ...renewed]) {
      expect(output).toContain('BEGIN CERTIFICATE');
      expect(output).not.toMatch(/PRIVATE KEY/);
      expect(output).not.toContain(body);
    }
  },
);
