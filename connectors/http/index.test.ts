import fc from 'fast-check';
import { headerValues, SidecarError, type RequestHead } from 'secretless-sidecar/connector';
import { credentialsOf, requestHead } from 'secretless-sidecar/connector/testing';
import { describe, expect, test } from 'vitest';
import type { HttpConfig } from './config.ts';
import { http } from './index.ts';

const CONTEXT = {
  origin: { scheme: 'https', host: 'api.example.com', port: 443 },
  now: new Date(0),
  version: 'v1',
} as const;

async function send(
  config: HttpConfig,
  values: Record<string, string>,
  head = requestHead('GET', '/'),
): Promise<RequestHead> {
  return (await http.open(config).authenticate(head, credentialsOf(values), CONTEXT)).head;
}

async function refusal(config: HttpConfig, values: Record<string, string>): Promise<SidecarError> {
  const thrown: unknown = await send(config, values).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(SidecarError);
  return thrown as SidecarError;
}

describe('authenticate', () => {
  test('sets each header once, whatever the client sent under its name', async () => {
    const given = requestHead('GET', '/', { 'x_api-KEY': ['a', 'b'], AUTHORIZATION: 'Bearer mine', Accept: '*/*' });
    const config = { headers: { Authorization: 'Bearer {{ .token }}', 'X-Api-Key': '{{ .key }}' } };
    const { headers } = await send(config, { token: 't0ken', key: 'k' }, given);
    expect(headers).toEqual(['Accept', '*/*', 'Authorization', 'Bearer t0ken', 'X-Api-Key', 'k']);
  });

  test("appends query parameters, removes the client's own and keeps the rest byte for byte", async () => {
    const given = requestHead('GET', '/p%2fq?b=2&%6bey=mine&flag&a=+%2F;x&&key=mine2');
    const { target } = await send({ queryParams: { key: '{{ .k }}' } }, { k: 'a b&ü' }, given);
    expect(target).toBe('/p%2fq?b=2&flag&a=+%2F;x&&key=a%20b%26%C3%BC');
  });

  test('drops the one newline that a file ends with', async () => {
    const { headers } = await send({ headers: { A: '{{ .k }}' } }, { k: 'value\n' });
    expect(headers).toEqual(['A', 'value']);
  });

  test.each([
    ['a line break', 'x\r\ny', 'header "A": credential "k" holds a line break or another control character'],
    [
      'a character outside ASCII',
      'x\u20acy',
      'header "A" holds characters outside ASCII (encode it, for example with base64)',
    ],
    [
      'a character of latin-1',
      'x\u00e9y',
      'header "A" holds characters outside ASCII (encode it, for example with base64)',
    ],
  ])('refuses %s in a header and says where', async (_, k, detail) => {
    const error = await refusal({ headers: { A: '{{ .k }}' } }, { k });
    expect([error.code, error.detail]).toEqual(['credential-unfit', detail]);
  });

  test.each(['{{ .k }}\n', '{{ println .k }}', ' {{ .k }}', '{{ "a\\u0000" }}', '{{ .k }} {{ "" }}'])(
    'refuses a result that is not one line: %j',
    async (template) => {
      expect((await refusal({ headers: { A: template } }, { k: 'v' })).code).toBe('credential-unfit');
      expect((await refusal({ queryParams: { a: template } }, { k: 'v' })).code).toBe('credential-unfit');
    },
  );

  test('uses a credential only where its validation matches', async () => {
    const config = { headers: { A: '{{ .k }}' }, credentialValidations: { k: '(?i)^ghp_[a-z]+$' } };
    expect(headerValues((await send(config, { k: 'GHP_abc' })).headers, 'a')).toEqual(['GHP_abc']);
    const error = await refusal(config, { k: 'canary' });
    expect([error.code, error.detail]).toEqual(['credential-unfit', 'credential "k" does not match its validation']);
    expect((await refusal(config, {})).code).toBe('credential-missing');
  });

  // JavaScript's own engine takes longer than the age of the universe for this one.
  test('is not stopped by a validation that another engine would not come back from', async () => {
    const config = { headers: { A: '{{ .k }}' }, credentialValidations: { k: '^(a+)+$' } };
    expect((await refusal(config, { k: `${'a'.repeat(200)}!` })).code).toBe('credential-unfit');
  });

  test('never lets a header out that could end its line, whatever the credential holds', async () => {
    const config = { headers: { A: 'v={{ .k }};' }, queryParams: { q: '{{ .k }}' } };
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary' }), async (k) => {
        const sent = await send(config, { k }).catch((error: unknown) => {
          expect(error).toBeInstanceOf(SidecarError);
          return undefined;
        });
        if (sent === undefined) return;
        expect(sent.headers[1]).toMatch(/^[\t\x20-\x7e]*$/);
        expect(sent.target).toMatch(/^[\x21-\x7e]*$/);
      }),
    );
  });

  test('open refuses what check would have refused', () => {
    expect(() => http.open({ headers: { A: '{{ nope }}' } })).toThrow(SidecarError);
    expect(() => http.open({ credentialValidations: { a: '(' } })).toThrow(SidecarError);
  });
});

describe('check', () => {
  const problems = (config: HttpConfig, names: string[] = ['token', 'key']): string[] =>
    http.check!(config, names).map(({ path, message }) => `${path.join('.')}: ${message}`);

  test('finds nothing wrong with a good service', () => {
    const config = { headers: { Authorization: 'Bearer {{ .token }}' }, credentialValidations: { key: 'x' } };
    expect(problems(config)).toEqual([]);
  });

  test.each<[HttpConfig, string]>([
    [{}, ': nothing to inject: write headers, queryParams or oauth1'],
    [{ headers: {}, credentialValidations: {} }, ': nothing to inject: write headers, queryParams or oauth1'],
    [
      { headers: { A: '{{ .api-key }}' } },
      'headers.A: the template cannot be used: unexpected "-": a credential with a hyphen is written (index . "a-b"), at character 8',
    ],
    [
      { queryParams: { a: '{{ .tokn }}' } },
      'queryParams.a: the template names the credential "tokn", which this service does not have (did you mean "token"?)',
    ],
    [
      { headers: { A: '{{ .token }}' }, credentialValidations: { other: '^a' } },
      'credentialValidations.other: this validates the credential "other", which this service does not have',
    ],
    [
      { headers: { A: '{{ .token }}' }, credentialValidations: { token: '(?=a)' } },
      'credentialValidations.token: the pattern uses a group that RE2 does not have (no look-around, no references)',
    ],
    [{ headers: { 'A B': 'x' } }, 'headers.A B: "A B" is not a header field name'],
    [{ headers: { '': 'x' } }, 'headers.: "" is not a header field name'],
    [{ headers: { 'X-Key': 'a', x_key: 'b' } }, 'headers.x_key: x_key and X-Key are the same header to an upstream'],
    [{ queryParams: { '': 'x' } }, 'queryParams.: a query parameter needs a name'],
    [
      { headers: { A: 'a {{ .token }}\n' } },
      'headers.A: the template holds a line break or another control character (a YAML block keeps its last one: write >- )',
    ],
    [
      {
        headers: { authorization: 'x' },
        oauth1: { consumer_key: 'a', consumer_secret: 'b', token: 'c', token_secret: 'd' },
      },
      'headers.authorization: oauth1 writes the Authorization header itself: keep one of the two',
    ],
    [
      { oauth1: { consumer_key: '{{ .ck }}', consumer_secret: 'b', token: 'c', token_secret: 'd' } },
      'oauth1.consumer_key: the template names the credential "ck", which this service does not have',
    ],
  ])('%j', (config, expected) => {
    expect(problems(config)).toEqual([expected]);
  });

  test.each(
    [
      'Host',
      'Content-Length',
      'transfer_encoding',
      'CONNECTION',
      'Upgrade',
      'TE',
      'Trailer',
      'Keep_Alive',
      'Expect',
    ].concat('Proxy-Authorization', 'proxy_connection'),
  )('refuses to inject %s', (name) => {
    expect(problems({ headers: { [name]: 'x' } })).toEqual([
      `headers.${name}: the header ${name} belongs to the connection and cannot be injected`,
    ]);
  });

  test('reports every problem at once', () => {
    expect(
      problems({ headers: { Host: '{{ .a }}{{ .b }}', B: '{{' }, credentialValidations: { c: ')' } }),
    ).toHaveLength(6);
  });
});
