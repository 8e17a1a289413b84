import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Verdict } from './index.ts';
import { run, ssh, startRelay, type RelayServer } from './testdata/relay-server.ts';
import { sessionWatcher } from './testdata/session-watcher.ts';
import { noSshd, startSshd, type Sshd } from './testdata/sshd.ts';

const AT = 'anyone@127.0.0.1';

describe.skipIf(noSshd !== undefined)(`OpenSSH on both sides${noSshd === undefined ? '' : ` (${noSshd})`}`, () => {
  let sshd: Sshd;
  let server: RelayServer;

  beforeAll(async () => {
    sshd = await startSshd();
    server = await startRelay({ upstream: sshd });
  });
  afterAll(() => {
    server.stop();
    sshd.stop();
  });

  test.each([0, 1, 42, 126, 255])('passes exit status %i on', async (code) => {
    expect(await ssh(server.port, [AT, `exit ${code}`])).toMatchObject({ code, err: '' });
  });

  test('passes a death by signal on', async () => {
    const { code, err } = await ssh(server.port, [AT, 'kill -TERM $$']);
    expect(code).toBe(255);
    expect(err).toBe('');
  });

  test('keeps an exit status that comes behind the end of the output', async () => {
    expect(await ssh(server.port, [AT, 'exec >&- 2>&-; sleep .3; exit 4'])).toMatchObject({ code: 4 });
  });

  test('lets the command see the end of its input', async () => {
    const input = Buffer.alloc(3_000_000, 'x\n');
    const { out, code } = await ssh(server.port, [AT, 'wc -c; echo done'], input);
    expect(out.toString().replaceAll(' ', '')).toBe('3000000\ndone\n');
    expect(code).toBe(0);
  });

  test('runs a command whose input is never opened', async () => {
    expect((await ssh(server.port, ['-n', AT, 'echo $0'], 'open')).code).toBe(0);
  });

  test('loses no line of stderr while stdout is full', async () => {
    const command = 'for i in $(seq 1 5000); do echo "line $i" >&2; done & head -c 20000000 /dev/zero; wait';
    const { out, err } = await ssh(server.port, [AT, command]);
    expect(out.length).toBe(20_000_000);
    expect(err.trim().split('\n').sort().length).toBe(5000);
  });

  test('carries both streams at once without changing a byte', async () => {
    const file = join(sshd.folder, 'random');
    const { out } = await ssh(server.port, [
      AT,
      `head -c 8000000 /dev/urandom > ${file}; cat ${file} & cat ${file} >&2; wait`,
    ]);
    const expected = createHash('sha256').update(readFileSync(file)).digest('hex');
    expect(createHash('sha256').update(out).digest('hex')).toBe(expected);
  });

  test('takes a command of 60 kB, and one of 120 kB', async () => {
    for (const length of [60_000, 120_000]) {
      const { out } = await ssh(server.port, [AT, `: '${'a'.repeat(length)}'; echo whole`]);
      expect(out.toString()).toBe('whole\n');
    }
  });

  test('leaves bytes alone that are not UTF-8', async () => {
    // A shell puts the byte together: node gives programs UTF-8 only.
    const program =
      'exec ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR "$@"';
    const command = `${program} "printf '$(printf '\\351')' | od -An -tx1"`;
    const ran = promisify(execFile)('/bin/sh', ['-c', command, 'sh', '-p', String(server.port), AT]);
    expect((await ran).stdout.trim()).toBe('e9');
  });

  test('gives a terminal the modes and the size that the client has', async () => {
    const { out } = await ssh(server.port, ['-tt', AT, 'stty -a; echo $TERM'], '', { TERM: 'vt220' });
    expect(out.toString()).toMatch(/erase = \^\?/);
    expect(out.toString()).toContain('vt220');
    expect(out.toString()).toMatch(/ icanon /);
  });

  test('passes variables that are on the list and no others', async () => {
    const args = [
      '-o',
      'SendEnv=LC_TEST',
      '-o',
      'SendEnv=GIT_PROTOCOL',
      '-o',
      'SendEnv=OTHER',
      AT,
      'echo $LC_TEST,$GIT_PROTOCOL,$OTHER',
    ];
    const env = { LC_TEST: 'a', GIT_PROTOCOL: 'version=2', OTHER: 'c' };
    expect((await ssh(server.port, args, '', env)).out.toString()).toBe('a,version=2,\n');
  });

  test('copies files with scp in both ways, and with sftp', async () => {
    const from = join(sshd.folder, 'from');
    writeFileSync(from, Buffer.alloc(2_000_000, 'abc'));
    for (const mode of ['-O', '-s']) {
      const to = join(sshd.folder, `to${mode}`);
      const up = await run('scp', [mode, '-P', String(server.port), from, `${AT}:${to}`]);
      expect(up).toMatchObject({ code: 0, err: '' });
      const back = await run('scp', [mode, '-P', String(server.port), `${AT}:${to}`, `${to}.back`]);
      expect(back.code).toBe(0);
      expect(readFileSync(`${to}.back`).equals(readFileSync(from))).toBe(true);
    }
    const batch = join(sshd.folder, 'batch');
    writeFileSync(batch, `put ${from} ${from}.sftp\nls -l ${from}.sftp\n`);
    expect((await run('sftp', ['-b', batch, '-P', String(server.port), AT])).code).toBe(0);
    expect(statSync(`${from}.sftp`).size).toBe(2_000_000);
  });

  test('shares one connection between many sessions', async () => {
    const control = join(sshd.folder, 'control');
    const shared = ['-o', `ControlPath=${control}`, AT];
    const master = ssh(server.port, ['-M', '-N', ...shared], 'open');
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const all = await Promise.all(
      [1, 2, 3, 4].map((each) => ssh(server.port, [...shared, `sleep .2; echo ${each}; exit ${each}`])),
    );
    expect(all.map(({ code, out }) => [code, out.toString()])).toEqual([1, 2, 3, 4].map((each) => [each, `${each}\n`]));
    await ssh(server.port, ['-O', 'exit', ...shared]);
    await master;
  });

  test.each([
    ['the upstream asks', ['-o', 'RekeyLimit=1M'], undefined, undefined],
    ['we ask downstream', [], undefined, { bytes: 4 * 2 ** 20 }],
    ['we ask upstream', [], { bytes: 4 * 2 ** 20 }, undefined],
    ['all do', ['-o', 'RekeyLimit=1M'], { bytes: 3 * 2 ** 20 }, { bytes: 2 * 2 ** 20 }],
  ] as const)('exchanges keys in the middle of both streams: %s', async (_name, args, up, down) => {
    const own = await startRelay({ upstream: sshd, ...(up && { rekey: up }), ...(down && { downRekey: down }) });
    const input = Buffer.alloc(12 * 2 ** 20);
    for (let at = 0; at < input.length; at += 4) input.writeUInt32BE(at, at);
    const { out, code } = await ssh(own.port, [...args, AT, 'cat'], input);
    expect(code).toBe(0);
    expect(out.equals(input)).toBe(true);
    own.stop();
  });

  test('refuses -W, -R and -A', async () => {
    const target = createServer((socket) => socket.end('reached'));
    await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
    const { port } = target.address() as AddressInfo;
    const through = await ssh(server.port, ['-W', `127.0.0.1:${port}`, AT]);
    expect(through.out.toString()).toBe('');
    expect(through.err).toContain('stdio forwarding failed');
    const back = await ssh(server.port, ['-o', 'ExitOnForwardFailure=yes', '-R', '0:127.0.0.1:1', AT, 'echo ran']);
    expect(back.out.toString()).toBe('');
    expect(back.err).toContain('remote port forwarding failed');
    const agent = await ssh(server.port, ['-A', '-o', 'ForwardAgent=/nowhere', AT, 'echo "agent:$SSH_AUTH_SOCK"']);
    expect(agent.out.toString()).toBe('agent:\n');
    target.close();
  });

  test('shows a refused command on stderr with exit status 126, behind the replies before it', async () => {
    const watcher = sessionWatcher();
    const own = await startRelay({
      upstream: sshd,
      watcher: {
        ...watcher,
        // Late verdicts: what comes behind has to wait.
        async channelRequest(from, channel, request): Promise<Verdict> {
          await new Promise((resolve) => setTimeout(resolve, 20));
          if (request.ask.kind === 'exec' && request.ask.command.includes('rm'))
            return { do: 'refuse', say: 'sidecar: denied' };
          return watcher.channelRequest(from, channel, request);
        },
      },
    });
    expect(await ssh(own.port, ['-tt', AT, 'rm -rf /nowhere'])).toMatchObject({
      code: 126,
      err: 'sidecar: denied\r\n',
    });
    expect(await ssh(own.port, [AT, 'cat'], 'through')).toMatchObject({ code: 0, out: Buffer.from('through') });
    own.stop();
  });

  test('tells the user when the upstream cannot be reached', async () => {
    const own = await startRelay({ upstream: sshd, hostKeyCheck: () => false });
    const { code, err } = await ssh(own.port, [AT, 'true']);
    expect(code).toBe(255);
    expect(err).toContain('sidecar: the upstream could not be reached');
    expect(own.failures.map(({ fault }) => fault)).toEqual(['host-key']);
    own.stop();
  });
});
