import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { readHostPatterns } from './host-pattern.ts';
import { KnownHosts } from './known-hosts.ts';
import { FingerprintPins } from './pins.ts';
import { fingerprint } from './public-key.ts';
import { readPublicLine } from './public-line.ts';
import { hasKeygen, KeyFolder } from './testdata/keygen.ts';
import { strings, WireError } from './wire.ts';

const folder = new KeyFolder();
afterAll(() => folder.remove());
const NOW = new Date('2026-06-01T00:00:00Z');

/** A key of a type that is not known: only its bytes count. */
function key(letter: string): { readonly blob: Buffer; readonly line: string } {
  const blob = strings('ssh-test', letter);
  return { blob, line: `ssh-test ${blob.toString('base64')}` };
}
const [A, B] = [key('a'), key('b')];

function verdict(text: string, host: string, blob: Buffer, port = 22): string {
  return new KnownHosts(text).verdict({ host, port }, blob, NOW);
}

test('a host is trusted by its own key alone', () => {
  const text = `# comment\n\nweb,10.0.0.7 ${A.line} a comment\r\n[web]:2222 ${B.line}\n`;
  expect(verdict(text, 'web', A.blob)).toBe('trusted');
  expect(verdict(text, 'WEB', A.blob)).toBe('trusted');
  expect(verdict(text, '10.0.0.7', A.blob)).toBe('trusted');
  expect(verdict(text, 'web', B.blob)).toBe('changed');
  expect(verdict(text, 'web', B.blob, 2222)).toBe('trusted');
  expect(verdict(text, 'web', A.blob, 2222)).toBe('changed');
  expect(verdict(text, 'web', A.blob, 2223)).toBe('unknown');
  expect(verdict(text, 'db', A.blob)).toBe('unknown');
  expect(verdict('', 'web', A.blob)).toBe('unknown');
});

test('patterns match whole names, and one with ! takes the line away', () => {
  const text = `*.example.com,!bad.example.com,h?st ${A.line}`;
  expect(verdict(text, 'git.example.com', A.blob)).toBe('trusted');
  expect(verdict(text, 'bad.example.com', A.blob)).toBe('unknown');
  expect(verdict(text, 'example.com', A.blob)).toBe('unknown');
  expect(verdict(text, 'git.example.com.evil', A.blob)).toBe('unknown');
  expect(verdict(text, 'host', A.blob)).toBe('trusted');
  expect(verdict(text, 'hst', A.blob)).toBe('unknown');
  expect(verdict(`!web ${A.line}`, 'db', A.blob)).toBe('unknown');
});

test('a pattern of many stars takes no time that anyone notices', () => {
  const isAbout = readHostPatterns(`${'*a'.repeat(500)}b`);
  const begin = performance.now();
  expect(isAbout('a'.repeat(1000))).toBe(false);
  expect(performance.now() - begin).toBeLessThan(200);
});

test('what is revoked is refused, whatever else says that it is known', () => {
  expect(verdict(`web ${A.line}\n@revoked * ${A.line}`, 'web', A.blob)).toBe('revoked');
  expect(verdict(`@revoked * ${A.line}\nweb ${A.line}\nweb ${B.line}`, 'web', B.blob)).toBe('trusted');
  expect(verdict(`@revoked web ${A.line}`, 'web', B.blob)).toBe('unknown');
  expect(verdict(`@revoked other ${A.line}\nweb ${A.line}`, 'web', A.blob)).toBe('trusted');
});

test('a line that cannot be read is named, and nothing is passed over', () => {
  const bad = ['web', 'web ssh-test', `@unknown web ${A.line}`, 'web ssh-test A', `|2|AA==|AA== ${A.line}`];
  bad.push(`web ssh-other ${A.line.split(' ')[1]}`, `,web ${A.line}`, `|1|AA==|AA== ${A.line}`);
  bad.push(`|1|${Buffer.alloc(20).toString('base64')}|AA== ${A.line}`);
  const certificate = 'ssh-test-cert-v01@openssh.com';
  bad.push(`web ${certificate} ${strings(certificate, 'x').toString('base64')}`);
  for (const line of bad) {
    expect(() => new KnownHosts(`web ${A.line}\n${line}\n`)).toThrow(/^line 2 of the known hosts/);
    expect(() => new KnownHosts(line)).toThrow(WireError);
  }
});

test('it tells the types to ask a host for', () => {
  const hosts = new KnownHosts(`web ${A.line}\nweb ${B.line}\n@cert-authority *.corp ${A.line}`);
  expect(hosts.types({ host: 'web', port: 22 })).toEqual(['ssh-test']);
  expect(hosts.types({ host: 'a.corp', port: 22 })).toEqual([]);
  expect(hosts.hasAuthority({ host: 'a.corp', port: 22 })).toBe(true);
  expect(hosts.hasAuthority({ host: 'web', port: 22 })).toBe(false);
});

describe.skipIf(!hasKeygen)('with ssh-keygen as the judge', () => {
  test('hashed names match what it hashed', () => {
    const path = join(folder.path, 'known_hosts');
    writeFileSync(path, `web ${A.line}\n`);
    const { blob, line } = folder.make('ed25519');
    writeFileSync(path, `web,[web]:2222 ${line}\n`);
    folder.run('-H', '-f', path);
    const text = readFileSync(path, 'utf8');
    expect(text).not.toContain('web');
    expect(verdict(text, 'web', blob)).toBe('trusted');
    expect(verdict(text, 'Web', blob, 2222)).toBe('trusted');
    expect(verdict(text, 'web', A.blob)).toBe('changed');
    expect(verdict(text, 'web2', blob)).toBe('unknown');
    expect(verdict(text, 'web', blob, 2223)).toBe('unknown');
  });

  test('the certificate of an authority is trusted for its own hosts, as long as it is valid', () => {
    const [authority, host] = [folder.make('ecdsa 256'), folder.make('ed25519')];
    const validity = '20260101000000Z:20270101000000Z';
    folder.run('-q', '-s', authority.path, '-I', 'h', '-h', '-n', 'web.corp', '-V', validity, `${host.path}.pub`);
    const { blob } = readPublicLine(readFileSync(`${host.path}-cert.pub`, 'utf8'));
    const hosts = `@cert-authority *.corp ${authority.line}`;
    expect(verdict(hosts, 'web.corp', blob)).toBe('trusted');
    expect(verdict(hosts, 'web.corp', blob, 2222)).toBe('unknown');
    expect(verdict(hosts, 'db.corp', blob)).toBe('changed');
    expect(verdict(hosts, 'web.corp', host.blob)).toBe('changed');
    expect(verdict(hosts, 'web.corp', authority.blob)).toBe('changed');
    expect(verdict(hosts, 'web.org', blob)).toBe('unknown');
    expect(new KnownHosts(hosts).verdict({ host: 'web.corp', port: 22 }, blob, new Date('2027-01-01'))).toBe('changed');
    for (const revoked of [authority, host]) {
      expect(verdict(`${hosts}\n@revoked * ${revoked.line}`, 'web.corp', blob)).toBe('revoked');
    }
    // A plain line is no authority, and an authority no key.
    expect(verdict(`*.corp ${authority.line}`, 'web.corp', blob)).toBe('changed');
    expect(verdict(`web.corp ${host.line}`, 'web.corp', blob)).toBe('trusted');
    const forged = Buffer.from(blob);
    forged[forged.length - 1]! ^= 1;
    expect(verdict(hosts, 'web.corp', forged)).toBe('changed');
  });

  test('fingerprints are those it prints, and pins match them alone', () => {
    for (const type of ['ed25519', 'rsa 2048', 'ecdsa 521']) {
      const { path, blob } = folder.make(type);
      const printed = folder.run('-l', '-f', path).split(' ')[1]!;
      expect(fingerprint(blob)).toBe(printed);
      expect(new FingerprintPins([printed]).isPinned(blob)).toBe(true);
      expect(new FingerprintPins([printed]).isPinned(A.blob)).toBe(false);
      expect(new FingerprintPins([]).isPinned(blob)).toBe(false);
    }
    const md5 = folder.run('-l', '-E', 'md5', '-f', folder.make('ed25519').path).split(' ')[1]!;
    for (const pin of [md5, 'SHA256:', `SHA256:${'A'.repeat(42)}`, `SHA256:${'A'.repeat(42)}B`, '']) {
      expect(() => new FingerprintPins([pin])).toThrow(WireError);
    }
  });

  test('lines of authorized_keys are read with options in front', () => {
    const { line, blob } = folder.make('ed25519');
    const options = ['', 'restrict ', 'command="echo \\"a b\\" ssh-rsa AAAA",no-pty ', 'from="10.0.0.0/8" '];
    for (const option of options)
      expect(readPublicLine(`${option}${line} who\n`)).toMatchObject({ blob, comment: 'who' });
    for (const bad of ['', 'restrict', `${line}\n${line}`, line.replace('ssh-ed25519', 'ssh-rsa'), `"${line}`]) {
      expect(() => readPublicLine(bad)).toThrow(WireError);
    }
  });
});
