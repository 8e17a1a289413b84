import { WireError } from 'secretless-sidecar/connector/ssh';
import { expect, test } from 'vitest';
import { readHostKeys } from './host-keys.ts';

const BASE64 = 'AAAAC3NzaC1lZDI1NTE5AAAAIE5NOnjH/JEdljwHXwHaNS6KUAoBJe0/gD5kI+bqMDDd';
const FINGERPRINT = 'SHA256:3HvBqYvxA9sOQvwDxVRDBKKnGBqsgu2JqGlTIN/W3Hs';
const GITHUB = 'SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU';
const read = (text: string | Uint8Array): readonly unknown[] => readHostKeys(Buffer.from(text));

test('every way to write a key comes down to the same', () => {
  const [pin] = readHostKeys(Buffer.from(BASE64, 'base64'));
  expect(pin?.type).toBe('ssh-ed25519');
  for (const text of [
    BASE64,
    `  ${BASE64}\r\n`,
    `${BASE64.slice(0, 30)}\n${BASE64.slice(30)}\n`,
    `ssh-ed25519 ${BASE64}`,
    `# mine\n\nssh-ed25519 ${BASE64} root@db, the old one\n`,
    `256 ${pin?.fingerprint} root@db (ED25519)`,
  ]) {
    expect(read(text), text).toEqual([pin]);
  }
});

test('several may be there', () => {
  expect(read(`${GITHUB}\n${FINGERPRINT}`)).toEqual([{ fingerprint: GITHUB }, { fingerprint: FINGERPRINT }]);
  expect(read(`${GITHUB}, ${FINGERPRINT}`)).toHaveLength(2);
  expect(read(`${GITHUB} ${FINGERPRINT}`)).toHaveLength(2);
  expect(read(`${BASE64}\n${BASE64}`)).toHaveLength(2);
  expect(read(`256 ${GITHUB} x (ECDSA)`)).toHaveLength(3);
});

test.each([
  '',
  '# nothing',
  'SHA256:short',
  'MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48',
  'github.com ssh-ed25519 ' + BASE64,
  '@revoked * ssh-ed25519 ' + BASE64,
  `ssh-rsa ${BASE64}`,
  `${BASE64.slice(0, -4)}`,
  `${BASE64}!`,
  `${BASE64}AAAA`,
  '\0\0\0\x0bssh-ed25519',
  'x'.repeat(300_000),
  `${GITHUB}\n`.repeat(65),
])('%j is no host key', (text) => {
  expect(() => read(text)).toThrow(WireError);
});
