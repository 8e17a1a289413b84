import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest';
import { issueAuthority } from './authority.ts';
import type { Identity } from './certificate.ts';
import { makeAuthority } from './egress-authority.ts';
import { systemBundle } from './system-roots.ts';
import { writeTrust } from './trust.ts';

const run = promisify(execFile);

let own: string;
let corporate: Identity;
let folder: string;
let roots: string;

beforeAll(async () => {
  own = (await makeAuthority([], 365, new Date())).certificate;
  corporate = await issueAuthority('Corporate root');
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'trust-'));
  roots = join(folder, 'roots.pem');
  onTestFinished(() => rm(folder, { recursive: true }));
});

function subjects(bundle: string): readonly string[] {
  const blocks = bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block).subject);
}

const subjectOf = (certificate: string): string => new X509Certificate(certificate).subject;

test('the bundle has what the system trusts and the authority, each once', async () => {
  const { ca, bundle } = await writeTrust(folder, own, {});
  const system = subjects(await systemBundle({}));
  expect(system.length).toBeGreaterThan(50);
  expect(subjects(await readFile(bundle, 'utf8'))).toEqual([...system, subjectOf(own)]);
  expect(await readFile(ca, 'utf8')).toBe(own);
});

test('the roots that the operator names stand in place of the system’s, and those for single tools beside them', async () => {
  const corporateRoots = join(folder, 'corporate.pem');
  const extra = join(folder, 'extra.pem');
  const { certificate: extraRoot } = await issueAuthority('Extra root');
  await writeFile(corporateRoots, `# Comment\r\n${corporate.certificate.replaceAll('\n', '\r\n')}`);
  await writeFile(extra, extraRoot);
  const environment = { SSL_CERT_FILE: corporateRoots, NODE_EXTRA_CA_CERTS: extra, REQUESTS_CA_BUNDLE: extra };
  expect(subjects(await systemBundle(environment))).toEqual(['CN=Corporate root', 'CN=Extra root']);
  expect(subjects(await systemBundle({ REQUESTS_CA_BUNDLE: extra })).at(-1)).toBe('CN=Extra root');
});

test('what cannot be read is passed over: no file, a folder, damaged certificates, more than 16 MiB', async () => {
  const system = await systemBundle({});
  const lines = corporate.certificate.split('\n');
  await writeFile(roots, [lines[0], lines[1]!.slice(0, 40), lines.at(-2), ''].join('\n'));
  const large = join(folder, 'large.pem');
  await writeFile(large, corporate.certificate);
  await truncate(large, 17 * 1024 * 1024);
  for (const path of [join(folder, 'none'), folder, roots, large, '']) {
    expect(await systemBundle({ SSL_CERT_FILE: path, NODE_EXTRA_CA_CERTS: path })).toBe(system);
  }
});

test('of a file with a key in it only the certificate is taken', async () => {
  await writeFile(roots, corporate.key + corporate.certificate + corporate.key);
  const { bundle, trustStore } = await writeTrust(folder, own, { SSL_CERT_FILE: roots });
  const text = await readFile(bundle, 'utf8');
  expect(subjects(text)).toEqual(['CN=Corporate root', subjectOf(own)]);
  expect(text).not.toContain('PRIVATE KEY');
  for (const line of corporate.key.split('\n').slice(1, -2)) expect(text).not.toContain(line);
  // Its first lines have the modulus, which the certificate has too.
  const exponent = Buffer.from(corporate.key.split('\n')[12]!, 'base64');
  expect((await readFile(trustStore)).includes(exponent)).toBe(false);
});

test('under an environment that names our own bundle the authority does not double', async () => {
  const first = await writeTrust(folder, own, {});
  const before = await readFile(first.bundle, 'utf8');
  const environment = { SSL_CERT_FILE: first.bundle, NODE_EXTRA_CA_CERTS: first.bundle, CURL_CA_BUNDLE: first.ca };
  await writeTrust(folder, own, environment);
  expect(await readFile(first.bundle, 'utf8')).toBe(before);
});

test('the files are for anybody to read under any umask, and nothing is left beside them', async () => {
  const before = process.umask(0o077);
  onTestFinished(() => void process.umask(before));
  const { ca, bundle, trustStore } = await writeTrust(folder, own, {});
  for (const path of [ca, bundle, trustStore]) expect((await stat(path)).mode & 0o777).toBe(0o644);
  expect((await readdir(folder)).sort()).toEqual(['egress-ca-bundle.pem', 'egress-ca.pem', 'egress-trust.p12']);
});

test('files that are there already are left alone, and changed ones are replaced', async () => {
  const { ca, bundle, trustStore } = await writeTrust(folder, own, {});
  const paths = [ca, bundle, trustStore];
  const inodes = async (): Promise<readonly number[]> =>
    await Promise.all(paths.map(async (path) => (await stat(path)).ino));
  const first = await inodes();
  await writeTrust(folder, own, {});
  expect(await inodes()).toEqual(first);
  const contents = await Promise.all(paths.map((path) => readFile(path)));
  await writeFile(bundle, Buffer.from(contents[1]!).fill(0x20, 0, 40));
  await chmod(trustStore, 0o666);
  await writeTrust(folder, own, {});
  expect((await readFile(bundle)).equals(contents[1]!)).toBe(true);
  expect((await stat(trustStore)).mode & 0o777).toBe(0o644);
});

test('a link in place of a file is replaced, and what it points at stays as it is', async () => {
  const victim = join(folder, 'victim');
  await writeFile(victim, 'precious');
  await symlink(victim, join(folder, 'egress-ca.pem'));
  const { ca } = await writeTrust(folder, own, {});
  expect(await readFile(victim, 'utf8')).toBe('precious');
  expect(await readFile(ca, 'utf8')).toBe(own);
});

test('keytool lists every root of the bundle as trusted', { timeout: 60_000 }, async (context) => {
  const listed = async (path: string): Promise<string> => {
    const args = ['-list', '-keystore', path, '-storepass', 'changeit', '-storetype', 'PKCS12'];
    return (await run('keytool', args)).stdout;
  };
  const { bundle, trustStore } = await writeTrust(folder, own, {});
  const found = await run('keytool', ['-help']).then(
    () => true,
    () => false,
  );
  context.skip(!found, 'no keytool here');
  const text = await listed(trustStore);
  expect(text.match(/trustedCertEntry/g)).toHaveLength(subjects(await readFile(bundle, 'utf8')).length);
  const { fingerprint256 } = new X509Certificate(own);
  expect(text).toMatch(new RegExp(`secretless-sidecar, .*trustedCertEntry, \\n.*${fingerprint256}`));
});

test('openssl reads the trust store, and sees damage by its MAC', async (context) => {
  const { trustStore } = await writeTrust(folder, own, {});
  const read = async (): Promise<string> =>
    (await run('openssl', ['pkcs12', '-in', trustStore, '-passin', 'pass:changeit', '-nokeys'])).stdout;
  const found = await run('openssl', ['version']).then(
    () => true,
    () => false,
  );
  context.skip(!found, 'no openssl here');
  expect(subjects(await read())).toContain(subjectOf(own));
  const bytes = await readFile(trustStore);
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(trustStore, bytes);
  await expect(read()).rejects.toThrow(/Mac verify error/);
});
