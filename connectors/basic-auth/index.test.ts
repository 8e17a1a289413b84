import fc from 'fast-check';
import { headerValues, SidecarError } from 'secretless-sidecar/connector';
import { credentialsOf, requestHead } from 'secretless-sidecar/connector/testing';
import { describe, expect, test } from 'vitest';
import { basicAuth } from './index.ts';

const CONTEXT = {
  origin: { scheme: 'https', host: 'api.example.com', port: 443 },
  now: new Date(0),
  version: 'v1',
} as const;

async function fieldFor(username: string, password: string, headers = {}): Promise<string[]> {
  const given = requestHead('GET', '/x?a=1;b', headers);
  const { head } = await basicAuth.open({}).authenticate(given, credentialsOf({ username, password }), CONTEXT);
  expect(head.target).toBe(given.target);
  return headerValues(head.headers, 'authorization');
}

describe('basic-auth', () => {
  test('sends the examples of RFC 7617 sections 2 and 2.1', async () => {
    expect(await fieldFor('Aladdin', 'open sesame')).toEqual(['Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==']);
    expect(await fieldFor('test', '123\u00a3')).toEqual(['Basic dGVzdDoxMjPCow==']);
  });

  test("replaces the client's own field", async () => {
    expect(await fieldFor('u', 'p:q', { authorization: ['Basic a', 'Bearer b'], AUTHORIZATION: 'c' })).toEqual([
      'Basic dTpwOnE=',
    ]);
  });

  test.each([
    ['a:b', 'p', 'credential "username" holds a colon'],
    ['a\tb', 'p', 'credential "username" holds a tab'],
    ['u', 'a\tb', 'credential "password" holds a tab'],
    ['u', 'a\u0007', 'credential "password" holds a line break or another control character'],
    ['u', ' p', 'credential "password" begins or ends with a blank'],
  ])('refuses %j with %j', async (username, password, detail) => {
    const thrown: unknown = await fieldFor(username, password).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(SidecarError);
    expect(thrown).toMatchObject({ code: 'credential-unfit', detail });
  });

  test('what it sends decodes to what it was given', async () => {
    const clean = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !/[\p{Cc}:]|^ | $/u.test(text));
    await fc.assert(
      fc.asyncProperty(clean, clean, async (username, password) => {
        const [value] = await fieldFor(username, password);
        expect(Buffer.from(value!.slice('Basic '.length), 'base64').toString()).toBe(`${username}:${password}`);
      }),
    );
  });
});
