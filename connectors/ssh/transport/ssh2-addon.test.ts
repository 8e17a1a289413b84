import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { fitSource } from './ssh2-source.ts';

const run = promisify(execFile);

/** Two ends of ours that exchange keys and 40 messages each way, in a process of its own; prints what ran. */
const TALK = `
  import { generateKeyPairSync, randomBytes } from 'node:crypto';
  import { duplexPair } from 'node:stream';
  const { Transport } = await import(new URL('transport.ts', process.argv[1]).href);
  const { hostKeyOf } = await import(new URL('index.ts', process.argv[1]).href);
  const { ssh2 } = await import(new URL('ssh2-protocol.ts', process.argv[1]).href);
  const hostKey = hostKeyOf(generateKeyPairSync('ed25519').privateKey);
  for (const cipher of process.argv.slice(2)) {
    const [one, two] = duplexPair();
    const algorithms = { cipher: [cipher] };
    const server = new Transport(one, { role: 'server', hostKey }, { ident: 's', algorithms, rekey: { bytes: 2 ** 20 } });
    const client = new Transport(two, { role: 'client', hostKeyCheck: () => true }, { ident: 'c', algorithms });
    let echoed = 0;
    const done = Promise.withResolvers();
    const sent = Array.from({ length: 40 }, (_, at) => Buffer.concat([Buffer.of(94), randomBytes(at * 1500)]));
    const kept = sent.map((message) => Buffer.from(message));
    server.onMessage = (message) => server.forward(message);
    client.onMessage = (message) => {
      if (message[0] !== 94) return; // EXT_INFO of the server
      if (!message.equals(kept[echoed])) done.reject(new Error('message ' + echoed + ' came back changed'));
      echoed += 1;
      if (echoed === sent.length) done.resolve();
    };
    const [negotiated] = await Promise.all([client.start(), server.start()]);
    for (const message of sent) client.send(message);
    await done.promise;
    console.log(negotiated.cs.cipher, ssh2().native);
    one.destroy();
    two.destroy();
  }
  process.exit(0);`;

const CIPHERS = ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'chacha20-poly1305@openssh.com', 'aes256-ctr'];

async function talk(...flags: readonly string[]): Promise<string[]> {
  const words = [
    ...flags,
    '--conditions=secretless-source',
    '--input-type=module',
    '-e',
    TALK,
    import.meta.url,
    ...CIPHERS,
  ];
  return (await run(process.execPath, words)).stdout.trim().split('\n');
}

test('every cipher works where addons are forbidden', async () => {
  expect(await talk('--no-addons')).toEqual(CIPHERS.map((cipher) => `${cipher} false`));
});

test('every cipher works with the addon, where it was built for this Node', async () => {
  expect((await talk()).map((line) => line.split(' ')[0])).toEqual(CIPHERS);
});

test('an addon that was not built for us is not loaded by ssh2 either', () => {
  const require = createRequire(import.meta.url);
  const source = fitSource('crypto.js', readFileSync(require.resolve('ssh2/lib/protocol/crypto.js'), 'utf8'));
  const lines = source.split('\n').filter((line) => line.includes('sshcrypto.node'));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/= require\('\.\/crypto\/build\/Release\/secretless\.json'\) && require\(/);
});
