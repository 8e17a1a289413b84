import { createHmac } from 'node:crypto';
import fc from 'fast-check';
import { headerValues, type Origin, type RequestHead } from 'secretless-sidecar/connector';
import { credentialsOf, requestHead } from 'secretless-sidecar/connector/testing';
import { describe, expect, test } from 'vitest';
import { http } from './index.ts';
import { freshStamp, hasForm, oauthAuthorization, oauthSignature, signatureBase, withoutOauthQuery } from './oauth1.ts';

const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };
const bytes = (text: string): Uint8Array => Buffer.from(text);
const origin = (scheme: Origin['scheme'], host: string, port: number): Origin => ({ scheme, host, port });

/** A second implementation, written from RFC 5849 section 3.4 on top of URLSearchParams. */
function independentSignature(
  method: string,
  uri: string,
  pairs: readonly (readonly [string, string])[],
  secrets: readonly [string, string],
): string {
  const strict = (text: string): string =>
    [...Buffer.from(text)]
      .map((byte) => {
        const character = String.fromCharCode(byte);
        return /[A-Za-z0-9\-._~]/.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
      })
      .join('');
  const list = pairs.map(([name, value]) => `${strict(name)}\u0000${strict(value)}`).sort();
  const normalized = list.map((one) => one.replace('\u0000', '=')).join('&');
  const base = [method, uri, normalized].map(strict).join('&');
  return createHmac('sha1', secrets.map(strict).join('&')).update(base).digest('base64');
}

describe('the signature base string', () => {
  test('is the one of RFC 5849 section 3.4.1.1', () => {
    const head = requestHead('POST', '/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b', FORM);
    const base = signatureBase({ head, origin: origin('http', 'example.com', 80), body: bytes('c2&a3=2+q') }, [
      ['oauth_consumer_key', '9djdj82h48djs9d2'],
      ['oauth_token', 'kkk9d7dh3k39sjv7'],
      ['oauth_signature_method', 'HMAC-SHA1'],
      ['oauth_timestamp', '137131201'],
      ['oauth_nonce', '7d8f3e4a'],
    ]);
    expect(base).toBe(
      'POST&http%3A%2F%2Fexample.com%2Frequest&a2%3Dr%2520b%26a3%3D2%2520q%26a3%3Da%26b5%3D%253D%25253D%26c%2540%3D%26c2%3D' +
        '%26oauth_consumer_key%3D9djdj82h48djs9d2%26oauth_nonce%3D7d8f3e4a%26oauth_signature_method%3DHMAC-SHA1' +
        '%26oauth_timestamp%3D137131201%26oauth_token%3Dkkk9d7dh3k39sjv7',
    );
  });

  test.each([
    ['/r%20v/X?id=123', origin('http', 'example.com', 80), 'http%3A%2F%2Fexample.com%2Fr%2520v%2FX', 'id%3D123'],
    ['/?q=1', origin('https', 'www.example.net', 8080), 'https%3A%2F%2Fwww.example.net%3A8080%2F', 'q%3D1'],
    ['/a', origin('https', 'h', 443), 'https%3A%2F%2Fh%2Fa', ''],
    [
      '/a?x&&y=%zz&z=%ff+',
      origin('https', '::1', 80),
      'https%3A%2F%2F%5B%3A%3A1%5D%3A80%2Fa',
      'x%3D%26y%3D%2525zz%26z%3D%25FF%2520',
    ],
  ])('holds the URI and query of %s as section 3.4.1.2 writes them', (target, where, uri, parameters) => {
    const head = requestHead('get', target);
    expect(signatureBase({ head, origin: where }, [])).toBe(`GET&${uri}&${parameters}`);
  });

  test('leaves a body out that is not a form', () => {
    const where = origin('https', 'h', 443);
    const json = requestHead('POST', '/', { 'Content-Type': 'application/json' });
    expect(signatureBase({ head: json, origin: where, body: bytes('a=1') }, [])).toBe('POST&https%3A%2F%2Fh%2F&');
    expect(
      hasForm(requestHead('POST', '/', { 'content-type': 'Application/X-WWW-Form-Urlencoded; charset=utf-8' })),
    ).toBe(true);
    expect(hasForm(requestHead('POST', '/', { 'content-type': 'application/x-www-form-urlencoded-not' }))).toBe(false);
  });
});

describe('the signature', () => {
  const printer = { consumerKey: 'dpf43f3p2l4k3l03', consumerSecret: 'kd94hf93k423kf44' };

  test('of temporary credentials is the one of RFC 5849 section 1.2', () => {
    const base = signatureBase(
      { head: requestHead('POST', '/initiate'), origin: origin('https', 'photos.example.net', 443) },
      [
        ['oauth_consumer_key', printer.consumerKey],
        ['oauth_signature_method', 'HMAC-SHA1'],
        ['oauth_timestamp', '137131200'],
        ['oauth_nonce', 'wIjqoS'],
        ['oauth_callback', 'http://printer.example.com/ready'],
      ],
    );
    expect(oauthSignature(base, { ...printer, token: '', tokenSecret: '' })).toBe('74KNZJeDHnMBp0EMJ9ZHt/XKycU=');
  });

  test('of a photo request is the one of RFC 5849 section 1.2', () => {
    const head = requestHead('GET', '/photos?file=vacation.jpg&size=original');
    const base = signatureBase({ head, origin: origin('http', 'photos.example.net', 80) }, [
      ['oauth_consumer_key', printer.consumerKey],
      ['oauth_token', 'nnch734d00sl2jdk'],
      ['oauth_signature_method', 'HMAC-SHA1'],
      ['oauth_timestamp', '137131202'],
      ['oauth_nonce', 'chapoH'],
    ]);
    const keys = { ...printer, token: 'nnch734d00sl2jdk', tokenSecret: 'pfkkdhi9sl3r4s00' };
    expect(oauthSignature(base, keys)).toBe('MdpQcU8iPSUjWoN/UDMsK2sui9I=');
  });

  // The worked example of Twitter's "Creating a signature" page.
  const twitter = {
    consumerKey: 'xvz1evFS4wEEPTGEFPHBog',
    consumerSecret: 'kAcSOqF21Fu85e7zjz7ZN2U4ZRhfV3WpwPAoE3Z7kBw',
    token: '370773112-GmHxMAgYyLbNEtIKZeRNFsMKPR9EyMZeS9weJAEb',
    tokenSecret: 'LswwdoUaIvS8ltyTt5jkRh4J50vUPVVHtR2YPi5kE',
  };
  const stamp = { nonce: 'kYjzVBB8Y0ZFabxSWbWovY3uYSQ2pTgmZeNu2VS4cg', timestampSeconds: 1318622958 };

  test("of Twitter's worked example is the published one, in a field with encoded values", () => {
    const head = requestHead('POST', '/1/statuses/update.json?include_entities=true', FORM);
    const body = bytes('status=Hello%20Ladies%20%2b%20Gentlemen%2c%20a%20signed%20OAuth%20request%21');
    const value = oauthAuthorization({ head, origin: origin('https', 'api.twitter.com', 443), body }, twitter, stamp);
    expect(value).toBe(
      `OAuth oauth_consumer_key="xvz1evFS4wEEPTGEFPHBog", oauth_nonce="${stamp.nonce}", ` +
        'oauth_signature="tnnArxj06cWHq44gCs1OSKk%2FjLY%3D", oauth_signature_method="HMAC-SHA1", ' +
        `oauth_timestamp="1318622958", oauth_token="${twitter.token}", oauth_version="1.0"`,
    );
  });

  test('agrees with a second implementation for any parameters and keys', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 12 });
    const pairs = fc.array(fc.tuple(text, text), { maxLength: 5 });
    fc.assert(
      fc.property(
        pairs,
        pairs,
        fc.tuple(text, text, text, text),
        (query, form, [consumerKey, consumerSecret, token, tokenSecret]) => {
          const wellFormed = (list: [string, string][]): string =>
            list.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&');
          const head = requestHead('PUT', `/p?${wellFormed(query)}`, FORM);
          const keys = { consumerKey, consumerSecret, token, tokenSecret };
          // URLSearchParams writes `+` for a blank: the other legal spelling.
          const body = bytes(new URLSearchParams(form).toString());
          const value = oauthAuthorization({ head, origin: origin('https', 'h', 8443), body }, keys, stamp);
          const expected = independentSignature(
            'PUT',
            'https://h:8443/p',
            [
              ...query,
              ...form,
              ['oauth_consumer_key', consumerKey],
              ['oauth_nonce', stamp.nonce],
              ['oauth_signature_method', 'HMAC-SHA1'],
              ['oauth_timestamp', '1318622958'],
              ['oauth_token', token],
              ['oauth_version', '1.0'],
            ],
            [consumerSecret, tokenSecret],
          );
          expect(decodeURIComponent(/oauth_signature="([^"]*)"/.exec(value)![1]!)).toBe(expected);
          // Whatever a key holds, the field stays one line of visible ASCII.
          expect(value).toMatch(/^[\x20-\x7e]*$/);
        },
      ),
    );
  });
});

describe('an oauth1 service', () => {
  const service = http.open({
    queryParams: { key: '{{ .ck }}' },
    oauth1: { consumer_key: '{{ .ck }}', consumer_secret: '{{ .cs }}', token: '{{ .t }}', token_secret: '{{ .ts }}' },
  });
  const credentials = credentialsOf({ ck: 'consumer', cs: 'consumer secret', t: 'tok/en', ts: 'token&secret' });
  const where = origin('https', 'api.example.com', 443);
  const now = new Date(1_700_000_000_500);

  async function signed(head: RequestHead, body?: Uint8Array): Promise<{ head: RequestHead; value: string }> {
    const result = await service.authenticate(head, credentials, {
      origin: where,
      now,
      version: 'v1',
      ...(body && { body }),
    });
    return { head: result.head, value: headerValues(result.head.headers, 'authorization').join('|') };
  }

  test('signs what is sent: the injected query parameter and the form', async () => {
    const { head, value } = await signed(requestHead('POST', '/x?b=2', FORM), bytes('a=1'));
    expect(head.target).toBe('/x?b=2&key=consumer');
    const nonce = /oauth_nonce="([^"]+)"/.exec(value)![1]!;
    const expected = independentSignature(
      'POST',
      'https://api.example.com/x',
      [
        ['a', '1'],
        ['b', '2'],
        ['key', 'consumer'],
        ['oauth_consumer_key', 'consumer'],
        ['oauth_nonce', nonce],
        ['oauth_signature_method', 'HMAC-SHA1'],
        ['oauth_timestamp', '1700000000'],
        ['oauth_token', 'tok/en'],
        ['oauth_version', '1.0'],
      ],
      ['consumer secret', 'token&secret'],
    );
    expect(value).toContain(`oauth_signature="${encodeURIComponent(expected)}"`);
    expect(value).toContain('oauth_token="tok%2Fen"');
  });

  test("replaces the client's Authorization and takes its oauth_ parameters out of the query", async () => {
    const given = requestHead('GET', '/x?oauth_token=mine&a=1&oauth%5Fnonce=2&oauth_other=3', {
      authorization: 'OAuth mine',
    });
    const { head, value } = await signed(given);
    expect(head.target).toBe('/x?a=1&oauth_other=3&key=consumer');
    expect(value).not.toContain('mine');
    expect(withoutOauthQuery(requestHead('GET', '/x?oauth_token=1')).target).toBe('/x');
  });

  test('asks for the body of a form only, 1 MiB at most', () => {
    expect(service.body?.(requestHead('POST', '/', FORM))).toEqual({ buffer: 1024 * 1024 });
    expect(service.body?.(requestHead('POST', '/', { 'Content-Type': 'application/json' }))).toBe('stream');
    const plain = http.open({ headers: { A: '{{ .ck }}' } });
    expect(plain.body?.(requestHead('POST', '/', FORM))).toBe('stream');
  });

  test('never uses a nonce twice', () => {
    const nonces = Array.from({ length: 100 }, () => freshStamp(now).nonce);
    expect(new Set(nonces).size).toBe(100);
    expect(freshStamp(now).timestampSeconds).toBe(1_700_000_000);
  });
});
