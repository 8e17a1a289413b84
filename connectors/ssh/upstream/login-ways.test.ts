import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorOf, type Fields, outcomeOf } from './testdata/lending.ts';
import { Folder, noParamiko, type ParamikoServer, startParamiko } from './testdata/servers.ts';

const password = 'a-pass-word-of-the-test';

describe.skipIf(noParamiko !== undefined)(
  `paramiko's server${noParamiko === undefined ? '' : ` (${noParamiko})`}`,
  () => {
    const folder = new Folder();
    let server: ParamikoServer;
    let at: Fields;
    let privateKey: string;

    beforeAll(async () => {
      const host = folder.make('rsa 2048', '', '-m', 'PEM');
      const own = folder.make('ed25519');
      privateKey = folder.read(own);
      server = await startParamiko(folder.file(host), password, folder.line(own).split(' ')[1] ?? '');
      at = { address: `127.0.0.1:${server.port}`, hostKey: folder.line(host) };
    });
    afterAll(() => {
      server.stop();
      folder.remove();
    });

    /** What happens to a user of `paramiko-server.py`, and the ways that were tried. */
    async function tried(user: string, fields: Fields): Promise<{ outcome: string; ways: readonly string[] }> {
      const outcome = await outcomeOf({ ...at, user, ...fields });
      const mine = (await server.attempts()).filter((each) => each.user === user);
      return { outcome, ways: mine.map(({ method, right }) => (right === false ? `wrong ${method}` : method)) };
    }

    test('takes a password, with the line end of a file or without', async () => {
      expect(await tried('password', { password })).toEqual({ outcome: 'in', ways: ['password'] });
      expect((await tried('password', { password: `${password}\r\n` })).outcome).toBe('in');
      expect(await tried('password', { password: 'other' })).toEqual({
        outcome: 'credential-refused',
        ways: ['wrong password'],
      });
    });

    test('is given the password in a dialogue where it takes it there alone', async () => {
      const { outcome, ways } = await tried('dialogue', { password });
      expect([outcome, ways]).toEqual(['in', ['password', 'keyboard-interactive', 'response']]);
    });

    test('is not given a password again in a dialogue that it refused before', async () => {
      const { outcome, ways } = await tried('loose', { password: 'other' });
      expect([outcome, ways]).toEqual(['credential-refused', ['wrong password']]);
    });

    test.each([
      ['a code on top', 'second', 'login-unsupported', 1],
      ['the password over and over', 'again', 'credential-refused', 1],
      ['a new password', 'change', 'login-unsupported', 0],
      ['too many things', 'many', 'upstream-protocol', 0],
    ])('that asks for %s is not answered', async (_what, user, code, responses) => {
      const { outcome, ways } = await tried(user, { password });
      expect([outcome, ways.filter((way) => way === 'response').length]).toEqual([code, responses]);
    });

    test('is told both where it wants both, in either order', async () => {
      const ways = ['publickey', 'password'];
      expect(await tried('two', { privateKey, password })).toEqual({ outcome: 'in', ways });
      const reverse = await tried('reverse', { privateKey, password });
      expect(reverse).toEqual({ outcome: 'in', ways: ['publickey', 'password', 'publickey'] });
      expect((await tried('two', { privateKey })).outcome).toBe('login-unsupported');
      expect((await tried('two', { privateKey, password: 'other' })).outcome).toBe('credential-refused');
    });

    test('that takes neither key nor password gets neither a second time', async () => {
      const error = await errorOf({ ...at, user: 'neither', privateKey, password });
      expect([error.code, error.detail]).toEqual([
        'login-unsupported',
        'of the ways to log in, the upstream takes gssapi-with-mic, hostbased',
      ]);
    });

    test('that lets anyone in is not asked to', async () => {
      const other = folder.read(folder.make('ed25519'));
      expect(await tried('anyone', { privateKey: other })).toEqual({
        outcome: 'credential-refused',
        ways: ['wrong publickey'],
      });
    });
  },
);
