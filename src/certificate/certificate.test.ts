import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type ConnectionOptions, type TlsOptions } from 'node:tls';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { issueAuthority } from './authority.ts';
import type { Identity } from './certificate.ts';
import { issueClientIdentity } from './client.ts';
import { issueSelfSigned } from './self-signed.ts';
import { issueServerIdentity } from './server.ts';

let authority: Identity;
let server: Identity;
let client: Identity;
let selfSigned: Identity;

beforeAll(async () => {
  authority = await issueAuthority('Test authority');
  [server, client, selfSigned] = await Promise.all([
    issueServerIdentity(authority, ['db.internal', '*.shard.internal', '127.0.0.1', '2001:db8::1']),
    issueClientIdentity(authority, 'Grüße'),
    issueSelfSigned(),
  ]);
});

/** What the client's side of a handshake came to: `ok`, or the code of its error. */
async function handshake(identity: Identity, options: ConnectionOptions, more: TlsOptions = {}): Promise<string> {
  const listening = createServer({ cert: identity.certificate, key: identity.key, ...more }, (socket) => {
    socket.on('error', () => undefined);
    socket.end(socket.authorized ? `hello ${subjectOf(socket.getPeerX509Certificate())}` : 'hello');
  });
  listening.on('tlsClientError', () => undefined).listen(0, '127.0.0.1');
  onTestFinished(() => void listening.close());
  await once(listening, 'listening');
  const { port } = listening.address() as AddressInfo;
  return await new Promise((resolve) => {
    let heard = '';
    const socket = connect({ host: '127.0.0.1', port, ...options });
    socket.setEncoding('utf8').on('data', (text: string) => (heard += text));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on('end', () => resolve(heard));
  });
}

function subjectOf(certificate: X509Certificate | undefined): string {
  return certificate?.subject ?? '';
}

test('an authority signs servers and clients, and says that it may', () => {
  const root = new X509Certificate(authority.certificate);
  expect(root.ca).toBe(true);
  expect(root.subject).toBe('CN=Test authority');
  expect(root.checkIssued(root)).toBe(true);
  for (const { certificate } of [server, client]) {
    const leaf = new X509Certificate(certificate);
    expect(leaf.ca).toBe(false);
    expect(leaf.issuer).toBe('CN=Test authority');
    expect(leaf.checkIssued(root)).toBe(true);
    expect(leaf.verify(root.publicKey)).toBe(true);
  }
});

test('each certificate has the key it comes with, an own serial, and may be used for one purpose', () => {
  const parsed = [authority, server, client, selfSigned].map(({ certificate }) => new X509Certificate(certificate));
  expect(new Set(parsed.map(({ serialNumber }) => serialNumber)).size).toBe(4);
  for (const { serialNumber } of parsed) expect(serialNumber).toMatch(/^[4-7][0-9A-F]{39}$/);
  expect(parsed.map(({ keyUsage }) => keyUsage)).toEqual([
    undefined,
    ['1.3.6.1.5.5.7.3.1'],
    ['1.3.6.1.5.5.7.3.2'],
    ['1.3.6.1.5.5.7.3.1'],
  ]);
  for (const { certificate, key } of [authority, server, client, selfSigned]) {
    expect(certificate).toMatch(/^-----BEGIN CERTIFICATE-----\n[^\r]+\n-----END CERTIFICATE-----\n$/);
    expect(new X509Certificate(certificate).publicKey.asymmetricKeyDetails?.modulusLength).toBe(2048);
    expect(key).toMatch(/^-----BEGIN PRIVATE KEY-----\n/);
  }
});

test('names are alternative names, by DNS and by address', () => {
  const leaf = new X509Certificate(server.certificate);
  expect(leaf.subjectAltName).toBe(
    'DNS:db.internal, DNS:*.shard.internal, IP Address:127.0.0.1, IP Address:2001:DB8:0:0:0:0:0:1',
  );
  expect(leaf.checkHost('db.internal')).toBe('db.internal');
  expect(leaf.checkHost('a.shard.internal')).toBe('*.shard.internal');
  expect(leaf.checkHost('other.internal')).toBeUndefined();
  expect(leaf.checkIP('127.0.0.1')).toBe('127.0.0.1');
  expect(leaf.checkIP('127.0.0.2')).toBeUndefined();
});

test('validity begins an hour ago and ends after the days asked for', async () => {
  const now = new Date('2049-12-01T00:00:00Z');
  const { certificate } = await issueServerIdentity(authority, ['db.internal'], { days: 60, now, key: server.key });
  const leaf = new X509Certificate(certificate);
  expect(leaf.validFromDate).toEqual(new Date('2049-11-30T23:00:00Z'));
  // Beyond 2049 dates take another form (RFC 5280 section 4.1.2.5.2).
  expect(leaf.validToDate).toEqual(new Date('2050-01-30T00:00:00Z'));
  expect(leaf.checkPrivateKey((await import('node:crypto')).createPrivateKey(server.key))).toBe(true);
});

test('a handshake passes for a name in the certificate and fails for any other', async () => {
  const ca = authority.certificate;
  expect(await handshake(server, { ca, servername: 'db.internal' })).toBe('hello');
  expect(await handshake(server, { ca })).toBe('hello');
  expect(await handshake(server, { ca, servername: 'other.internal' })).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  expect(await handshake(selfSigned, { ca: selfSigned.certificate, servername: 'localhost' })).toBe('hello');
  expect(await handshake(selfSigned, { ca: selfSigned.certificate })).toBe('hello');
});

test('a handshake fails where the authority is not trusted, or the certificate is out of date', async () => {
  const ca = authority.certificate;
  expect(await handshake(server, { servername: 'db.internal' })).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  expect(await handshake(server, { ca: selfSigned.certificate })).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
  expect(await handshake(selfSigned, { ca })).toBe('DEPTH_ZERO_SELF_SIGNED_CERT');
  const old = await issueServerIdentity(authority, ['127.0.0.1'], { now: new Date('2020-01-01'), key: server.key });
  expect(await handshake(old, { ca })).toBe('CERT_HAS_EXPIRED');
});

test('a client identity proves its name to a server, and a server identity does not', async () => {
  const ca = authority.certificate;
  const asking = { ca, requestCert: true, rejectUnauthorized: false };
  const shown = (identity: Identity): Promise<string> =>
    handshake(server, { ca, cert: identity.certificate, key: identity.key }, asking);
  expect(await shown(client)).toBe('hello CN=Grüße');
  expect(await shown(server)).toBe('hello');
  expect(await shown(selfSigned)).toBe('hello');
});

test('a name longer than a common name may be stands in the alternative names alone', async () => {
  const long = `${'a'.repeat(63)}.${'b'.repeat(63)}.internal`;
  const identity = await issueServerIdentity(authority, [long], { key: server.key });
  const leaf = new X509Certificate(identity.certificate);
  expect(leaf.subject).toBeFalsy();
  expect(leaf.checkHost(long)).toBe(long);
  expect(await handshake(identity, { ca: authority.certificate, servername: long })).toBe('hello');
});

test.each([
  [''],
  ['bücher.example'],
  ['a b'],
  ['-a.example'],
  ['a.*.example'],
  ['fe80::1%eth0'],
  ['a'.repeat(64)],
  ['x\0y'],
])('a server name that is none is refused: %j', async (name) => {
  await expect(issueServerIdentity(authority, ['ok', name], { key: server.key })).rejects.toMatchObject({
    code: 'config-invalid',
  });
});

test('a certificate without a name, or with a common name too long, is refused', async () => {
  await expect(issueServerIdentity(authority, [])).rejects.toMatchObject({ code: 'config-invalid' });
  await expect(issueClientIdentity(authority, '')).rejects.toMatchObject({ code: 'config-invalid' });
  await expect(issueClientIdentity(authority, 'x'.repeat(65))).rejects.toMatchObject({ code: 'config-invalid' });
  await expect(issueAuthority('x'.repeat(65))).rejects.toMatchObject({ code: 'config-invalid' });
});
