import { duplexPair } from 'node:stream';
import { generateKeyPairSync } from 'node:crypto';
import { SidecarError } from 'secretless-sidecar/connector';
import { publicKeyOf } from 'secretless-sidecar/connector/ssh';
import { expect, test } from 'vitest';
import { hostKeyOf } from '../transport/index.ts';
import { Transport } from '../transport/transport.ts';
import { wire } from '../transport/wire.ts';
import { LoginMemory, logIn, upstreamOf } from './index.ts';
import { credentialsOf } from './testdata/lending.ts';

const SERVICE_REQUEST = 5;
const hostKey = generateKeyPairSync('ed25519').privateKey;
const password = 'a-pass-word-of-the-test';
const credentials = credentialsOf({
  host: 'db',
  user: 'me',
  password,
  hostKey: publicKeyOf(hostKey).blob,
});
const accept = wire({ byte: 6 }, 'ssh-userauth');

/** What a login comes to at a server that has exchanged keys and then answers each message as `answer` does. */
async function outcomeAt(
  answer: (message: Buffer, server: Transport) => void,
  signal?: AbortSignal,
): Promise<SidecarError | 'in'> {
  const [client, far] = duplexPair();
  far.on('error', () => undefined);
  const server = new Transport(far, { role: 'server', hostKey: hostKeyOf(hostKey) }, { ident: 'x' });
  server.onMessage = (message) => answer(message, server);
  void server.start().catch(() => undefined);
  const upstream = upstreamOf(credentials);
  try {
    await logIn(client, {
      credentials,
      version: '1',
      upstream,
      memory: new LoginMemory(),
      loginSeconds: 2,
      ...(signal && { signal }),
    });
    return 'in';
  } catch (error) {
    return error as SidecarError;
  }
}

const SECRETS = 'the upstream says hello';

test.each<[string, string, (message: Buffer, server: Transport) => void]>([
  ['lets in', 'in', (message, server) => server.send(message[0] === SERVICE_REQUEST ? accept : wire({ byte: 52 }))],
  ['lets in before it is asked', 'upstream-protocol', (_message, server) => server.send(wire({ byte: 52 }))],
  [
    'sends banners without end',
    'upstream-protocol',
    (_message, server) => {
      for (let each = 0; each < 40; each++) server.send(wire({ byte: 53 }, SECRETS.repeat(100), ''));
    },
  ],
  ['sends a banner that is cut', 'upstream-timeout', (_message, server) => server.send(wire({ byte: 53 }, SECRETS))],
  ['opens a channel', 'upstream-protocol', (_message, server) => server.send(wire({ byte: 90 }, SECRETS))],
  [
    'refuses in words that are none',
    'upstream-protocol',
    (message, server) =>
      server.send(message[0] === SERVICE_REQUEST ? accept : wire({ byte: 51 }, Buffer.from([0xff, 0xfe]), { byte: 0 })),
  ],
  [
    'refuses without an end',
    'upstream-protocol',
    (message, server) => server.send(message[0] === SERVICE_REQUEST ? accept : Buffer.of(51, 0, 0, 1, 0)),
  ],
  [
    'takes the password in part for ever',
    'login-unsupported',
    (message, server) =>
      server.send(message[0] === SERVICE_REQUEST ? accept : wire({ byte: 51 }, 'password', { boolean: true })),
  ],
  [
    'offers what nobody has, in words of its own',
    'login-unsupported',
    (message, server) =>
      server.send(message[0] === SERVICE_REQUEST ? accept : wire({ byte: 51 }, SECRETS, { boolean: false })),
  ],
  [
    'wants another password',
    'credential-refused',
    (message, server) => server.send(message[0] === SERVICE_REQUEST ? accept : wire({ byte: 60 }, SECRETS, '')),
  ],
  ['says nothing', 'upstream-timeout', () => undefined],
  ['says goodbye', 'upstream-closed', (_message, server) => server.send(wire({ byte: 1 }, { uint32: 2 }, SECRETS, ''))],
])('a server that %s: %s', async (_what, code, answer) => {
  const outcome = await outcomeAt(answer);
  expect(outcome === 'in' ? outcome : outcome.code).toBe(code);
  if (outcome === 'in') return;
  const told = JSON.stringify([outcome.message, outcome.detail, outcome.sentence, outcome.next]);
  expect(told).not.toContain('hello');
  expect(told).not.toContain(password);
});

test('a login that is given up ends with the reason for it', async () => {
  const control = new AbortController();
  const ended = new SidecarError('grant-ended');
  expect(await outcomeAt(() => control.abort(ended), control.signal)).toBe(ended);
});
