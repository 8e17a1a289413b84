import { generateKeyPairSync } from 'node:crypto';
import { duplexPair, Transform, type Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { Dice } from '../relay/testdata/dice.ts';
import { acceptSsh, loginKey, loginSsh, SshError } from './index.ts';
import { ourHostKey } from './testdata/peers.ts';
import { Transport } from './transport.ts';
import { wire, type WireField } from './wire.ts';

const key = loginKey(generateKeyPairSync('ed25519').privateKey);
const identity = { kind: 'keys', agentOf: () => 'someone' } as const;

function serve(socket: Duplex): Promise<string> {
  const options = { ident: 'ours', hostKey: ourHostKey, identity, loginSeconds: 3 };
  return acceptSsh(socket, options).then(
    (leg) => (leg.accept().attach({ message: () => undefined, drained: () => undefined }), 'in'),
    (error: unknown) => (error instanceof SshError ? error.fault : Promise.reject(error as Error)),
  );
}

function logIn(socket: Duplex): Promise<string> {
  const options = { ident: 'ours', user: 'me', hostKeyCheck: () => true, loginSeconds: 3 };
  return loginSsh(socket, { ...options, auth: [{ method: 'publickey', key }] }).then(
    () => 'in',
    (error: unknown) => (error instanceof SshError ? error.fault : Promise.reject(error as Error)),
  );
}

/** Changes one byte at `at`, counted from the beginning of the connection. */
class Bender extends Transform {
  readonly #at: number;
  readonly #by: number;
  #passed = 0;
  bent = false;

  constructor(at: number, by: number) {
    super();
    this.#at = at;
    this.#by = by;
  }

  override _transform(chunk: Buffer, _encoding: string, done: (error: null, chunk: Buffer) => void): void {
    const own = Buffer.from(chunk);
    const at = this.#at - this.#passed;
    this.#passed += own.length;
    if (at >= 0 && at < own.length) {
      this.bent = true;
      own[at]! ^= this.#by;
    }
    done(null, own);
  }
}

function join(up: Bender, down: Bender): { client: Duplex; server: Duplex } {
  const [client, clientFar] = duplexPair();
  const [server, serverFar] = duplexPair();
  clientFar.pipe(up).pipe(serverFar);
  serverFar.pipe(down).pipe(clientFar);
  for (const each of [client, clientFar, server, serverFar]) each.on('error', () => undefined);
  return { client, server };
}

test('a byte changed on the way lets nobody in, unless it is padding that nobody reads', async () => {
  const dice = new Dice(7);
  const faults = new Set<string>();
  let bentTimes = 0;
  let unread = 0;
  for (let round = 0; round < 200; round++) {
    const bent = new Bender(14 + dice.roll(1500), 1 + dice.roll(255));
    const straight = new Bender(-1, 0);
    const { client, server } = round % 2 === 0 ? join(bent, straight) : join(straight, bent);
    const outcome = await Promise.all([serve(server), logIn(client)]);
    if (!bent.bent) continue;
    bentTimes += 1;
    if (outcome.every((each) => each === 'in')) unread += 1;
    for (const each of outcome) faults.add(each);
  }
  expect(bentTimes).toBeGreaterThan(100);
  // Three plain packets each way have 4 to 11 bytes of padding each.
  expect(unread).toBeLessThan(bentTimes * 0.06);
  expect(faults.has('unfit')).toBe(false);
}, 120_000);

test('bytes of any kind before the keys end in an error, and in time', async () => {
  const dice = new Dice(8);
  const names = wire(
    ...Array.from({ length: 10 }, () => 'curve25519-sha256,ssh-ed25519,aes128-ctr,none'),
    { boolean: false },
    { uint32: 0 },
  );
  const kexInit = Buffer.concat([Buffer.of(20), Buffer.alloc(16), names]);
  const packet = (payload: Buffer): Buffer => {
    const pad = 4 + ((16 - ((payload.length + 9) % 8)) % 8);
    return Buffer.concat([wire({ uint32: payload.length + 1 + pad }, { byte: pad }), payload, Buffer.alloc(pad)]);
  };
  const whole = Buffer.concat([
    Buffer.from('SSH-2.0-x\r\n'),
    packet(kexInit),
    packet(wire({ byte: 30 }, Buffer.alloc(32, 9))),
  ]);
  const faults = new Map<string, number>();
  for (let round = 0; round < 3000; round++) {
    const [client, server] = duplexPair();
    client.on('error', () => undefined);
    client.resume();
    const outcome = serve(server);
    client.end(dice.mutate(whole));
    const fault = await outcome;
    faults.set(fault, (faults.get(fault) ?? 0) + 1);
  }
  expect([...faults.keys()].every((fault) => ['protocol', 'closed', 'algorithms'].includes(fault))).toBe(true);
}, 60_000);

test('mutated messages of the login let nobody in that does not prove itself', async () => {
  const dice = new Dice(9);
  const outcomes = new Map<string, number>();
  const request = (...rest: readonly WireField[]): Buffer => wire({ byte: 50 }, 'me', 'ssh-connection', ...rest);
  const messages = [
    wire({ byte: 5 }, 'ssh-userauth'),
    request('none'),
    request('password', { boolean: false }, 'guess'),
    request('publickey', { boolean: false }, 'ssh-ed25519', key.blob),
    request('publickey', { boolean: true }, 'ssh-ed25519', key.blob, wire('ssh-ed25519', Buffer.alloc(64))),
    wire({ byte: 61 }, { uint32: 2 ** 25 }),
    wire({ byte: 90 }, 'session', { uint32: 0 }, { uint32: 0 }, { uint32: 0 }),
  ];
  for (let round = 0; round < 250; round++) {
    const [near, server] = duplexPair();
    near.on('error', () => undefined);
    const outcome = serve(server);
    const client = new Transport(near, { role: 'client', hostKeyCheck: () => true }, { ident: 'x' });
    await client.start();
    if (dice.roll(4) > 0) client.send(messages[0] as Buffer);
    for (let each = 0; each < 40 && !client.ended; each++) {
      const message = dice.pick(messages);
      client.send(dice.roll(3) === 0 ? message : dice.mutate(message));
    }
    setTimeout(() => client.disconnect(new SshError('aborted', 'enough')), 20);
    const fault = await outcome;
    outcomes.set(fault, (outcomes.get(fault) ?? 0) + 1);
  }
  expect(outcomes.has('in')).toBe(false);
  expect([...outcomes.keys()].every((fault) => ['protocol', 'denied', 'closed'].includes(fault))).toBe(true);
}, 60_000);
