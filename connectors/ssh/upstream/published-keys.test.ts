import { readFileSync } from 'node:fs';
import { fingerprint, readPublicLine } from 'secretless-sidecar/connector/ssh';
import { expect, test } from 'vitest';
import { HostTrust } from './host-trust.ts';
import { upstreamOf } from './index.ts';
import { publishedKeys } from './published-keys.ts';
import { credentialsOf, type Fields } from './testdata/lending.ts';

const PUBLISHED = readFileSync(new URL('testdata/published-known-hosts', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => /^[a-z]/.test(line))
  .map((line) => ({ host: line.split(' ')[0] ?? '', ...readPublicLine(line.slice(line.indexOf(' ') + 1)) }));
const [GITHUB] = PUBLISHED;

function takes(fields: Fields): boolean {
  const credentials = credentialsOf(fields);
  const trust = HostTrust.of(credentials, upstreamOf(credentials), false);
  return trust.check(new Date()).accepts(GITHUB!.blob);
}

test('fingerprints and keys that are published agree', () => {
  const keys = PUBLISHED.map(({ host, type, blob }) => ({ host, fingerprint: fingerprint(blob), type }));
  const pins = ['github.com', 'gitlab.com', 'bitbucket.org'].flatMap((host) =>
    publishedKeys(host, 22).map((pin) => ({ host, ...pin })),
  );
  expect(new Set(pins)).toEqual(new Set(keys));
});

test('they are those of one host and port', () => {
  expect(publishedKeys('GitHub.com', 22)).toHaveLength(3);
  expect(publishedKeys('github.com', 443)).toEqual([]);
  expect(publishedKeys('ssh.github.com', 443)).toEqual(publishedKeys('github.com', 22));
  for (const host of ['constructor', '__proto__', 'example.com', 'github.com.evil.example']) {
    expect(publishedKeys(host, 22)).toEqual([]);
  }
});

test('they count where the service knows none of its own', () => {
  expect(takes({ host: 'github.com' })).toBe(true);
  expect(takes({ host: 'gitlab.com' })).toBe(false);
  const [, other] = PUBLISHED;
  expect(takes({ host: 'github.com', hostKey: other!.blob })).toBe(false);
  expect(takes({ host: 'github.com', knownHosts: `github.com ${other!.type} ${other!.blob.toString('base64')}` })).toBe(
    false,
  );
});

test('their types are asked for, and no other', () => {
  const credentials = credentialsOf({ host: 'bitbucket.org' });
  const { algorithms } = HostTrust.of(credentials, upstreamOf(credentials), false);
  expect(algorithms).toEqual(['ssh-ed25519', 'ecdsa-sha2-nistp256']);
});
