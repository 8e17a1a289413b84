import { createRequire } from 'node:module';
import { Secret } from 'secretless-sidecar/connector';
import { describe, expect, test } from 'vitest';
import { bearerMessage, passwordMessage, saslInitialResponse, saslResponse, sslRequest } from './client-messages.ts';
import { md5Answer } from './md5.ts';
import { int32, SSL_REQUEST, typed } from './testdata/packets.ts';

describe('messages of a client', () => {
  test('have the form of the protocol', () => {
    expect(sslRequest()).toEqual(SSL_REQUEST);
    expect(passwordMessage(new Secret('pässword'))).toEqual(typed('p', 'pässword\0'));
    expect(saslInitialResponse('SCRAM-SHA-256', 'n,,n=,r=x')).toEqual(
      typed('p', 'SCRAM-SHA-256\0', int32(9), 'n,,n=,r=x'),
    );
    expect(saslResponse('c=biws')).toEqual(typed('p', 'c=biws'));
    const response = 'n,,\x01auth=Bearer a.b-c_d~e+f/g==\x01\x01';
    expect(bearerMessage(new Secret('a.b-c_d~e+f/g=='))).toEqual(
      typed('p', 'OAUTHBEARER\0', int32(response.length), response),
    );
  });

  test('carry passwords of any bytes up to what a server takes', () => {
    const longest = Buffer.alloc(65_535, 0xfe);
    expect(passwordMessage(new Secret(longest)).subarray(5, -1)).toEqual(longest);
    expect(() => passwordMessage(new Secret(Buffer.alloc(65_536, 0xfe)))).toThrow(
      expect.objectContaining({ code: 'credential-unfit' }),
    );
  });

  test.each(['', '==', 'a b', 'a=b', 'a\x01', 'a,b', 'ä'])('carry no %j as a bearer token', (token) => {
    expect(() => bearerMessage(new Secret(token))).toThrow(expect.objectContaining({ code: 'credential-unfit' }));
  });
});

test('the answer to MD5 is the one of pg', async () => {
  const { postgresMd5PasswordHash } = createRequire(import.meta.url)('pg/lib/crypto/utils') as {
    postgresMd5PasswordHash: (user: string, password: string, salt: Buffer) => Promise<string>;
  };
  const salt = Buffer.from([1, 2, 0xfe, 0xff]);
  const ours = md5Answer(new Secret('pencil'), Buffer.from('role'), salt).toString();
  expect(ours).toBe(await postgresMd5PasswordHash('role', 'pencil', salt));
});
