import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { connect as connectTcp, createServer, isIP, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls, { connect, createSecureContext, TLSSocket, type ConnectionOptions, type SecureContext } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { openInterception, type InterceptionOptions, type OpenedInterception } from './interception.ts';
import { issueSelfSigned } from './self-signed.ts';

const DAY = 86_400_000;

async function stateFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'interception-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

async function opened(options: Partial<InterceptionOptions> = {}): Promise<OpenedInterception> {
  return await openInterception({ store: 'memory', folder: await stateFolder(), names: [], ...options });
}

interface Shaken {
  /** `ok`, or the code of the client's error. */
  readonly outcome: string;
  readonly protocol: string | null;
  readonly leaf: X509Certificate | undefined;
}

/** A real handshake with a context, as a client that trusts `ca` has it. */
async function shake(context: SecureContext, options: ConnectionOptions): Promise<Shaken> {
  const server = createServer((raw) => {
    const socket = new TLSSocket(raw, { isServer: true, secureContext: context });
    socket.on('error', () => undefined).end('hello');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const raw = connectTcp((server.address() as AddressInfo).port, '127.0.0.1');
  const socket = connect({ ...options, socket: raw });
  try {
    const outcome = await new Promise<string>((resolve) => {
      socket.on('secureConnect', () => resolve('ok'));
      socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    });
    return { outcome, protocol: socket.getProtocol(), leaf: socket.getPeerX509Certificate() };
  } finally {
    socket.destroy();
    server.close();
  }
}

async function leafFor(interception: OpenedInterception, host: string): Promise<X509Certificate> {
  const context = await interception.contextFor(host);
  const { leaf } = await shake(context, { rejectUnauthorized: false });
  return leaf!;
}

test.each([
  ['api.example.com'],
  ['127.0.0.1'],
  ['2001:db8::1'],
  ['::ffff:a00:1'],
  ['xn--bcher-kva.example'],
  ['a_service.internal'],
  ['localhost'],
  [`${`${'a'.repeat(49)}.`.repeat(5)}com`],
  [`${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`],
])('a client that trusts the authority accepts what is shown for %s, and for nothing else', async (host) => {
  const interception = await opened();
  const context = await interception.contextFor(host);
  const ca = interception.certificate;
  const named = isIP(host) === 0 ? { servername: host } : { host };
  expect(await shake(context, { ca, ...named })).toMatchObject({ outcome: 'ok', protocol: 'TLSv1.3' });
  expect(await shake(context, { ca, ...named, maxVersion: 'TLSv1.2' })).toMatchObject({ protocol: 'TLSv1.2' });
  expect((await shake(context, { ca, servername: 'other.example' })).outcome).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  expect((await shake(context, named)).outcome).toBe('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
});

test('a protocol older than TLS 1.2 is not spoken, whatever the process was started with', async () => {
  const before = { DEFAULT_MIN_VERSION: tls.DEFAULT_MIN_VERSION, DEFAULT_CIPHERS: tls.DEFAULT_CIPHERS };
  onTestFinished(() => void Object.assign(tls, before));
  Object.assign(tls, { DEFAULT_MIN_VERSION: 'TLSv1', DEFAULT_CIPHERS: 'DEFAULT@SECLEVEL=0' });
  const old: ConnectionOptions = { maxVersion: 'TLSv1.1', rejectUnauthorized: false };
  const { certificate, key } = await issueSelfSigned();
  const lax = createSecureContext({ cert: certificate, key });
  expect(await shake(lax, old)).toMatchObject({ outcome: 'ok', protocol: 'TLSv1.1' });
  expect((await shake(await (await opened()).contextFor('api.example.com'), old)).outcome).toBe('ECONNRESET');
});

test('a leaf is for one host, one purpose and at most 398 days, begun an hour ago', async () => {
  const now = new Date('2031-05-06T07:08:09Z');
  const interception = await opened({ now: () => now });
  const leaf = await leafFor(interception, 'api.example.com');
  const root = new X509Certificate(interception.certificate);
  expect(leaf.subject).toBe('CN=api.example.com');
  expect(leaf.subjectAltName).toBe('DNS:api.example.com');
  expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  expect(leaf.ca).toBe(false);
  expect(leaf.serialNumber).toMatch(/^[4-7][0-9A-F]{39}$/);
  expect(leaf.publicKey.asymmetricKeyDetails).toEqual({ namedCurve: 'prime256v1' });
  // ecdsa-with-SHA256 without parameters, twice.
  expect(leaf.raw.toString('hex').split('300a06082a8648ce3d040302')).toHaveLength(3);
  expect(leaf.checkIssued(root) && leaf.verify(root.publicKey)).toBe(true);
  expect(leaf.validFromDate).toEqual(new Date('2031-05-06T06:08:09Z'));
  expect(leaf.validToDate.getTime() - leaf.validFromDate.getTime()).toBeLessThanOrEqual(398 * DAY);
  expect(root.validFromDate).toEqual(new Date('2031-05-06T06:08:09Z'));
});

test('a name too long for a common name stands in critical alternative names alone', async () => {
  const host = `${'a'.repeat(60)}.example`;
  const leaf = await leafFor(await opened(), host);
  expect(leaf.subject).toBeFalsy();
  expect(leaf.subjectAltName).toBe(`DNS:${host}`);
  // subjectAltName, critical: the identifier with TRUE behind it.
  expect(leaf.raw.includes(Buffer.from('0603551d110101ff', 'hex'))).toBe(true);
});

test('each installation is an authority of its own: another name and another key', async () => {
  const [one, two] = [await opened(), await opened()].map(({ certificate }) => new X509Certificate(certificate));
  expect(one!.subject).toMatch(/^CN=Secretless Sidecar [0-9a-f]{8}$/);
  expect(one!.subject).not.toBe(two!.subject);
  expect(one!.publicKey.equals(two!.publicKey)).toBe(false);
  expect(one!.ca).toBe(true);
});

test.each([
  ['*.example.com'],
  ['*'],
  [''],
  ['a..b'],
  ['a.example.'],
  ['x\0.example'],
  ['fe80::1%eth0'],
  ['bücher.example'],
  ['a'.repeat(64)],
  [`${'a.'.repeat(127)}a`],
])('no certificate is issued for what is no host: %j', async (host) => {
  await expect((await opened()).contextFor(host)).rejects.toMatchObject({ code: 'config-invalid' });
});

test('with names, certificates are issued for them and what is below them, and for nothing else', async () => {
  const interception = await opened({ names: ['Example.com', 'corp.internal'] });
  const ca = interception.certificate;
  // nameConstraints, critical: whoever does not know them must refuse the authority.
  expect(new X509Certificate(ca).raw.includes(Buffer.from('0603551d1e0101ff', 'hex'))).toBe(true);
  for (const host of ['example.com', 'api.example.com', 'a.b.corp.internal']) {
    const context = await interception.contextFor(host);
    expect((await shake(context, { ca, servername: host })).outcome, host).toBe('ok');
  }
  for (const host of ['notexample.com', 'com', 'example.com.evil.test', '127.0.0.1', '::1', 'internal']) {
    await expect(interception.contextFor(host), host).rejects.toMatchObject({ code: 'config-invalid' });
  }
});

test.each([['*.example.com'], ['10.0.0.1'], [''], ['a b'], ['.example.com'], ['2001:db8::1']])(
  'a name that is no domain is refused: %j',
  async (name) => {
    await expect(opened({ names: ['ok.example', name] })).rejects.toMatchObject({ code: 'config-invalid' });
  },
);

test('all who ask for a host at a time get one certificate, and so do those who come later', async () => {
  const interception = await opened();
  const asked = await Promise.all(Array.from({ length: 50 }, () => interception.contextFor('api.example.com')));
  expect(new Set(asked).size).toBe(1);
  expect(await interception.contextFor('api.example.com')).toBe(asked[0]);
  expect(await interception.contextFor('www.example.com')).not.toBe(asked[0]);
});

test('a certificate is issued anew when a third of its life is left', async () => {
  let now = Date.now();
  const interception = await opened({ now: () => new Date(now) });
  const first = await interception.contextFor('api.example.com');
  const { validFromDate, validToDate } = await leafFor(interception, 'api.example.com');
  const renewal = validToDate.getTime() - (validToDate.getTime() - validFromDate.getTime()) / 3;
  now = renewal - 1000;
  expect(await interception.contextFor('api.example.com')).toBe(first);
  now = renewal;
  expect(await interception.contextFor('api.example.com')).not.toBe(first);
  const { validToDate: end } = await leafFor(interception, 'api.example.com');
  expect(end.getTime() - validToDate.getTime()).toBeGreaterThan(19 * DAY);
});

test('no certificate outlives its authority, and none is issued after its end', async () => {
  let now = Date.now();
  const interception = await opened({ now: () => new Date(now) });
  expect(interception.validUntil.getTime() - now).toBeLessThanOrEqual(365 * DAY);
  now = interception.validUntil.getTime() - DAY;
  const context = await interception.contextFor('api.example.com');
  expect((await leafFor(interception, 'api.example.com')).validToDate).toEqual(interception.validUntil);
  now = interception.validUntil.getTime() - 1000;
  // A new one would live no longer.
  expect(await interception.contextFor('api.example.com')).toBe(context);
  now = interception.validUntil.getTime();
  await expect(interception.contextFor('api.example.com')).rejects.toMatchObject({ code: 'config-invalid' });
});

test('an authority in memory leaves its certificate behind, and nothing else', async () => {
  const folder = await stateFolder();
  const interception = await opened({ folder });
  expect(await readdir(folder)).toEqual(['egress-ca.pem']);
  expect(await readFile(interception.path, 'utf8')).toBe(interception.certificate);
  expect((await stat(interception.path)).mode & 0o777).toBe(0o644);
  expect(interception).toMatchObject({ came: 'made', path: join(folder, 'egress-ca.pem') });
});
