import { SidecarError } from 'secretless-sidecar/connector';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { commandText } from './command-text.ts';
import { socketDestination, tcpDestination, tcpListen } from './destination.ts';
import { environmentFilter } from './environment.ts';
import { wordsFor } from './words.ts';

describe('the text of a command', () => {
  test('is its UTF-8', () => {
    expect(commandText(Buffer.from('echo "é 😀"'))).toBe('echo "é 😀"');
    expect(commandText(Buffer.from('\ufeffid'))).toBe('\ufeffid');
  });

  test('shows each byte that is none as a lone surrogate', () => {
    expect(commandText(Buffer.from([0x61, 0xe9, 0x62]))).toBe('a\udce9b');
    expect(commandText(Buffer.from([0xc0, 0xaf]))).toBe('\udcc0\udcaf');
    expect(commandText(Buffer.from([0xed, 0xb3, 0xa9]))).toBe('\udced\udcb3\udca9');
    expect(commandText(Buffer.from([0xf4, 0x90, 0x80, 0x80]))).toBe('\udcf4\udc90\udc80\udc80');
  });

  test('can be turned back into the very bytes, and quotes no more of them than it must', () => {
    // First bytes of sequences of each length, and the bounds of their second ones.
    const edges = [
      0x41, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff,
    ];
    const some = fc.array(fc.oneof(fc.constantFrom(...edges), fc.integer({ min: 0, max: 255 })), { maxLength: 12 });
    fc.assert(
      fc.property(some, (bytes) => {
        const text = commandText(Uint8Array.from(bytes));
        const back = [...text].map((letter) =>
          /^[\udc80-\udcff]$/.test(letter) ? Buffer.of(letter.charCodeAt(0) & 0xff) : Buffer.from(letter),
        );
        expect([...Buffer.concat(back)]).toEqual(bytes);
        const replaced = [...Buffer.from(bytes).toString('utf8').replaceAll('\ufffd', '')].length;
        expect([...text.replace(/[\udc80-\udcff]/gu, '').replaceAll('\ufffd', '')].length).toBe(replaced);
      }),
      { numRuns: 2000 },
    );
  });

  test('differs where the bytes differ', () => {
    const bytes = fc.uint8Array({ maxLength: 8 });
    fc.assert(
      fc.property(bytes, bytes, (one, other) => {
        expect(commandText(one) === commandText(other)).toBe(Buffer.compare(one, other) === 0);
      }),
    );
  });
});

describe('a destination', () => {
  test.each([
    ['db.internal', 5432, 'db.internal:5432'],
    ['127.0.0.1', 80, '127.0.0.1:80'],
    ['::1', 80, '[::1]:80'],
    ['fe80::1%eth0', 80, '[fe80::1%eth0]:80'],
    ['LocalHost', 80, 'LocalHost:80'],
  ])('%s and %i are %s', (host, port, text) => {
    expect(tcpDestination(host, port)).toBe(text);
  });

  test.each([
    ['', 80],
    ['a b', 80],
    ['-oProxyCommand', 80],
    ['db:1', 80],
    ['[::1]', 80],
    ['db', 0],
    ['db', 65_536],
    ['db,web', 80],
    ['db/x', 80],
    ['user@db', 80],
  ])('"%s" and %i are none', (host, port) => {
    expect(tcpDestination(host, port)).toBeUndefined();
  });

  test('of a listener may leave the host or the port to the upstream', () => {
    expect(tcpListen('', 8080)).toBe(':8080');
    expect(tcpListen('localhost', 0)).toBe('localhost:0');
    expect(tcpListen('*', 8080)).toBe('*:8080');
    expect(tcpListen('::', 0)).toBe('[::]:0');
    expect(tcpListen('', 65_536)).toBeUndefined();
    expect(tcpListen('a b', 0)).toBeUndefined();
  });

  test('of a socket is an absolute path without ways back', () => {
    expect(socketDestination('/var/run/docker.sock')).toBe('/var/run/docker.sock');
    for (const path of ['docker.sock', '', '/a/../b', '/a/./b', '/a b', '/é']) {
      expect(socketDestination(path)).toBeUndefined();
    }
  });
});

describe('variables', () => {
  const passes = environmentFilter(['BUILD_*', 'CI']);
  test.each(['LANG', 'LC_ALL', 'LC_', 'TZ', 'COLORTERM', 'NO_COLOR', 'GIT_PROTOCOL', 'BUILD_ID', 'CI'])(
    '%s goes on',
    (name) => {
      expect(passes(Buffer.from(name))).toBe(true);
    },
  );
  test.each(['', 'LD_PRELOAD', 'LANGUAGE', 'XLANG', 'CI2', 'LC_ALL=x', 'BUILD_\n', 'BUILD_é', 'BUILD_()', 'path'])(
    '"%s" does not',
    (name) => {
      expect(passes(Buffer.from(name))).toBe(false);
    },
  );
});

describe('what the downstream hears', () => {
  test('is the fixed words, the rule and the correlation id, and nothing of the cause', () => {
    const error = new SidecarError('policy-denied', { rule: 'no-shell', detail: 'canary', cause: new Error('canary') });
    expect(wordsFor(error, 'c0ffee')).toBe(
      'secretless: policy does not allow this use; run `secretless explain` with this request to see the rule that decided (rule no-shell, c0ffee)',
    );
  });

  test('says when to try again', () => {
    const error = new SidecarError('rate-limited', { rule: 'few', retryAfterSeconds: 7 });
    expect(wordsFor(error, 'c0ffee')).toMatch(/; try again in 7 s \(rule few, c0ffee\)$/);
  });
});
