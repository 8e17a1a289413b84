import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { sameOrigin, type Origin } from '../connector/origin.ts';
import { parseAuthority } from './authority.ts';
import { compileUrlPattern } from './match.ts';
import { parseRequestTarget } from './target.ts';

/** As a listener does it: parse, then match. A URL that does not parse never reaches a pattern. */
function matches(source: string, url: string): boolean {
  const pattern = compileUrlPattern(source);
  const parsed = parsedUrl(url);
  return parsed !== undefined && pattern.matches(parsed.origin, parsed.target);
}

function parsedUrl(url: string): { origin: Origin; target: string } | undefined {
  try {
    const parsed = parseRequestTarget(url);
    return parsed.form === 'absolute' ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function origin(scheme: Origin['scheme'], authority: string): Origin {
  return { scheme, ...parseAuthority(authority, scheme) };
}

describe('patterns of CyberArk files', () => {
  test.each([
    [
      '^http[s]*://api\\.github\\.com',
      false,
      ['http://api.github.com/', 'https://api.github.com/repos?x', 'HTTP://API.github.com:80/'],
      [
        'http://api.github.com.evil.test/',
        'http://api.github.com:8080/',
        'http://api.github.com@evil.test/',
        'https://api.github.com:80/',
        'http://evil.test/http://api.github.com',
      ],
    ],
    [
      '^http://api\\.example\\.com/',
      false,
      ['http://api.example.com/', 'http://api.example.com'],
      ['https://api.example.com/', 'http://api.example.com:81/'],
    ],
    [
      '^https?://localhost:\\d+/v1/',
      false,
      ['http://localhost:8080/v1/x', 'http://localhost/v1/', 'https://localhost:80/v1/'],
      ['http://localhost:8080/v2/', 'http://localhost:8080/x/v1/', 'http://localhost.evil.test:80/v1/'],
    ],
    [
      'api\\.github\\.com',
      false,
      ['http://api.github.com/', 'https://api.github.com/x'],
      ['http://evil.test/api.github.com', 'http://xapi.github.com/', 'http://api.github.com.evil.test/'],
    ],
    [
      '^http://maps\\.',
      true,
      ['http://maps.example.com/', 'http://maps.googleapis.com:8080/x'],
      [
        'http://mapsx.example.com/',
        'http://maps/',
        'http://evil.test/maps.',
        'https://maps.example.com/',
        'http://a.maps.example.com/',
      ],
    ],
    ['^http://int\\.', true, ['http://int.corp/'], ['http://interior.test/', 'http://internal/']],
    [
      '^https://.*\\.example\\.com/',
      true,
      ['https://a.example.com/', 'https://a.b.example.com/x'],
      [
        'https://evil.test/a.example.com/',
        'https://evil.test/?.example.com/',
        'https://aexample.com/',
        'https://a.example.com.evil.test/',
        'http://a.example.com/',
      ],
    ],
    [
      '^https://.*.example.com',
      true,
      ['https://a.example.com/'],
      [
        'https://a-example.com/',
        'https://a.example.com.evil.test/',
        'https://a.exampleXcom/',
        'https://evil.test/a.example.com',
      ],
    ],
    ['^http://.*', true, ['http://anything.test/', 'http://[::1]:99/x'], ['https://anything.test/']],
    ['^http', true, ['http://a.test/', 'https://a.test:1/x'], []],
    ['.*', true, ['http://a.test/', 'https://a.test:1/x'], []],
    ['', true, ['http://a.test/'], []],
    ['^https', true, ['https://a.test/'], ['http://https.test/', 'http://a.test/https']],
    ['^http://.*/api/', true, ['http://a.test/api/', 'http://a.test/v1/api/'], ['http://a.test/x']],
    [
      '^http.*\\.example\\.com/',
      true,
      ['http://a.example.com/', 'https://a.example.com/'],
      ['http://evil.test/.example.com/'],
    ],
    ['.*amazonaws.*', true, ['https://s3.amazonaws.com/'], ['https://evil.test/amazonaws']],
  ] as const)('%s (wide: %s) matches what the table says', (source, wide, yes, no) => {
    expect(compileUrlPattern(source).wide).toBe(wide);
    expect(yes.filter((url) => !matches(source, url))).toEqual([]);
    expect(no.filter((url) => matches(source, url))).toEqual([]);
  });
});

describe('binding', () => {
  test.each<[string, string[]]>([
    ['^http[s]*://api\\.github\\.com', ['http://api.github.com', 'https://api.github.com']],
    ['^https?://api.github.com/', ['http://api.github.com', 'https://api.github.com']],
    ['^(http|https)://api\\.github\\.com(/|$)', ['http://api.github.com', 'https://api.github.com']],
    ['^http[s]?:\\/\\/api\\.github\\.com$', ['http://api.github.com', 'https://api.github.com']],
    ['^https://api\\.github\\.com.*', ['https://api.github.com']],
    ['^https://api\\.github\\.com.*$', ['https://api.github.com']],
    ['^https://api\\.github\\.com(/.*)?$', ['https://api.github.com']],
    ['^https://api\\.github\\.com[/:]', ['https://api.github.com:*']],
    ['^https://api\\.github\\.com[/?]', ['https://api.github.com']],
    ['^https://api\\.github\\.com\\b', ['https://api.github.com']],
    ['\\Ahttps://\\Qapi.github.com\\E\\z', ['https://api.github.com']],
    ['(?i)^HTTPS://API\\.GITHUB\\.COM/', ['https://api.github.com']],
    ['^https://API.GitHub.com/', ['https://api.github.com']],
    ['^(?P<all>https://api\\.github\\.com)/', ['https://api.github.com']],
    ['https://api.github.com/repos/', ['https://api.github.com']],
    ['^http://localhost:8080', ['http://localhost:8080']],
    ['^http://localhost:\\d+/', ['http://localhost:*']],
    ['^http://localhost(:[0-9]+)?/', ['http://localhost:*']],
    ['^http://127\\.0\\.0\\.1/', ['http://127.0.0.1']],
    ['^http://\\[::1\\]:8080/', ['http://[::1]:8080']],
    ['^http://\\[0:0::1\\]/', ['http://[::1]']],
    ['^http://vault$', ['http://vault']],
    ['^https://(api|uploads)\\.github\\.com/', ['https://api.github.com', 'https://uploads.github.com']],
    ['^https://(www\\.)?example\\.com/', ['https://example.com', 'https://www.example.com']],
    ['^(https?://)?example\\.com/', ['http://example.com', 'https://example.com']],
    ['^http://a\\.test/|^https://b\\.test/', ['http://a.test', 'https://b.test']],
    ['^.*://api\\.github\\.com/', ['http://api.github.com', 'https://api.github.com']],
    ['[[:alpha:]]+://api\\.github\\.com/', ['http://api.github.com', 'https://api.github.com']],
    ['api\\.github\\.com', ['http://api.github.com', 'https://api.github.com']],
  ])('of %s is %j', (source, origins) => {
    const pattern = compileUrlPattern(source);
    expect(pattern.wide).toBe(false);
    expect(pattern.origins).toEqual(origins);
    for (const text of origins) {
      const [scheme, authority] = text.replace(':*', ':4711').split('://') as ['http' | 'https', string];
      const target = source.includes('repos') ? '/repos/x' : '/';
      expect(pattern.matches(origin(scheme, authority), target), text).toBe(true);
    }
  });

  test.each([
    '^http',
    '.*',
    '',
    '^https?://',
    '^http://.*',
    '^http://maps\\.',
    '^https://.*\\.example\\.com/',
    '^https://[a-z]+\\.example\\.com/',
    '^https://\\w+/',
    '^https://api\\.github\\.com[a-z]*',
    '^https://api\\.[^/]+/',
    '^https://api\\.github\\.com|^http',
    '^https://api\\.github\\.(com|.*)/',
    '(a|.*)\\.test',
    '^https?://(www\\.)?',
    '^https://api\\.github\\..*',
  ])('of %j is wide, with no origins', (source) => {
    const pattern = compileUrlPattern(source);
    expect(pattern.wide).toBe(true);
    expect(pattern).not.toHaveProperty('origins');
  });

  test.each([
    ['^http://localhost:80', 'http', 'localhost:8080', false],
    ['^http://localhost:80', 'http', 'localhost', true],
    ['^http://localhost:80$', 'http', 'localhost', true],
    ['^http://localhost:80/', 'https', 'localhost:80', false],
    ['^http://localhost:808', 'http', 'localhost:8080', false],
    ['^http://localhost:8080', 'http', 'localhost:8080', true],
    ['^http://localhost:8080', 'http', 'localhost', false],
    ['^http://localhost:', 'http', 'localhost:8080', true],
    ['^http://localhost[/:]', 'http', 'localhost:8080', true],
    ['^http://localhost(:8080)?', 'http', 'localhost', true],
    ['^http://localhost(:8080)?', 'http', 'localhost:8080', true],
    ['^http://localhost(:8080)?', 'http', 'localhost:9090', false],
    ['^http://localhost.*', 'http', 'localhost:9090', false],
    ['^http://localhost.*', 'http', 'localhost', true],
    ['^https://localhost:443/', 'https', 'localhost', true],
  ] as const)('of %s to %s://%s is %s', (source, scheme, authority, expected) => {
    expect(compileUrlPattern(source).matches(origin(scheme, authority), '/')).toBe(expected);
  });

  it('holds the path to what is written after the host', () => {
    const pattern = compileUrlPattern('^https?://api\\.github\\.com/repos/acme/');
    const to = origin('https', 'api.github.com');
    expect(pattern.matches(to, '/repos/acme/app')).toBe(true);
    expect(pattern.matches(to, '/repos/other')).toBe(false);
    expect(pattern.matches(to, '/x/repos/acme/')).toBe(false);
    expect(pattern.matches(to, '/REPOS/acme/')).toBe(false);
    expect(pattern.matches(to, '/?/repos/acme/')).toBe(false);
  });
});

describe('refusals', () => {
  test.each([
    ['(', 'closing ")"'],
    [')', 'unmatched'],
    ['[a', 'closing "]"'],
    ['a**', 'repeats a repetition'],
    ['*a', 'nothing to repeat'],
    ['a\\', 'backslash'],
    ['a{2,1}', 'wrong way round'],
    ['a{1001}', '1000'],
    ['((a{1000}){1000}){1000}', 'too large'],
    ['(?=a)', 'look-around'],
    ['(?<!a)b', 'look-around'],
    ['(a)\\1', 'not supported'],
    ['\\pL', 'not supported'],
    ['\\C', 'not supported'],
    ['[[:nope:]]', 'unknown class'],
    ['[z-a]', 'wrong way round'],
    ['[\\d-z]', 'wrong way round'],
    ['é', 'ASCII'],
    ['\\x{100}', 'ASCII'],
    ['('.repeat(200), 'deeply'],
    ['^ftp://a\\.test/', 'neither http'],
    ['^/repos/', 'begins in the path'],
    ['\\?key=', 'begins in the path'],
    ['^http://127.1/', 'cannot exist'],
    ['^http://a..b/', 'cannot exist'],
    ['^http://maps\\./', 'cannot exist'],
    ['^http://0x7f/', 'cannot exist'],
  ])('of %s says why: %s', (source, reason) => {
    expect(() => compileUrlPattern(source)).toThrow(reason);
  });
});

const TARGETS = ['api.github.com', 'api.example.com'];

/** URLs whose text shows a trusted host somewhere, all of which lead to another origin or nowhere. */
function confusions(): string[] {
  const urls: string[] = [];
  for (const host of TARGETS) {
    const authorities = [
      `${host}.evil.test`,
      `${host}evil.test`,
      `${host}-evil.test`,
      `${host}_evil.test`,
      `evil${host}`,
      `evil.${host}.test`,
      `x-${host}`,
      `${host}.`,
      `${host}..`,
      `.${host}`,
      `${host}@evil.test`,
      `${host}:80@evil.test`,
      `${host}:x@evil.test`,
      `evil.test@${host}`,
      `u:p@${host}`,
      `${host}:81`,
      `${host}:8080`,
      `${host}:443443`,
      `${host}:0`,
      `${host}:`,
      `${host}:080`,
      `${host}:80:80`,
      `${host}:-1`,
      `${host}: 80`,
      `${host}:80evil.test`,
      `${host}:80.evil.test`,
      `${host}%2eevil.test`,
      `${host}%2f.evil.test`,
      `${host}%00.evil.test`,
      `${host}%20.evil.test`,
      `${host}%0d%0aX`,
      `${host}%40evil.test`,
      `${host}%3a80`,
      `${host}\0.evil.test`,
      `${host}\t.evil.test`,
      `${host}\n.evil.test`,
      `${host}\r\n.evil.test`,
      `${host} .evil.test`,
      `${host}\\.evil.test`,
      `${host}\\@evil.test`,
      `evil.test\\@${host}`,
      `evil.test\\.${host}`,
      `${host};.evil.test`,
      `${host},evil.test`,
      `${host}#.evil.test`,
      `evil.test#${host}`,
      `${host}&evil.test`,
      `${host}\u3002evil.test`,
      `${host}\uff0eevil.test`,
      `${host}\uff0fevil.test`,
      `${host}\u2024evil.test`,
      host.replaceAll('.', '\u3002'),
      host.replaceAll('.', '\uff0e'),
      host.replaceAll('.', '%2e'),
      host.replace('api', 'ap\u0131'),
      host.replace('a', '\u0430'),
      host.replace('a', '\u24d0'),
      host.replace('i', '\u00adi'),
      host.replaceAll('.', 'x'),
      host.replaceAll('.', '-'),
      host.replace('.', ''),
      host.slice(0, -1),
      host.slice(1),
      host.slice(4),
      `[${host}]`,
      `[::ffff:${host}]`,
      `[::1]${host}`,
      `[::1].${host}`,
      `[::1%25${host}]`,
      `[::1]:80@${host}`,
      '[::1]',
      '127.0.0.1',
      '2130706433',
      '0x7f.1',
      `0x7f.1.${host}.evil.test`,
      `xn--${host}`,
      `${host}\u200b`,
      `\ufeff${host}`,
      `*.${host}`,
      `${host}*`,
      `(${host})`,
      `${host}|evil.test`,
    ];
    for (const authority of authorities) {
      for (const scheme of ['http', 'https']) urls.push(`${scheme}://${authority}/`, `${scheme}://${authority}`);
    }
    for (const tail of [
      host,
      `@${host}/`,
      `http://${host}/`,
      `https://${host}/`,
      `//${host}/`,
      `..//${host}`,
      `%2f%2f${host}/`,
      `\\\\${host}/`,
      `;${host}`,
      `.${host}/`,
    ]) {
      urls.push(
        `http://evil.test/${tail}`,
        `https://evil.test/?${tail}`,
        `http://evil.test?${tail}`,
        `http://evil.test:80/${tail}`,
        `http://evil.test:8080//${tail}`,
        `https://evil.test/#${tail}`,
      );
    }
    urls.push(
      `http:${host}`,
      `http:/${host}/`,
      `http:///${host}/`,
      `http:\\\\${host}/`,
      `//${host}/`,
      `/${host}`,
      `ftp://${host}/`,
      ` http://${host}/`,
      `http:// ${host}/`,
      `ht\ttp://${host}/`,
      `http:\n//${host}/`,
      `HTTP\0://${host}/`,
      `httpss://${host}/`,
      `xhttp://${host}/`,
    );
  }
  return urls;
}

describe('URL and origin confusion', () => {
  const urls = confusions();
  const bound = [
    '^http[s]*://api\\.github\\.com',
    '^https?://api.github.com',
    '^(http|https)://api\\.github\\.com',
    'api\\.github\\.com',
    'https?://api\\.github\\.com',
    '^http://api\\.example\\.com/',
    '^https://api\\.example\\.com.*',
    '(?i)^HTTPS?://API\\.EXAMPLE\\.COM',
    '^http.?://api\\.github\\.com',
    '.*://api\\.github\\.com',
    '^https?://api\\.(github|example)\\.com(:80)?',
    '^https?://(api\\.github\\.com|api\\.example\\.com)(/.*)?',
    '^http://api\\.github\\.com[/:]?',
  ];

  it('never leads a bound credential to an origin that is not the pattern’s own, where a search in the text would', () => {
    expect(urls.length).toBeGreaterThan(500);
    let naive = 0;
    for (const source of bound) {
      const pattern = compileUrlPattern(source);
      expect(pattern.wide, source).toBe(false);
      const search = new RegExp(source.replace('(?i)', ''), source.startsWith('(?i)') ? 'i' : '');
      for (const url of urls) {
        const parsed = parsedUrl(url);
        const hit = parsed !== undefined && pattern.matches(parsed.origin, parsed.target);
        const own = parsed !== undefined && TARGETS.includes(parsed.origin.host);
        if (search.test(url) && !own) naive++;
        if (!hit) continue;
        expect(own, `${source} ${url}`).toBe(true);
        const exact = pattern.origins!.map((text) =>
          origin(...(text.replace(/:[*0-9]+$/, '').split('://') as ['http', string])),
        );
        const withPort = pattern.origins!.some((text) => /:(\*|\d+)$/.test(text));
        expect(withPort || exact.some((one) => sameOrigin(one, parsed.origin)), `${source} ${url}`).toBe(true);
      }
    }
    expect(naive).toBeGreaterThan(1000);
  });

  it('never leads a pattern for subdomains outside its domain, where a search in the text would', () => {
    for (const source of [
      '^https?://.*\\.github\\.com/',
      '^https?://.*.github.com',
      '.*\\.github\\.com',
      '^http.*\\.github\\.com(/|$)',
      '^https?://[^/]*\\.github\\.com/',
      '^https?://[a-z.]+\\.github\\.com$',
      '^https?://\\S+\\.github\\.com',
    ]) {
      const pattern = compileUrlPattern(source);
      const search = new RegExp(source);
      expect(matches(source, 'https://api.github.com/'), source).toBe(true);
      expect(urls.some((url) => search.test(url) && !(parsedUrl(url)?.origin.host ?? '').endsWith('.github.com'))).toBe(
        true,
      );
      for (const url of urls) {
        const parsed = parsedUrl(url);
        if (parsed === undefined || !pattern.matches(parsed.origin, parsed.target)) continue;
        expect(parsed.origin.host.endsWith('.github.com'), `${source} ${url}`).toBe(true);
      }
    }
  });

  it('compares the host itself, so that even text which was never parsed cannot smuggle one in', () => {
    const pattern = compileUrlPattern('^https?://api\\.github\\.com');
    for (const host of [
      'api.github.com/.evil.test',
      'api.github.com@evil.test',
      'api.github.com\0',
      'API.GITHUB.COM.',
      'evil.test/api.github.com',
      'api.github.com:80',
    ]) {
      expect(
        new RegExp(pattern.source).test(`https://${host.toLowerCase()}/`) ||
          host.startsWith('evil') ||
          host.startsWith('API'),
      ).toBe(true);
      expect(pattern.matches({ scheme: 'https', host, port: 443 }, '/')).toBe(false);
    }
  });

  it('binds any spelled-out host to itself', () => {
    const name = fc.domain().filter((text) => parsedUrl(`http://${text}/`) !== undefined);
    fc.assert(
      fc.property(name, name, fc.constantFrom('', '/', '.*', '$', '(/|$)', ':80'), (own, other, tail) => {
        const pattern = compileUrlPattern(`^https?://${own.replaceAll('.', '\\.')}${tail}`);
        expect(pattern.wide).toBe(false);
        expect(pattern.matches(origin('http', own), '/')).toBe(true);
        for (const host of [other, `${own}.${other}`, `${other}.${own}`, `x${own}`, `${own}x`]) {
          if (host.length > 253 || host.toLowerCase() === own.toLowerCase()) continue;
          expect(pattern.matches({ scheme: 'http', host: host.toLowerCase(), port: 80 }, '/')).toBe(false);
        }
      }),
    );
  });
});

describe('limits', () => {
  const to = origin('http', 'a.test');
  it('matches no URL over 8192 characters', () => {
    const pattern = compileUrlPattern('.*');
    expect(pattern.matches(to, `/${'x'.repeat(8192 - 'http://a.test/'.length)}`)).toBe(true);
    expect(pattern.matches(to, `/${'x'.repeat(8193 - 'http://a.test/'.length)}`)).toBe(false);
    expect(pattern.matches(to, `/${'x'.repeat(1_000_000)}`)).toBe(false);
  });

  it('takes no longer than the URL is long for patterns that make a backtracking matcher hang', () => {
    const long = `/${'a'.repeat(8000)}`;
    for (const tail of ['(a+)+b', '(a|a)*b', '(a*)*b', '(.*)*b', '.*.*.*.*.*.*b', '(a|aa)+b', '([a-z]+)*\\d']) {
      expect(compileUrlPattern(`^http://a\\.test/${tail}`).matches(to, long)).toBe(false);
    }
  });
});
