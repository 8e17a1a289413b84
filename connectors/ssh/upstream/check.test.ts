import { expect, test } from 'vitest';
import { checkCredentials } from './index.ts';

const BOTH = ['host', 'user', 'privateKey'] as const;
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE5NOnjH/JEdljwHXwHaNS6KUAoBJe0/gD5kI+bqMDDd';

function found(
  config: Parameters<typeof checkCredentials>[0],
  names: readonly string[],
  literals?: Readonly<Record<string, string>>,
): readonly string[] {
  return checkCredentials(config, names, literals).map(({ credential, path, message, severity = 'error' }) => {
    const place = credential ?? path.join('.');
    return `${severity}${place === '' ? '' : ` ${place}`}: ${message}`;
  });
}

test('what has a place, a user, a key and a host key is well', () => {
  expect(found({}, [...BOTH, 'hostKey'])).toEqual([]);
  expect(found({}, ['address', 'user', 'password', 'knownHosts'])).toEqual([]);
  expect(found({}, BOTH, { host: 'github.com' })).toEqual([]);
  expect(found({}, ['address', 'user', 'privateKey'], { address: 'ssh.github.com:443' })).toEqual([]);
  expect(found({ users: ['git'] }, ['host', 'privateKey', 'hostKey'])).toEqual([]);
});

test('what is missing is told all at once, and what to write', () => {
  const text = found({}, []).join('\n');
  expect(text).toContain('add the credential host or address');
  expect(text).toContain('add the credential privateKey or password');
  expect(text).toContain('warning: nobody is named, so root logs in');
  expect(text).toContain('no host key is known: add the credential hostKey');
});

test('a host key is needed wherever none is built in', () => {
  const none = 'no host key is known';
  expect(found({}, BOTH)[0]).toContain(none);
  expect(found({}, BOTH, { host: 'example.com' })[0]).toContain(none);
  expect(found({}, [...BOTH, 'port'], { host: 'github.com', port: '443' })[0]).toContain(none);
  // The port comes from elsewhere, so nobody knows which server it is.
  expect(found({}, [...BOTH, 'port'], { host: 'github.com' })[0]).toContain(none);
});

test('insecure has to be written, is warned of, and is refused where a host key is known', () => {
  expect(found({ insecure: true }, BOTH)).toEqual([expect.stringMatching(/^warning insecure: .*can pose as it/)]);
  expect(found({ insecure: true }, [...BOTH, 'hostKey'])).toEqual([expect.stringMatching(/^error insecure:/)]);
  expect(found({ insecure: true }, BOTH, { host: 'gitlab.com' })).toEqual([
    'error insecure: the host keys of gitlab.com are built in: take insecure out',
  ]);
});

test('credentials that say the same twice or hang in the air are told of', () => {
  expect(found({}, ['address', ...BOTH, 'hostKey'])[0]).toContain('keep it, or host and port');
  const loose = found({}, ['host', 'user', 'password', 'certificate', 'passphrase', 'hostKey']);
  expect(loose).toEqual([
    'error certificate: certificate belongs to a private key: add the credential privateKey',
    'error passphrase: passphrase belongs to a private key: add the credential privateKey',
  ]);
});

test('texts in the file are read, and nothing of them is repeated', () => {
  const names = [...BOTH, 'hostKey', 'knownHosts'];
  expect(found({}, names, { host: 'db', hostKey: KEY, knownHosts: `db ${KEY}` })).toEqual([]);
  expect(found({}, names, { host: 'db', hostKey: 'no key at all' })[0]).toMatch(/^error hostKey: key 1 of 1: /);
  expect(found({}, names, { host: 'db', knownHosts: `web ${KEY}` })).toEqual([
    'error knownHosts: it has no line for this host and port',
  ]);
  expect(found({}, names, { host: 'db', knownHosts: `@cert-authority d* ${KEY}` })).toEqual([]);
  expect(found({}, names, { host: 'secret host' })).toEqual(['error host: the host is no name and no IP address']);
  expect(found({}, names, { knownHosts: 'secret' }).join()).not.toContain('secret');
});
