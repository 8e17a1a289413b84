import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { formatAuthority } from '../connector/origin.ts';
import { SidecarError } from '../error.ts';
import { hostAgrees, isLoopback, parseAuthority, parseHost } from './authority.ts';

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof SidecarError) return error.code;
    throw error;
  }
  return 'accepted';
}

describe('parseHost', () => {
  test.each([
    ['api.github.com', 'api.github.com'],
    ['API.GitHub.COM', 'api.github.com'],
    ['localhost', 'localhost'],
    ['my_service-1', 'my_service-1'],
    ['_dmarc.example.com', '_dmarc.example.com'],
    ['xn--bcher-kva.example', 'xn--bcher-kva.example'],
    ['1password.com', '1password.com'],
    ['3com', '3com'],
    ['127.0.0.1', '127.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['0.0.0.0', '0.0.0.0'],
    ['[::1]', '::1'],
    ['[::]', '::'],
    ['[2001:DB8:0:0:1:0:0:1]', '2001:db8::1:0:0:1'],
    ['[2001:db8:0:1:1:1:1:1]', '2001:db8:0:1:1:1:1:1'],
    ['[0:0:0:0:0:ffff:127.0.0.1]', '::ffff:7f00:1'],
    ['[::ffff:7f00:0001]', '::ffff:7f00:1'],
    ['[1::]', '1::'],
    [`${'a'.repeat(63)}.example`, `${'a'.repeat(63)}.example`],
  ])('reads %s as %s', (text, host) => {
    expect(parseHost(text)).toBe(host);
  });

  test.each([
    '',
    '.',
    'a.',
    'a..b',
    '.a',
    'api.github.com.',
    'a b',
    'a\tb',
    'a\0.example.com',
    'a%2e.com',
    'user@host',
    'a/b',
    'a\\b',
    'a#b',
    'a?b',
    'a,b',
    'a;b',
    'a:80',
    "a'b",
    'exämple.com',
    'a\u3002com',
    'a\uff0ecom',
    '\u212a.com',
    'a\u00adb.com',
    '127.1',
    '127.0.1',
    '2130706433',
    '0x7f.1',
    '0x7f000001',
    '0177.0.0.1',
    '127.0.0.01',
    '256.0.0.1',
    '1.2.3.4.5',
    '127.0.0.0x1',
    'a.1',
    'a.0x1f',
    'a.0x',
    '0x',
    '-a.com',
    'a-.com',
    'a.-',
    '[]',
    '[',
    ']',
    '[::1',
    '::1',
    '[::1]x',
    '[::1%25lo]',
    '[fe80::1%eth0]',
    '[1:2:3:4:5:6:7]',
    '[1:2:3:4:5:6:7:8:9]',
    '[1:2:3:4:5:6:7::8]',
    '[1::2::3]',
    '[:::]',
    '[12345::]',
    '[::127.0.0.01]',
    '[::1.2.3]',
    '[1.2.3.4::]',
    '[v1.fe]',
    '[127.0.0.1]',
    '[g::]',
    'a'.repeat(64),
    `${'a.'.repeat(127)}ab`,
    `[${'0:'.repeat(200)}]`,
  ])('refuses %j', (text) => {
    expect(codeOf(() => parseHost(text))).toBe('request-malformed');
  });

  it('never quotes what it refuses, since that may hold a password', () => {
    for (const text of ['user:hunter2@host', 'hunter2\0', '[hunter2]']) {
      expect(() => parseHost(text)).toThrow(
        expect.not.objectContaining({ message: expect.stringContaining('hunter2') }),
      );
    }
  });

  it('agrees with a URL parser about every host it accepts', () => {
    const part = fc.constantFrom(
      'a',
      'API',
      'com',
      'x-y',
      '_s',
      '0',
      '1',
      '127',
      '255',
      '256',
      '01',
      '0x7f',
      '0xg',
      '-',
      '',
      '%2e',
      '@',
      '::',
      ':',
      '[',
      ']',
      'ffff',
      'é',
      '\0',
      '\t',
      'xn--bcher-kva',
      'xn--a',
    );
    const piece = fc.oneof(
      fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('.')),
      fc.ipV4(),
      fc.ipV6().map((ip) => `[${ip}]`),
      fc.domain(),
      fc.string({ maxLength: 12 }),
    );
    fc.assert(
      fc.property(piece, (text) => {
        if (codeOf(() => parseHost(text)) !== 'accepted') return;
        const host = parseHost(text);
        if (!URL.canParse(`http://${text}/`)) return void expect(text).toMatch(/xn--/i);
        const shown = formatAuthority({ scheme: 'http', host, port: 80 });
        expect(new URL(`http://${text}/`).hostname).toBe(shown);
        expect(parseHost(shown)).toBe(host);
      }),
      { numRuns: 5000 },
    );
  });

  it('refuses hosts that a URL parser would have repaired into another host', () => {
    const repaired: readonly (readonly [string, string])[] = [
      ['0x7f.1', '127.0.0.1'],
      ['2130706433', '127.0.0.1'],
      ['a%2ecom', 'a.com'],
      ['a\u3002com', 'a.com'],
      ['\u212a.com', 'k.com'],
      ['127.0.0.1.', '127.0.0.1'],
      ['a\t.com', 'a.com'],
    ];
    for (const [text, naive] of repaired) {
      expect(new URL(`http://${text}/`).hostname).toBe(naive);
      expect(codeOf(() => parseHost(text))).toBe('request-malformed');
    }
  });
});

describe('parseAuthority', () => {
  test.each([
    ['example.com', 'http', 'example.com', 80],
    ['example.com', 'https', 'example.com', 443],
    ['example.com:8080', 'http', 'example.com', 8080],
    ['[::1]', 'https', '::1', 443],
    ['[::1]:9', 'http', '::1', 9],
    ['a:65535', 'http', 'a', 65535],
  ] as const)('reads %s under %s', (text, scheme, host, port) => {
    expect(parseAuthority(text, scheme)).toEqual({ host, port });
  });

  test.each([
    '',
    ':80',
    'a:',
    'a:0',
    'a:080',
    'a:65536',
    'a:99999',
    'a:100000',
    'a:-1',
    'a:+1',
    'a:1e3',
    'a: 80',
    'a:80 ',
    'a:80:80',
    'u@a',
    'u:p@a:80',
    'a:80@evil.test',
    '::1',
    '::1:80',
    '[::1]80',
    '[::1]:',
    '[::1]:x',
    '[::1',
    '[:80',
    'a:8\u0660',
    'a:0x50',
  ])('refuses %j', (text) => {
    expect(codeOf(() => parseAuthority(text, 'http'))).toBe('request-malformed');
  });
});

describe('hostAgrees', () => {
  const github = { scheme: 'https', host: 'api.github.com', port: 443 } as const;
  test.each(['api.github.com', 'API.github.com', 'api.github.com:443'])('takes %s for the origin', (header) => {
    expect(hostAgrees(header, github)).toBe(true);
  });
  test.each([
    '',
    'api.github.com:80',
    'api.github.com:8443',
    'api.github.com.',
    'evil.test',
    'api.github.com.evil.test',
    'api.github.com@evil.test',
    'evil.test@api.github.com',
    'api.github.com, evil.test',
    'api.github.com:',
    ' api.github.com',
    'api.github.com\0',
    'https://api.github.com',
    'api.github.com/',
  ])('does not take %j for it', (header) => {
    expect(hostAgrees(header, github)).toBe(false);
  });
  it('compares an IPv6 literal by value', () => {
    expect(hostAgrees('[0:0::0001]:8080', { scheme: 'http', host: '::1', port: 8080 })).toBe(true);
    expect(hostAgrees('[::2]:8080', { scheme: 'http', host: '::1', port: 8080 })).toBe(false);
  });
});

describe('isLoopback', () => {
  test.each([
    '127.0.0.1',
    '127.255.255.254',
    '::1',
    '0:0:0:0:0:0:0:1',
    'localhost',
    'api.localhost',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
  ])('says yes to %s', (host) => expect(isLoopback(host)).toBe(true));
  test.each([
    '128.0.0.1',
    '126.0.0.1',
    '127.0.0.1.evil.test',
    '127.1',
    '0127.0.0.1',
    '127.0.0.256',
    '0.0.0.0',
    '::',
    '::2',
    '1::1',
    '::ffff:128.0.0.1',
    '::127.0.0.1',
    '::1%lo',
    'localhost.',
    'localhost.evil.test',
    'evillocalhost',
    '.localhost',
    'a\0.localhost',
    'evil.test:.localhost',
    'a/.localhost',
    '',
  ])('says no to %j', (host) => expect(isLoopback(host)).toBe(false));
});
