import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { promisify } from 'node:util';
import { type Facts, SidecarError } from 'secretless-sidecar/connector';
import { conformanceChecks } from 'secretless-sidecar/connector/testing';
import stock from 'ssh2';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { ssh } from './index.ts';
import { run, ssh as runSsh, type Ran } from './relay/testdata/relay-server.ts';
import { noSshd, publicLine, startSshd, type Sshd } from './relay/testdata/sshd.ts';
import { ConnectionRig, type RigOptions, type Texts, until } from './testdata/connection-rig.ts';

/** A client that logs in without proving anything, asks for one command and leaves. */
function converse(client: Duplex): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const agent = new stock.Client();
  const leave = (): void => {
    agent.end();
    resolve();
  };
  agent.once('ready', () =>
    agent.exec('uptime', (_, channel) => (channel as typeof channel | undefined)?.resume() ?? leave()),
  );
  agent.once('error', leave);
  agent.once('close', leave);
  agent.connect({
    sock: client,
    username: 'somebody',
    authHandler: ['none'],
    readyTimeout: 2000,
  });
  return promise;
}

const sample = JSON.parse(readFileSync(join(import.meta.dirname, 'testdata', 'sample.json'), 'utf8')) as {
  config: unknown;
  credentials: Record<string, string>;
  opening: string;
};

describe('with a client that logs in', () => {
  test.each(conformanceChecks(ssh, { ...sample, converse }).map((check) => [check.name, check] as const))(
    '%s',
    async (_, check) => {
      await check.run();
    },
    30_000,
  );
});

const WHERE = `between OpenSSH's client and server${noSshd === undefined ? '' : ` (${noSshd})`}`;

describe.skipIf(noSshd !== undefined)(WHERE, () => {
  const folder = mkdtempSync(join(tmpdir(), 'ssh-connector-'));
  let sshd: Sshd;
  let rig: ConnectionRig;
  beforeAll(async () => {
    mkdirSync('/run/sshd', { recursive: true });
    sshd = await startSshd();
  });
  afterEach(() => rig.stop());
  afterAll(() => {
    sshd.stop();
    rmSync(folder, { recursive: true });
  });

  const texts = (): Texts => ({
    address: `127.0.0.1:${sshd.port}`,
    user: sshd.user,
    privateKey: sshd.key.export({ type: 'pkcs8', format: 'pem' }) as string,
    hostKey: `ssh-ed25519 ${sshd.hostKey.toString('base64')}`,
  });
  const start = async (options: Partial<RigOptions> = {}): Promise<ConnectionRig> =>
    (rig = await ConnectionRig.start({ services: { box: { credentials: texts } }, ...options }));
  const at = (login: string, ...args: readonly string[]): Promise<Ran> =>
    runSsh(rig.port, [`${login}@127.0.0.1`, ...args]);
  const deny = (which: (facts: Facts) => boolean): Partial<RigOptions> => ({
    policy: (facts) => {
      if (which(facts)) throw new SidecarError('policy-denied', { rule: 'no', detail: 'canary' });
    },
  });

  test('a command runs, with nothing in reach that could log in', async () => {
    await start();
    expect(await at('anyone', 'echo hello; exit 3')).toMatchObject({ code: 3, err: '' });
    const end = await rig.lastEnd;
    expect(end).toEqual({ bytesUp: 0, bytesDown: 6 });
    expect(rig.admitted).toMatchObject([
      { facts: { ssh: { request: 'login' } }, released: true, ended: true, outcome: undefined },
      {
        facts: { ssh: { request: 'exec', user: sshd.user, command: 'echo hello; exit 3' } },
        ended: true,
        outcome: { status: 3, bytesUp: 0, bytesDown: 6 },
      },
    ]);
    expect(rig.led[0]!.connection.isWorking).toBe(true);
  });

  test('the bytes of every read are told, so that their memory is freed in time, but where it is free already', async () => {
    await start();
    const numbers = Array.from({ length: 200_000 }, (_, at) => `${at + 1}\n`).join('');
    for (const cipher of ['aes128-ctr', 'aes128-gcm@openssh.com']) {
      const { code, out } = await runSsh(rig.port, ['-c', cipher, 'x@127.0.0.1', 'seq 200000']);
      expect(code).toBe(0);
      expect(out.toString() === numbers, cipher).toBe(true);
      await rig.lastEnd;
    }
    const [ctr, gcm] = rig.led.map(({ connection }) => connection.passedBytes) as [number, number];
    expect(ctr).toBeGreaterThan(numbers.length);
    expect(gcm).toBeLessThan(numbers.length / 4);
  });

  test('what comes by way of another service comes whole, though its memory is shared with the way', async () => {
    await start({ services: { inner: { credentials: texts, config: { via: 'way' } }, way: { credentials: texts } } });
    const numbers = Array.from({ length: 200_000 }, (_, at) => `${at + 1}\n`).join('');
    const login = ['-c', 'aes128-gcm@openssh.com', 'inner@127.0.0.1'];
    const down = await runSsh(rig.port, [...login, 'seq 200000']);
    expect(down.out.toString() === numbers).toBe(true);
    const up = await runSsh(rig.port, [...login, 'cksum'], numbers);
    const here = await runSsh(rig.port, [...login, 'seq 200000 | cksum']);
    expect(up.out.toString()).toBe(here.out.toString());
  });

  test('a denied command says why on stderr, with a status that says no', async () => {
    await start(deny(({ ssh }) => ssh?.command === 'rm -rf /'));
    const { code, err } = await at('anyone', 'rm -rf /');
    expect(code).toBe(126);
    expect(err).toMatch(/^secretless: policy does not allow this use; .* \(rule no, c0ffee\)\r?\n$/);
  });

  test('a denied login says why, and nothing is dialled', async () => {
    await start(deny(() => true));
    const { code, err } = await at('anyone', 'id');
    expect(code).toBe(255);
    expect(err).toContain('secretless: policy does not allow this use;');
    expect(err).toContain('(rule no, c0ffee)');
    expect(err).not.toContain('canary');
    expect(rig.led[0]!.connection.dialled).toEqual([]);
    expect((await rig.lastEnd).error?.code).toBe('policy-denied');
  });

  test('whoever is refused as a whole hears why', async () => {
    await start({ refusal: new SidecarError('connections-exhausted', { detail: 'canary' }) });
    const { code, err } = await at('anyone', 'id');
    expect(code).toBe(255);
    expect(err).toContain('secretless: this listener holds as many connections as it may;');
    expect(rig.admitted).toEqual([]);
  });

  test.each([
    ['host-key-unknown', () => ({ hostKey: publicLine(generateKeyPairSync('ed25519').privateKey) })],
    ['credential-refused', () => ({ privateKey: otherKey() })],
    ['upstream-unreachable', () => ({ address: '127.0.0.1:1' })],
    ['credential-unfit', () => ({ privateKey: 'canary' })],
  ] as const)('a login that ends with %s says so in fixed words', async (code, change) => {
    await start({ services: { box: { credentials: () => ({ ...texts(), ...change() }) } } });
    const { code: status, err } = await at('anyone', 'id');
    expect(status).toBe(255);
    expect(err).toContain(`secretless: ${new SidecarError(code).sentence};`);
    expect(err).toContain('(c0ffee)');
    expect(err).not.toMatch(/canary|127\.0\.0\.1:/);
    expect((await rig.lastEnd).error?.code).toBe(code);
    expect(rig.admitted[0]).toMatchObject({ released: true });
  });

  test('a refused credential that a cache held is asked for anew, and the login repeated once', async () => {
    let asked = 0;
    const anew = (): Texts => ((asked += 1), texts());
    await start({ services: { box: { credentials: () => ({ ...texts(), privateKey: otherKey() }), anew } } });
    expect(await at('anyone', 'exit 4')).toMatchObject({ code: 4, err: '' });
    expect(rig.led[0]!.connection.dialled).toHaveLength(2);
    expect(asked).toBe(1);
  });

  test('an unknown host key is no reason to try again', async () => {
    const hostKey = publicLine(generateKeyPairSync('ed25519').privateKey);
    await start({ services: { box: { credentials: () => ({ ...texts(), hostKey }), anew: texts } } });
    expect((await at('anyone', 'id')).code).toBe(255);
    expect(rig.led[0]!.connection.dialled).toHaveLength(1);
  });

  test('several services share a listener, and the login name says which and as whom', async () => {
    const config = { users: ['nobody', sshd.user] };
    await start({ services: { box: { credentials: texts }, other: { credentials: texts, config } } });
    expect(await at('other', 'exit 1')).toMatchObject({ code: 1 });
    expect(await at(`${sshd.user}--other`, 'exit 2')).toMatchObject({ code: 2 });
    expect(rig.admitted.at(-2)).toMatchObject({
      service: 'other',
      facts: { ssh: { request: 'login', user: sshd.user } },
    });
    expect(await at('box', 'exit 3')).toMatchObject({ code: 3 });
    expect(rig.admitted.at(-2)).toMatchObject({ service: 'box' });
    const asked = rig.admitted.length;
    for (const login of ['anyone', 'a--mail', 'alien--other']) {
      const { code, err } = await at(login, 'id');
      expect(code).toBe(255);
      expect(err).toMatch(/secretless: .*log in as .*\(c0ffee\)/);
    }
    expect(rig.admitted).toHaveLength(asked);
    const refusals = rig.led.slice(-3).map(({ connection }) => connection.refusals);
    expect(refusals).toEqual([['upstream-unclear'], ['upstream-unclear'], ['policy-denied']]);
  });

  test('an agent is known by its key, of the service that it asks for', async () => {
    const agentKey = join(folder, 'agent');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', agentKey]);
    const publicKey = readFileSync(`${agentKey}.pub`, 'utf8').trim();
    const keyed = { credentials: texts, config: { agents: { alice: { publicKey } } } };
    await start({ services: { box: { credentials: texts }, keyed } });
    expect((await at('keyed', 'id')).err).toContain('Permission denied (publickey)');
    const other = join(folder, 'other');
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', other]);
    const offer = (file: string, login: string): Promise<Ran> =>
      at(login, '-o', 'IdentitiesOnly=yes', '-i', file, 'exit 5');
    expect((await offer(other, 'keyed')).code).toBe(255);
    expect(rig.admitted).toEqual([]);
    expect(await offer(agentKey, 'keyed')).toMatchObject({ code: 5 });
    expect(rig.led.at(-1)!.connection.proven).toEqual(['alice by key']);
    expect(rig.admitted.map(({ agent }) => agent)).toEqual(['alice', 'alice']);
    const knows = (agent: string): boolean | undefined => rig.services.get('keyed')?.knows(agent);
    expect(['alice', 'bob', 'toString'].map(knows)).toEqual([true, false, false]);
    // The other service asks for nothing.
    expect(await offer(other, 'box')).toMatchObject({ code: 5 });
    expect(rig.led.at(-1)!.connection.proven).toEqual([]);
  });

  test('an agent is known by its token', async () => {
    const token = 'made-up-for-bob-only';
    await start({ services: { box: { credentials: texts, config: { agents: { bob: { token } } } } } });
    const askpass = join(folder, 'askpass');
    writeFileSync(askpass, '#!/bin/sh\nprintf %s "$TOKEN"\n', { mode: 0o755 });
    const login = async (given: string): Promise<number | null> => {
      const env = { ...process.env, SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force', TOKEN: given };
      const args = [...bare(rig.port), '-o', 'NumberOfPasswordPrompts=1', 'x@127.0.0.1', 'exit 6'];
      const [code] = (await once(spawn('ssh', args, { env, stdio: 'ignore' }), 'close')) as [number | null];
      return code;
    };
    expect(await login('another-token-for-all')).toBe(255);
    expect(rig.admitted).toEqual([]);
    expect(await login(token)).toBe(6);
    expect(rig.led.at(-1)!.connection.proven).toEqual(['bob by token']);
  });

  test('another service is the way there, with its own login and its own permission', async () => {
    const inner = { credentials: texts, config: { via: 'way' } };
    await start({ services: { inner, way: { credentials: texts } } });
    const input = Buffer.alloc(5_000_000, 'abcdefg');
    const { code, out } = await runSsh(rig.port, ['inner@127.0.0.1', 'cat'], input);
    expect(code).toBe(0);
    expect(out.equals(input)).toBe(true);
    await rig.lastEnd;
    expect(rig.admitted.map(({ service, facts }) => [service, facts.ssh])).toEqual([
      ['inner', { request: 'login' }],
      ['way', { request: 'jump', destination: `127.0.0.1:${sshd.port}` }],
      ['inner', { request: 'exec', user: sshd.user, command: 'cat' }],
    ]);
    await until(() => rig.admitted.every(({ ended, facts }) => ended || facts.ssh?.request === 'login'));
    expect(rig.admitted[1]!.outcome!.bytesUp).toBeGreaterThan(input.length);
  });

  test.each([['the way there', (facts: Facts) => facts.ssh?.request === 'jump', 'policy-denied']] as const)(
    'a no to %s is one to all',
    async (_, which, code) => {
      const inner = { credentials: texts, config: { via: 'way' } };
      await start({ services: { inner, way: { credentials: texts } }, ...deny(which) });
      expect((await at('inner', 'id')).err).toContain(new SidecarError(code).sentence);
      expect((await rig.lastEnd).error?.code).toBe(code);
    },
  );

  test('an address that the way there cannot reach is unreachable', async () => {
    const inner = { credentials: () => ({ ...texts(), address: '127.0.0.1:1' }), config: { via: 'way' } };
    await start({ services: { inner, way: { credentials: texts } } });
    expect((await at('inner', 'id')).code).toBe(255);
    expect((await rig.lastEnd).error?.code).toBe('upstream-unreachable');
  });

  test('the host behind another is known by its own key', async () => {
    const hostKey = publicLine(generateKeyPairSync('ed25519').privateKey);
    const inner = { credentials: () => ({ ...texts(), hostKey }), config: { via: 'way' } };
    await start({ services: { inner, way: { credentials: texts } } });
    expect((await at('inner', 'id')).code).toBe(255);
    expect((await rig.lastEnd).error?.code).toBe('host-key-unknown');
  });

  test('a forward carries bytes where policy names it, and is refused with a reason elsewhere', async () => {
    const echo = createServer((socket) => socket.pipe(socket));
    const port = await listening(echo);
    await start(deny(({ ssh }) => ssh?.request === 'forward' && ssh.destination !== `127.0.0.1:${port}`));
    const through = await runSsh(rig.port, ['-W', `127.0.0.1:${port}`, 'x@127.0.0.1'], 'there and back');
    expect(through.out.toString()).toBe('there and back');
    let said = '';
    const refused = spawnSsh(rig.port, '-W', '127.0.0.1:1', 'x@127.0.0.1');
    refused.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await once(refused, 'close');
    expect(said).toContain('administratively prohibited: secretless: policy does not allow this use');
    expect(said).not.toContain('canary');
    echo.close();
  });

  test('a listener upstream is served, and its port told', async () => {
    await start();
    const server = createServer((socket) => socket.end('from here'));
    const port = await listening(server);
    const child = spawnSsh(rig.port, '-v', '-N', '-R', `0:127.0.0.1:${port}`, 'x@127.0.0.1');
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until(() => /Allocated port \d+/.test(said));
    const remote = Number(/Allocated port (\d+)/.exec(said)![1]);
    const heard = await new Promise<string>((resolve) => {
      createConnection(remote, '127.0.0.1').once('data', (chunk: Buffer) => resolve(chunk.toString()));
    });
    expect(heard).toBe('from here');
    child.kill();
    await rig.lastEnd;
    expect(rig.admitted.at(-1)).toMatchObject({
      facts: { ssh: { request: 'listen', destination: 'localhost:0' } },
      ended: true,
      outcome: { bytesDown: 0, bytesUp: 9 },
    });
    server.close();
  });

  test('a connection without a channel ends at once when it should, with a reason', async () => {
    await start();
    const idle = runSsh(rig.port, ['-N', 'x@127.0.0.1'], 'open');
    await until(() => rig.led[0]?.connection.isWorking === true);
    rig.led[0]!.connection.endSoon.abort(new SidecarError('draining'));
    expect((await idle).err).toContain('secretless: the sidecar is shutting down;');
    expect((await rig.lastEnd).error?.code).toBe('draining');
  });

  test('what runs when the connection should end runs to its end, with its own exit status', async () => {
    await start();
    const running = at('x', 'sleep 0.5; exit 7');
    await until(() => rig.asked.includes('exec'));
    rig.led[0]!.connection.endSoon.abort(new SidecarError('draining'));
    expect(await running).toMatchObject({ code: 7, err: '' });
    expect((await rig.lastEnd).error).toBeUndefined();
  });

  test('what runs when the connection must end is cut, with a reason', async () => {
    await start();
    const running = at('x', 'sleep 20');
    await until(() => rig.asked.includes('exec'));
    rig.led[0]!.connection.ended.abort(new SidecarError('grant-ended', { rule: 'no' }));
    expect((await running).err).toContain('secretless: the permission for this connection has ended;');
    expect((await rig.lastEnd).error?.code).toBe('grant-ended');
    expect(rig.admitted.every(({ ended }) => ended)).toBe(true);
  });

  test('a connection on which nothing happens for too long ends; one that works does not', async () => {
    await start({ idleSeconds: 2 });
    const busy = at('x', 'for i in 1 2 3 4 5 6; do echo $i; sleep 0.5; done; exit 8');
    expect(await busy).toMatchObject({ code: 8 });
    const idle = await at('x', 'sleep 20');
    expect(idle.code).toBe(255);
    expect(idle.err).toContain('secretless: nothing was said for too long (c0ffee)');
  });

  test('an upstream that goes away while something runs is said to be gone', async () => {
    await start();
    const running = at('x', 'sleep 20');
    await until(() => rig.asked.includes('exec'));
    rig.led[0]!.connection.dialled[0]!.socket.destroy();
    expect((await running).err).toContain(`secretless: ${new SidecarError('upstream-closed').sentence};`);
    expect((await rig.lastEnd).error?.code).toBe('upstream-closed');
  });

  test('a client that leaves during the login leaves nothing behind', async () => {
    const silent = createServer();
    const address = `127.0.0.1:${await listening(silent)}`;
    await start({ services: { box: { credentials: () => ({ ...texts(), address }) } } });
    const child = spawnSsh(rig.port, 'x@127.0.0.1', 'id');
    await until(() => rig.led[0]?.connection.dialled.length === 1);
    child.kill('SIGKILL');
    expect(await rig.lastEnd).toEqual({ bytesUp: 0, bytesDown: 0 });
    await until(() => rig.led[0]!.connection.dialled[0]!.socket.destroyed);
    expect(rig.admitted).toMatchObject([{ released: true }]);
    silent.close();
  });

  test('files are copied and listed', async () => {
    await start();
    const from = join(folder, 'from');
    writeFileSync(from, Buffer.alloc(1_000_000, 'abc'));
    expect(await run('scp', ['-P', String(rig.port), from, `x@127.0.0.1:${from}.to`])).toMatchObject({
      code: 0,
      err: '',
    });
    expect(readFileSync(`${from}.to`).equals(readFileSync(from))).toBe(true);
    expect(rig.admitted.at(-1)?.facts.ssh).toEqual({ request: 'subsystem', user: sshd.user, subsystem: 'sftp' });
  });

  test('a command that is heard no more is told so', async () => {
    await start();
    const script = 'ssh "$@" yes | head -1';
    const args = ['-c', script, 'sh', ...bare(rig.port), '-q', 'x@127.0.0.1'];
    const { stdout } = await promisify(execFile)('sh', args, { timeout: 15_000 });
    expect(stdout).toBe('y\n');
  });
});

function otherKey(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
}

/** Options of a client that reads nothing of this machine's configuration. */
function bare(port: number): string[] {
  const options = ['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'IdentityAgent=none'];
  return ['-F', 'none', '-p', String(port), ...options.flatMap((option) => ['-o', option])];
}

function spawnSsh(port: number, ...args: readonly string[]): ChildProcess {
  return spawn('ssh', [...bare(port), ...args], { stdio: ['pipe', 'ignore', 'pipe'] });
}

async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}
