import { fingerprint } from 'secretless-sidecar/connector/ssh';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ShownHost } from './bindings.ts';
import { HostList } from './hosts.ts';
import { hasKeygen, KeyFolder, type MadeKey } from './testdata/keygen.ts';

const NOW = new Date('2026-06-01T00:00:00Z');

describe.skipIf(!hasKeygen)('the list of hosts', () => {
  let keys: KeyFolder;
  let host: MadeKey;
  let other: MadeKey;
  let authority: MadeKey;
  let certified: ShownHost;
  beforeAll(() => {
    keys = new KeyFolder();
    [host, other, authority] = [keys.make('ed25519'), keys.make('ecdsa 256'), keys.make('ed25519')];
    certified = certify('-n', 'web.corp,alias.org', '-V', '20260101:20270101');
  });
  afterAll(() => keys.remove());

  const plain = ({ blob }: MadeKey): ShownHost => ({ fingerprint: fingerprint(blob), blob });
  function certify(...more: readonly string[]): ShownHost {
    keys.run('-q', '-s', authority.path, '-I', 'web', '-h', ...more, `${host.path}.pub`);
    return { fingerprint: fingerprint(host.blob), blob: keys.blobOf(keys.textOf(`${host.path}-cert.pub`)) };
  }

  test('has the host of a fingerprint or a line, by its key or with a certificate around it, and no other', () => {
    const pin = fingerprint(host.blob);
    for (const entry of [pin, `${pin}=`, host.line, `web.corp ${host.line}`, `[10.0.0.1]:2222 ${host.line} who`]) {
      const list = new HostList([entry]);
      expect(list.allows(plain(host), NOW)).toBe(true);
      expect(list.allows(certified, NOW)).toBe(true);
      expect(list.allows(plain(other), NOW)).toBe(false);
    }
  });

  test('has the hosts of an authority by the names in their certificates, while they are valid', () => {
    const allows = (patterns: string, shown: ShownHost, at = NOW): boolean =>
      new HostList([`@cert-authority ${patterns} ${authority.line}`]).allows(shown, at);
    expect(allows('*.corp', certified)).toBe(true);
    expect(allows('alias.org', certified)).toBe(true);
    expect(allows('*.net', certified)).toBe(false);
    expect(allows('*.corp,!web.corp', certified)).toBe(false);
    expect(allows('*.corp', plain(host))).toBe(false);
    expect(allows('*.corp', certified, new Date('2027-06-01T00:00:00Z'))).toBe(false);
    expect(allows('*', certify('-V', '20260101:20270101'))).toBe(false);
    expect(new HostList([`@cert-authority * ${other.line}`]).allows(certified, NOW)).toBe(false);
  });

  test('does not have what is revoked, whatever else says so', () => {
    const entries = [host.line, `@cert-authority * ${authority.line}`];
    expect(new HostList(entries).allows(certified, NOW)).toBe(true);
    const byKey = new HostList([...entries, `@revoked * ${host.line}`]);
    expect([byKey.allows(plain(host), NOW), byKey.allows(certified, NOW)]).toEqual([false, false]);
    const byAuthority = new HostList([...entries, `@revoked * ${authority.line}`]);
    expect([byAuthority.allows(plain(host), NOW), byAuthority.allows(certified, NOW)]).toEqual([true, false]);
  });
});
