import { pbkdf2Sync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { type Binding, ScramExchange, scramKeys } from './scram.ts';

/** RFC 7677 section 3. */
const NONCE = 'rOprNGfwEbeRWgbNEkqO';
const FIRST = `r=${NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`;
const FINAL = `c=biws,r=${NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=`;
const VERIFIER = 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=';

function exchange(binding: Binding = { kind: 'none' }, username = 'user') {
  const scram = new ScramExchange(binding, NONCE, username);
  const keysFor = (first: string) => {
    const { salt, iterations } = scram.readServerFirst(Buffer.from(first));
    return scramKeys(pbkdf2Sync('pencil', salt, iterations, 32, 'sha256'));
  };
  return { scram, keysFor };
}

describe('SCRAM-SHA-256', () => {
  test('is the exchange of RFC 7677 section 3', () => {
    const { scram, keysFor } = exchange();
    expect(scram.clientFirst).toBe(`n,,n=user,r=${NONCE}`);
    expect(scram.clientFinal(keysFor(FIRST))).toBe(FINAL);
    scram.readServerFinal(Buffer.from(VERIFIER));
    scram.readServerFinal(Buffer.from(`${VERIFIER},ext=1`));
  });

  test('refuses another server signature, however little it differs', () => {
    const { scram, keysFor } = exchange();
    scram.clientFinal(keysFor(FIRST));
    for (const wrong of ['v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G8=', 'v=', 'v=6rri', 'v=!', 'x=1', '']) {
      expect(() => scram.readServerFinal(Buffer.from(wrong))).toThrow(
        expect.objectContaining({ code: 'upstream-protocol' }),
      );
    }
  });

  test('takes an error of the server for a refused credential', () => {
    const { scram, keysFor } = exchange();
    scram.clientFinal(keysFor(FIRST));
    expect(() => scram.readServerFinal(Buffer.from('e=invalid-proof'))).toThrow(
      expect.objectContaining({ code: 'credential-refused' }),
    );
  });

  test('signs the bytes that it received, extensions included', () => {
    const plain = exchange();
    const extended = exchange();
    const first = plain.scram.clientFinal(plain.keysFor(FIRST));
    const second = extended.scram.clientFinal(extended.keysFor(`${FIRST},x=new`));
    expect(second).not.toBe(first);
    expect(second.slice(0, second.indexOf(',p='))).toBe(first.slice(0, first.indexOf(',p=')));
  });

  test.each([
    [{ kind: 'none' }, 'n,,', 'biws'],
    [{ kind: 'unused' }, 'y,,', 'eSws'],
    [
      { kind: 'bound', bytes: Buffer.from([1, 2, 3]) },
      'p=tls-server-end-point,,',
      'cD10bHMtc2VydmVyLWVuZC1wb2ludCwsAQID',
    ],
  ] satisfies [Binding, string, string][])('says in its header how the channel is bound: %o', (binding, header, c) => {
    const { scram, keysFor } = exchange(binding, '');
    expect(scram.clientFirst).toBe(`${header}n=,r=${NONCE}`);
    expect(scram.clientFinal(keysFor(FIRST))).toMatch(new RegExp(`^c=${c.replaceAll('+', '\\+')},r=`));
  });

  test.each([8, 16, 32, 200])('takes a salt of %i bytes', (length) => {
    const salt = Buffer.alloc(length, 7);
    const first = `r=${NONCE}x,s=${salt.toString('base64')},i=4096`;
    expect(exchange().scram.readServerFirst(Buffer.from(first))).toEqual({ salt, iterations: 4096 });
  });

  test.each([
    ['a nonce of its own', 'r=other,s=AAAA,i=4096'],
    ['our nonce with nothing added', `r=${NONCE},s=AAAA,i=4096`],
    ['a nonce over the limit', `r=${NONCE}${'x'.repeat(1024)},s=AAAA,i=4096`],
    ['a nonce with a control character', `r=${NONCE}\x01,s=AAAA,i=4096`],
    ['a mandatory extension', `m=ext,r=${NONCE}x,s=AAAA,i=4096`],
    ['no salt', `r=${NONCE}x,s=,i=4096`],
    ['a salt that is not base64', `r=${NONCE}x,s=A,i=4096`],
    ['no iterations', `r=${NONCE}x,s=AAAA`],
    ['zero iterations', `r=${NONCE}x,s=AAAA,i=0`],
    ['iterations in words', `r=${NONCE}x,s=AAAA,i=4096a`],
    ['iterations beyond counting', `r=${NONCE}x,s=AAAA,i=40960000000`],
    ['nothing', ''],
  ])('refuses a first message with %s', (_, first) => {
    expect(() => exchange().scram.readServerFirst(Buffer.from(first))).toThrow(
      expect.objectContaining({ code: 'upstream-protocol' }),
    );
  });

  test('overwrites the salted password once it has the keys', () => {
    const salted = Buffer.alloc(32, 9);
    scramKeys(salted);
    expect(salted).toEqual(Buffer.alloc(32));
  });
});
