import { execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { canary } from '../../test/canary.ts';
import { runCli } from './dispatch.ts';
import { recordedIo } from './testdata/recorded-io.ts';

const PIN = 'SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU';
const hasOpenssh = ['/usr/bin/ssh', '/usr/bin/ssh-keygen'].every((path) => existsSync(path));
const publicKey = `ssh-ed25519 ${Buffer.concat([Buffer.from('0000000b', 'hex'), Buffer.from('ssh-ed25519'), Buffer.from('00000020', 'hex'), Buffer.alloc(32, 7)]).toString('base64')}`;

function machine() {
  const folder = mkdtempSync(join(tmpdir(), 'ssh-config-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 's.yml');
  const secret = canary();
  const ssh = (more: object) => ({
    connector: 'ssh',
    credentials: { host: 'up.internal', user: 'git', password: secret, hostKey: PIN },
    ...more,
  });
  const services = {
    build: ssh({ listenOn: 'tcp://127.0.0.1:2222' }),
    keys: ssh({ listenOn: 'tcp://0.0.0.0:2223', config: { agents: { reviewer: { publicKey } } } }),
    tokens: ssh({ listenOn: 'tcp://[::1]:22', agent: 'team', config: { agents: { builder: { token: canary() } } } }),
    web: ssh({ listenOn: `unix://${folder}/it's 100% web.sock`, agent: 'reviewer', config: { via: 'bastion' } }),
    plain: ssh({ listenOn: `unix://${folder}/plain.sock`, agent: 'plain' }),
    bastion: ssh({}),
    'not a host': ssh({ listenOn: 'tcp://127.0.0.1:2224' }),
    anywhere: ssh({ listenOn: 'tcp://127.0.0.1:0' }),
    api: {
      connector: 'http',
      listenOn: 'tcp://127.0.0.1:8080',
      target: 'https://api.example.com',
      credentials: { token: secret },
      config: { headers: { A: '{{ .token }}' } },
    },
  };
  writeFileSync(file, JSON.stringify({ version: '2', services }), { mode: 0o600 });
  const home = join(folder, 'state');
  return {
    folder,
    home,
    secret,
    run: async (...words: string[]) => {
      const io = recordedIo({ env: { SECRETLESS_HOME: home } });
      const code = await runCli(['ssh', 'config', '-f', file, ...words], io);
      return { code, out: io.out(), err: io.err() };
    },
  };
}

/** What OpenSSH makes of the file for one host: its words, in lower case. */
function settings(file: string, host: string, ...more: readonly string[]): ReadonlyMap<string, string> {
  const text = execFileSync('/usr/bin/ssh', ['-F', file, '-G', ...more, host], { encoding: 'utf8' });
  return new Map(text.split('\n').map((line) => [line.split(' ', 1)[0]!, line.slice(line.indexOf(' ') + 1)]));
}

describe.skipIf(!hasOpenssh)('what is written, as OpenSSH reads it', () => {
  test('leads each host to its listener, with the sidecar’s host key and no key or agent of the user', async () => {
    const { run, folder } = machine();
    const written = join(folder, 'for ssh 100%');
    const { code, err } = await run('--write', written, '--identity', join(folder, 'id throw-away'));
    expect(code).toBe(0);
    expect(err).toContain('the service "not a host" has a name that ssh does not take');
    expect(err).toContain('the service "anywhere" listens on any free port');
    const file = join(written, 'ssh_config');
    const build = settings(file, 'build');
    expect(Object.fromEntries(build)).toMatchObject({
      user: 'build',
      hostname: '127.0.0.1',
      port: '2222',
      hostkeyalias: 'secretless-sidecar',
      stricthostkeychecking: 'true',
      identitiesonly: 'yes',
      identityagent: 'none',
      identityfile: 'none',
      preferredauthentications: 'none',
      forwardagent: 'no',
      globalknownhostsfile: '/dev/null',
    });
    expect(build.get('userknownhostsfile')).toBe(join(written, 'known_hosts'));
    expect(Object.fromEntries(settings(file, 'keys'))).toMatchObject({
      hostname: '127.0.0.1',
      port: '2223',
      preferredauthentications: 'publickey',
      identityfile: join(folder, 'id throw-away'),
    });
    expect(Object.fromEntries(settings(file, 'tokens'))).toMatchObject({
      hostname: '::1',
      port: '22',
      preferredauthentications: 'password',
    });
    expect(settings(file, 'web').get('proxycommand')).toContain('nc -U ');
    expect(settings(file, 'elsewhere').get('hostkeyalias')).toBeUndefined();
  });

  test('leads whoever names this machine and the port, and leaves its other ports alone', async () => {
    const { run, folder } = machine();
    const written = join(folder, 'ssh');
    await run('--write', written);
    const file = join(written, 'ssh_config');
    for (const host of ['localhost', '127.0.0.1']) {
      const here = settings(file, host, '-p', '2222', '-l', 'deploy--build');
      expect(Object.fromEntries(here)).toMatchObject({
        user: 'deploy--build',
        hostname: host,
        port: '2222',
        hostkeyalias: 'secretless-sidecar',
        userknownhostsfile: join(written, 'known_hosts'),
        identityagent: 'none',
        preferredauthentications: 'none',
      });
      expect(settings(file, host, '-p', '2022').get('hostkeyalias')).toBeUndefined();
    }
    expect(settings(file, 'localhost', '-p', '2223').get('preferredauthentications')).toBe('publickey');
  });

  test('has the host key under its alias and under every address', async () => {
    const { run, folder, home } = machine();
    const written = join(folder, 'ssh');
    await run('--write', written);
    const key = execFileSync('/usr/bin/ssh-keygen', ['-y', '-f', join(home, 'ssh_host_ed25519_key')], {
      encoding: 'utf8',
    });
    for (const name of ['secretless-sidecar', '[localhost]:2222', '[127.0.0.1]:2223', '::1']) {
      const found = execFileSync('/usr/bin/ssh-keygen', ['-F', name, '-f', join(written, 'known_hosts')], {
        encoding: 'utf8',
      });
      expect(found, name).toContain(key.split(' ')[1]!.trim());
    }
  });

  test.each([
    ['web', "it's 100% web.sock", 'nc', 'process.argv[3]'],
    ['plain', 'plain.sock', 'nc', 'process.argv[3]'],
    ['plain', 'plain.sock', 'socat', "process.argv[3].replace('UNIX-CONNECT:', '')"],
  ])('reaches the Unix socket of %s, %j, by %s', async (service, name, program, path) => {
    const { run, folder } = machine();
    const written = join(folder, 'ssh');
    await run('--write', written, '--service', service);
    // In place of programs that not every machine has.
    const script = `#!${process.execPath}\nconst socket = require('node:net').connect(${path});\nprocess.stdin.pipe(socket).pipe(process.stdout);\n`;
    writeFileSync(join(folder, program), script, { mode: 0o700 });
    const server = createServer();
    onTestFinished(() => void server.close());
    server.listen(join(folder, name));
    const client = execFile(
      '/usr/bin/ssh',
      ['-F', join(written, 'ssh_config'), service, 'true'],
      { env: { ...process.env, PATH: folder } },
      () => undefined,
    );
    onTestFinished(() => void client.kill());
    const [socket] = (await once(server, 'connection')) as [Socket];
    const [bytes] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    expect(bytes.toString('latin1')).toMatch(/^SSH-2\.0-/);
  });
});

test('the files are nobody else’s, are replaced whole, and hold no secret', async () => {
  const { run, folder, secret } = machine();
  const written = join(folder, 'ssh');
  await run('--write', written);
  await run('--write', written, '--service', 'build');
  expect(readdirSync(written).sort()).toEqual(['known_hosts', 'ssh_config']);
  expect(statSync(written).mode & 0o777).toBe(0o700);
  for (const name of ['known_hosts', 'ssh_config']) {
    expect(statSync(join(written, name)).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(written, name), 'utf8')).not.toContain(secret);
  }
  expect(readFileSync(join(written, 'ssh_config'), 'utf8').match(/^Host /gm)).toHaveLength(1);
});

test('printed, it is a configuration whose last line is that of known_hosts', async () => {
  const { run, home } = machine();
  const { out, code } = await run('--service', 'build');
  expect(code).toBe(0);
  expect(out).toMatch(/^IgnoreUnknown WarnWeakCrypto\n\nHost build\n/);
  expect(out).toContain(`UserKnownHostsFile ${join(home, 'known_hosts')}\n`);
  expect(out.trimEnd().split('\n').at(-1)).toMatch(
    /^# secretless-sidecar,\[127\.0\.0\.1\]:2222,\[localhost\]:2222 ssh-ed25519 AAAA/,
  );
});

test('only services of an agent are shown where one is named', async () => {
  const { run } = machine();
  const hosts = async (agent: string): Promise<string[]> =>
    [...(await run('--agent', agent)).out.matchAll(/^Host (.*)$/gm)].map(([, name]) => name!);
  expect(await hosts('reviewer')).toEqual(['keys', 'web']);
  expect(await hosts('builder')).toEqual(['tokens']);
  expect(await hosts('local')).toEqual(['build']);
});

test.each<[string[], string]>([
  [['--service', 'nothing'], 'there is no ssh service "nothing"'],
  [['--service', 'api'], 'there is no ssh service "api"'],
  [['--service', 'bastion'], 'there is no ssh service "bastion"'],
  [['--agent', 'nobody'], 'there is no ssh service of the agent "nobody"'],
  [['--service', 'anywhere'], 'the service "anywhere" listens on any free port'],
  [['--write', '/tmp/a$b'], 'a letter that ssh reads as another'],
  [['--write', '/tmp/a\nProxyCommand id'], 'a letter that ssh reads as another'],
  [['--identity', 'id\n  ProxyCommand touch /tmp/x'], 'a letter that ssh reads as another'],
  [['--identity', '${HOME}/id'], 'a letter that ssh reads as another'],
  [['--service', 'a\u001b[2J'], 'there is no ssh service "a\\u001b[2J"'],
])('%j is refused in words', async (words, problem) => {
  const { run } = machine();
  const { code, err } = await run(...words);
  expect([code, err]).toEqual([64, expect.stringContaining(problem)]);
});
