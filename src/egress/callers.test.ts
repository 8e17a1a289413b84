import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { Secret } from '../credential/secret.ts';
import { SidecarError } from '../error.ts';
import { openCallers, type CallersOptions } from './callers.ts';

const ALICE = 'alice-token-0123456789abcdef';
const BOB = 'bob/token+with:colon=and more';

function callers(options: Partial<CallersOptions> = {}) {
  const agents = [
    { name: 'alice', token: new Secret(ALICE) },
    { name: 'bob', token: new Secret(BOB) },
  ];
  return openCallers({ agents, required: true, ...options });
}

function basic(text: string): string {
  return `Basic ${Buffer.from(text).toString('base64')}`;
}

/** The agent, or the code of the refusal. */
function who(fields: readonly string[], open = callers()): string {
  try {
    const principal = open.identify(fields.flatMap((field) => ['Proxy-Authorization', field]));
    return `${principal.agent} by ${principal.attested}`;
  } catch (error) {
    if (error instanceof SidecarError) return error.code;
    throw error;
  }
}

function whoBySocks(user: string, password: string, open = callers()): string {
  try {
    return open.identifySocks(Buffer.from(user), Buffer.from(password)).agent;
  } catch (error) {
    if (error instanceof SidecarError) return error.code;
    throw error;
  }
}

describe('Proxy-Authorization', () => {
  test.each([
    ['name and token', basic(`alice:${ALICE}`), 'alice by token'],
    ['name and a token with a colon', basic(`bob:${BOB}`), 'bob by token'],
    ['a token as user', basic(`${ALICE}:`), 'alice by token'],
    ['a token as password', basic(`:${ALICE}`), 'alice by token'],
    ['a token as password that has a colon', basic(`:${BOB}`), 'bob by token'],
    ['a bearer', `Bearer ${ALICE}`, 'alice by token'],
    ['lower case and more blanks', `bearer   ${ALICE}`, 'alice by token'],
    ['base64 without padding', basic(`alice:${ALICE}`).replace(/=+$/, ''), 'alice by token'],
    ['the name of another agent', basic(`bob:${ALICE}`), 'proxy-auth-required'],
    ['a name that nobody has', basic(`carol:${ALICE}`), 'proxy-auth-required'],
    ['the name alone', basic('alice:'), 'proxy-auth-required'],
    ['an empty pair', basic(':'), 'proxy-auth-required'],
    ['half a token', basic(`alice:${ALICE.slice(0, -1)}`), 'proxy-auth-required'],
    ['more than a token', basic(`alice:${ALICE}x`), 'proxy-auth-required'],
    ['a token in other letters', basic(`alice:${ALICE.toUpperCase()}`), 'proxy-auth-required'],
    ['a token and NUL', basic(`alice:${ALICE}\0`), 'proxy-auth-required'],
    ['a token before something', basic(`${ALICE}:x-oauth-basic`), 'proxy-auth-required'],
    ['no colon', basic(ALICE), 'proxy-auth-required'],
    ['a bearer that nobody has', 'Bearer nobody-has-this-token-at-all', 'proxy-auth-required'],
    [
      'base64url',
      `Basic ${Buffer.from(`alice:${ALICE}\xff\xfe`, 'latin1').toString('base64url')}`,
      'proxy-auth-required',
    ],
    ['no base64', `Basic alice:${ALICE}`, 'proxy-auth-required'],
    ['base64 with something behind it', `${basic(`alice:${ALICE}`)} x`, 'proxy-auth-required'],
    ['bits behind the last byte', basic(`alice:${ALICE}`).replace(/.==$/, 'n=='), 'proxy-auth-required'],
    ['another scheme', 'Digest username="alice"', 'proxy-auth-required'],
    ['the scheme alone', 'Basic', 'proxy-auth-required'],
    ['nothing', '', 'proxy-auth-required'],
    ['a token without a scheme', ALICE, 'proxy-auth-required'],
  ])('with %s is %s', (_, field, expected) => {
    expect(who([field])).toBe(expected);
  });

  test('more than once is refused, be it twice the same', () => {
    expect(who([basic(`alice:${ALICE}`), basic(`alice:${ALICE}`)])).toBe('proxy-auth-required');
  });

  test('counts whatever the case of its name, and no other field does', () => {
    expect(callers().identify(['PROXY-authorization', `Bearer ${ALICE}`]).agent).toBe('alice');
    expect(() => callers().identify(['Authorization', `Bearer ${ALICE}`])).toThrow(SidecarError);
    expect(() => callers().identify(['X', 'Proxy-Authorization', 'Y', `Bearer ${ALICE}`])).toThrow(SidecarError);
  });
});

describe('without a token', () => {
  test('it is the fallback, the agent `local`, or nobody', () => {
    expect(who([], callers({ fallback: 'ci' }))).toBe('ci by listener');
    expect(who([], callers({ required: false, agents: [] }))).toBe('local by listener');
    expect(who([], callers())).toBe('proxy-auth-required');
    expect(callers({ fallback: 'ci' }).anonymous).toEqual({ agent: 'ci', attested: 'listener' });
    expect(callers().anonymous).toBeUndefined();
  });

  test('a wrong one is not taken for none', () => {
    expect(who([basic('alice:wrong-token-0123456789')], callers({ fallback: 'ci' }))).toBe('proxy-auth-required');
    expect(who([basic('a:b')], callers({ required: false, agents: [] }))).toBe('proxy-auth-required');
    expect(whoBySocks('alice', 'wrong', callers({ fallback: 'ci' }))).toBe('proxy-auth-required');
  });
});

test('a SOCKS login proves an agent by name and token, or by a token alone', () => {
  expect(whoBySocks('alice', ALICE)).toBe('alice');
  expect(whoBySocks(ALICE, '')).toBe('alice');
  expect(whoBySocks('', BOB)).toBe('bob');
  expect(whoBySocks('bob', ALICE)).toBe('proxy-auth-required');
  expect(whoBySocks(ALICE, ALICE)).toBe('proxy-auth-required');
  expect(whoBySocks('', '')).toBe('proxy-auth-required');
});

test('what was sent over SOCKS is left to whoever received it', () => {
  const user = Buffer.from('alice');
  const password = Buffer.from(ALICE);
  callers().identifySocks(user, password);
  expect([user.toString(), password.toString()]).toEqual(['alice', ALICE]);
});

describe('at opening', () => {
  test('tokens of fewer than 16 bytes are refused', () => {
    const open = (token: string) => () =>
      openCallers({ agents: [{ name: 'a', token: new Secret(token) }], required: true });
    expect(open('x'.repeat(15))).toThrow('the token of agent "a" is shorter than 16 bytes');
    expect(open('x'.repeat(16))).not.toThrow();
  });

  test('a token that two agents share is refused', () => {
    const agents = ['a', 'b'].map((name) => ({ name, token: new Secret(ALICE) }));
    expect(() => openCallers({ agents, required: true })).toThrow('agents "a" and "b" have the same token');
  });

  test('nothing of a token is kept: the secret may be wiped, and nothing prints it', () => {
    const token = new Secret(ALICE);
    const open = openCallers({ agents: [{ name: 'alice', token }], required: true });
    token.wipe();
    expect(who([`Bearer ${ALICE}`], open)).toBe('alice by token');
    expect(inspect(open, { depth: 10, showHidden: true })).not.toContain(ALICE);
  });
});

test('a refusal never quotes what was shown', () => {
  const shown = 'Zm9vOmJhcg-secret';
  for (const field of [`Basic ${shown}`, `Bearer ${shown}`, shown, basic(`alice:${shown}`)]) {
    try {
      callers().identify(['Proxy-Authorization', field]);
      expect.unreachable();
    } catch (error) {
      expect(inspect(error)).not.toContain(shown);
    }
  }
});

test('the pair that bits are put behind ends with a letter of four bits', () => {
  expect(basic(`alice:${ALICE}`)).toMatch(/[AQgw]==$/);
});

test('of many agents each is found by its own token', () => {
  const agents = Array.from({ length: 50 }, (_, at) => ({
    name: `agent-${at}`,
    token: new Secret(`token-of-agent-${at}-long`),
  }));
  const open = openCallers({ agents, required: true });
  for (const at of [0, 25, 49])
    expect(who([basic(`agent-${at}:token-of-agent-${at}-long`)], open)).toBe(`agent-${at} by token`);
});
