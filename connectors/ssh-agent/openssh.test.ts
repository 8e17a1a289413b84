import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fingerprint, readPublicLine } from 'secretless-sidecar/connector/ssh';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { SshAgentConfig } from './config.ts';
import { KeyFolder, type MadeKey } from './testdata/keygen.ts';
import { loginUser, type Ran, run, Sshd, sshd } from './testdata/openssh-rig.ts';
import { ServedAgent } from './testdata/served-agent.ts';

/** The agent against OpenSSH's own programs, git, curl and paramiko, over a real socket. */
const hasClient = ['/usr/bin/ssh', '/usr/bin/ssh-add', '/usr/bin/ssh-keygen'].every((path) => existsSync(path));
const TYPES = ['ed25519', 'rsa 2048', 'ecdsa 256', 'ecdsa 384', 'ecdsa 521'];
const QUIET = ['-F', 'none', '-o', 'BatchMode=yes', '-o', 'StrictHostKeyChecking=no', '-o', 'LogLevel=ERROR'];

// Each login is a process or three; a machine that does other things as well takes its time.
vi.setConfig({ testTimeout: 90_000 });

let keys: KeyFolder;
let work: string;
const agents: ServedAgent[] = [];
beforeEach(() => {
  keys = new KeyFolder();
  work = mkdtempSync(join(tmpdir(), 'ssh-agent-work-'));
});
afterEach(async () => {
  for (const agent of agents.splice(0)) await agent.close();
  keys.remove();
  rmSync(work, { recursive: true, force: true });
});

/** An agent of these keys, whose private halves are nowhere else any more. */
async function serve(
  made: Readonly<Record<string, MadeKey>>,
  config: SshAgentConfig = {},
  more: Readonly<Record<string, string>> = {},
): Promise<ServedAgent> {
  const texts = Object.entries(made).map(([name, key]): [string, string] => [name, key.text.toString()]);
  for (const { path } of Object.values(made)) rmSync(path);
  const agent = await ServedAgent.start({ ...Object.fromEntries(texts), ...more }, config);
  agents.push(agent);
  return agent;
}

function withAgent(agent: ServedAgent, program: string, ...args: readonly string[]): Promise<Ran> {
  return run(program, args, { SSH_AUTH_SOCK: agent.path }, work);
}

function ssh(
  agent: ServedAgent,
  server: Sshd,
  user: string,
  command: string,
  ...options: readonly string[]
): Promise<Ran> {
  const files = ['-o', 'UserKnownHostsFile=/dev/null', '-o', `IdentityAgent=${agent.path}`];
  const to = ['-p', String(server.port), `${user}@127.0.0.1`, command];
  return withAgent(agent, '/usr/bin/ssh', ...QUIET, ...files, ...options, ...to);
}

const missing = hasClient ? '' : ' (ssh, ssh-add or ssh-keygen is not installed)';

describe.skipIf(!hasClient)(`OpenSSH${missing}`, () => {
  test('lists the keys of the agent, and its own test of them is refused', async () => {
    const made = Object.fromEntries(TYPES.map((type) => [type.replace(' ', ''), keys.make(type)] as const));
    const agent = await serve(made);
    const listed = await withAgent(agent, '/usr/bin/ssh-add', '-L');
    expect(listed.out.trim().split('\n')).toEqual(
      Object.entries(made).map(([name, { line }]) => `${line} keys (${name})`),
    );
    const short = await withAgent(agent, '/usr/bin/ssh-add', '-l');
    for (const { blob } of Object.values(made)) expect(short.out).toContain(fingerprint(blob));
    // It signs something arbitrary, which is neither a login nor a document.
    const tested = await withAgent(agent, '/usr/bin/ssh-add', '-T', `${made['ed25519']!.path}.pub`);
    expect(tested.code).not.toBe(0);
    expect(agent.signed).toEqual([]);
    expect(agent.warnings).toEqual(['a signature was refused: neither a login nor a document']);
  });

  test('cannot add, remove or lock anything', async () => {
    const own = keys.make('ed25519');
    const held = keys.make('ed25519');
    const agent = await serve({ held });
    const smartcard = ['/usr/lib/none.so'];
    const attempts = [[own.path], ['-D'], ['-d', `${held.path}.pub`], ['-s', ...smartcard], ['-e', ...smartcard]];
    for (const args of attempts) expect((await withAgent(agent, '/usr/bin/ssh-add', ...args)).code).not.toBe(0);
    // What is typed before the terminal has stopped to echo is thrown away.
    const type = 'after 300; send "x\\r"';
    const locks = {
      '-x': `expect "password: "; ${type}; expect "Again: "; ${type}`,
      '-X': `expect "password: "; ${type}`,
    };
    for (const [option, typing] of Object.entries(existsSync('/usr/bin/expect') ? locks : {})) {
      const script = `spawn ssh-add ${option}; ${typing}; expect eof; exit [lindex [wait] 3]`;
      const { code, out } = await withAgent(agent, '/usr/bin/expect', '-c', script);
      expect([code, out]).toEqual([1, expect.stringContaining('agent refused operation')]);
    }
    expect((await withAgent(agent, '/usr/bin/ssh-add', '-l')).out.trim().split('\n')).toHaveLength(1);
  });

  test('signs for git with each type of key, and not for another namespace', async () => {
    const file = join(work, 'message');
    writeFileSync(file, 'a message');
    for (const type of TYPES) {
      const made = keys.make(type);
      const agent = await serve({ rsa: made });
      writeFileSync(join(work, 'signers'), `dev@example.com ${made.line}\n`);
      const sign = (namespace: string): Promise<Ran> =>
        withAgent(agent, '/usr/bin/ssh-keygen', '-q', '-Y', 'sign', '-n', namespace, '-f', `${made.path}.pub`, file);
      expect((await sign('file')).code).not.toBe(0);
      expect(await sign('git')).toMatchObject({ code: 0 });
      const verify = `exec ssh-keygen -Y verify -f ${work}/signers -I dev@example.com -n git -s ${file}.sig < ${file}`;
      expect(await run('/bin/sh', ['-c', verify])).toMatchObject({ code: 0 });
      expect(agent.signed).toEqual([{ request: 'sign-document', namespace: 'git', forwarded: false }]);
      rmSync(`${file}.sig`);
    }
  });

  test.skipIf(!existsSync('/usr/bin/git'))('commits of git are signed, and git finds them good', async () => {
    const made = keys.make('ed25519', 'a passphrase that git never asks for');
    const agent = await serve({ rsa: made }, {}, { rsaPassphrase: 'a passphrase that git never asks for' });
    writeFileSync(join(work, 'signers'), `dev@example.com ${made.line}\n`);
    const git = (...args: readonly string[]): Promise<Ran> => {
      const settings = { 'user.name': 'Dev', 'user.email': 'dev@example.com', 'gpg.format': 'ssh' };
      const signing = { 'user.signingkey': `key::${made.line}`, 'gpg.ssh.allowedSignersFile': `${work}/signers` };
      const options = Object.entries({ ...settings, ...signing }).flatMap(([name, value]) => [
        '-c',
        `${name}=${value}`,
      ]);
      return withAgent(agent, '/usr/bin/git', ...options, ...args);
    };
    await git('init', '-q');
    for (const message of ['one', 'two']) {
      expect(await git('commit', '-q', '-S', '--allow-empty', '-m', message)).toMatchObject({ code: 0 });
      const verified = await git('verify-commit', 'HEAD');
      expect(verified).toMatchObject({ code: 0 });
      expect(verified.err).toContain('Good "git" signature for dev@example.com');
    }
    const commit = { request: 'sign-document', namespace: 'git', forwarded: false };
    expect(agent.signed).toEqual([commit, commit]);
    agent.allows = ({ ssh: asked }) => asked?.request === 'keys';
    expect((await git('commit', '-q', '-S', '--allow-empty', '-m', 'three')).code).not.toBe(0);
  });
});

const user = loginUser();
const serverless = sshd === undefined || user === undefined ? ' (no sshd, or nobody whom it could let in)' : missing;

describe.skipIf(serverless !== '')(`OpenSSH with its own server${serverless}`, () => {
  async function serving<Result>(
    options: Parameters<typeof Sshd.start>[1],
    use: (server: Sshd) => Promise<Result>,
  ): Promise<Result> {
    const server = await Sshd.start(user!, options);
    try {
      return await use(server);
    } finally {
      server.stop();
    }
  }

  test('logs in with each type of key, tells the host, and only as policy and `users` let it', async () => {
    const host = keys.make('ecdsa 256');
    const made = TYPES.map((type) => keys.make(type));
    const options = { authorizedKeys: `${made.map(({ line }) => line).join('\n')}\n`, hostKey: host.text };
    await serving(options, async (server) => {
      for (const key of made) {
        const agent = await serve({ key }, { users: [user!.name], hosts: [fingerprint(host.blob)] });
        expect(await ssh(agent, server, user!.name, 'echo in')).toMatchObject({ code: 0, out: 'in\n' });
        const login = { request: 'sign-login', user: user!.name, hostKey: fingerprint(host.blob), forwarded: false };
        expect(agent.signed).toEqual([login]);
        expect((await ssh(agent, server, 'somebody', 'echo in')).code).toBe(255);
        agent.allows = ({ ssh: asked }) => asked?.request === 'keys';
        expect((await ssh(agent, server, user!.name, 'echo in')).code).toBe(255);
        expect(agent.signed).toHaveLength(1);
      }
    });
  });

  test('logs in nowhere but to `hosts`, whatever the host claims', async () => {
    const [host, other] = [keys.make('ed25519'), keys.make('ed25519')];
    const key = keys.make('ed25519');
    await serving({ authorizedKeys: `${key.line}\n`, hostKey: host.text }, async (server) => {
      const agent = await serve({ key }, { hosts: [`git.corp ${other.line}`] });
      expect((await ssh(agent, server, user!.name, 'echo in')).code).toBe(255);
      expect(agent.signed).toEqual([]);
    });
  });

  test('logs in with a certificate, to a host that is known by its authority', async () => {
    const [authority, certified, host] = [keys.make('ed25519'), keys.make('rsa 2048'), keys.make('ecdsa 256')];
    keys.run('-q', '-s', authority.path, '-I', 'agent-7', '-n', user!.name, `${certified.path}.pub`);
    keys.run('-q', '-s', authority.path, '-I', 'web', '-h', '-n', 'web.corp', `${host.path}.pub`);
    const certificate = keys.textOf(`${certified.path}-cert.pub`);
    const hostCertificate = keys.textOf(`${host.path}-cert.pub`);
    const options = { authorizedKeys: '', authority: `${authority.line}\n`, hostKey: host.text, hostCertificate };
    await serving(options, async (server) => {
      writeFileSync(join(work, 'known'), `@cert-authority *.corp ${authority.line}\n`);
      const strict = ['-o', 'HostKeyAlias=web.corp', '-o', `UserKnownHostsFile=${work}/known`];
      const trust = (line: string): Promise<ServedAgent> => {
        writeFileSync(certified.path, certified.text);
        return serve({ certified }, { hosts: [line] }, { certifiedCertificate: certificate });
      };
      const agent = await trust(`@cert-authority *.corp ${authority.line}`);
      const login = (by: ServedAgent): Promise<Ran> =>
        withAgent(
          by,
          '/usr/bin/ssh',
          ...QUIET,
          '-o',
          'StrictHostKeyChecking=yes',
          ...strict,
          '-o',
          `IdentityAgent=${by.path}`,
          '-p',
          String(server.port),
          `${user!.name}@127.0.0.1`,
          'echo in',
        );
      expect(await login(agent)).toMatchObject({ code: 0, out: 'in\n' });
      expect(agent.signed).toMatchObject([{ hostKey: fingerprint(host.blob) }]);
      const { blob } = readPublicLine(certificate);
      const list = (await withAgent(agent, '/usr/bin/ssh-add', '-L')).out.trim().split('\n');
      expect(list.map((line) => readPublicLine(line).blob)).toEqual([blob, certified.blob]);
      expect((await login(await trust(`@cert-authority *.org ${authority.line}`))).code).toBe(255);
      expect((await login(await trust(`@cert-authority *.corp ${certified.line}`))).code).toBe(255);
    });
  });

  test('through `ssh -A` nothing is listed or signed unless the service allows it', async () => {
    const [host, key] = [keys.make('ed25519'), keys.make('ed25519')];
    await serving({ authorizedKeys: `${key.line}\n`, hostKey: host.text }, async (server) => {
      const inner = `ssh ${QUIET.join(' ')} -o UserKnownHostsFile=/dev/null -p ${server.port} 127.0.0.1 echo inner`;
      const sign = `cd $(mktemp -d) && echo '${key.line}' > k.pub && ssh-keygen -q -Y sign -n git -f k.pub k.pub && rm -r "$PWD"`;
      const through = async (config: SshAgentConfig) => {
        writeFileSync(key.path, key.text);
        const agent = await serve({ key }, config);
        const codes = [];
        for (const command of ['true', 'ssh-add -l', inner, sign]) {
          codes.push((await ssh(agent, server, user!.name, command, '-A')).code);
        }
        return { codes, asked: agent.signed };
      };
      const { codes, asked } = await through({});
      expect(codes).toEqual([0, 1, 255, 255]);
      for (const facts of asked) expect(facts).toMatchObject({ request: 'sign-login', forwarded: false });
      const open = await through({ forwarding: true });
      expect(open.codes).toEqual([0, 0, 0, 0]);
      expect(open.asked.filter((facts) => (facts as { forwarded: boolean }).forwarded)).toEqual([
        { request: 'sign-login', user: user!.name, hostKey: fingerprint(host.blob), forwarded: true },
        { request: 'sign-document', namespace: 'git', forwarded: true },
      ]);
    });
  });

  test('a key that was rotated logs in without the agent being started anew', async () => {
    const [host, old, fresh] = [keys.make('ed25519'), keys.make('ed25519'), keys.make('ed25519')];
    await serving({ authorizedKeys: `${fresh.line}\n`, hostKey: host.text }, async (server) => {
      const agent = await serve({ key: old });
      expect((await ssh(agent, server, user!.name, 'echo in')).code).toBe(255);
      agent.credentials = { key: fresh.text.toString() };
      expect(await ssh(agent, server, user!.name, 'echo in')).toMatchObject({ code: 0 });
    });
  });

  const curl = existsSync('/usr/bin/curl');
  const python = existsSync('/usr/lib/python3/dist-packages/paramiko');
  test.skipIf(!curl && !python)(
    'clients that prove no host log in where `hosts` is not written, and not where it is',
    async () => {
      const host = keys.make('ecdsa 256');
      const types = ['ed25519', 'rsa 2048', 'ecdsa 256'];
      const made = types.map((type) => keys.make(type));
      const options = { authorizedKeys: `${made.map(({ line }) => line).join('\n')}\n`, hostKey: host.text };
      await serving(options, async (server) => {
        const script = `
import paramiko, sys
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect('127.0.0.1', ${server.port}, '${user!.name}', look_for_keys=False)
print(client.exec_command('echo in')[1].read().decode(), end='')
client.close()`;
        const libssh2 = (agent: ServedAgent): Promise<Ran> => {
          const flags = ['-sS', '--insecure', '--user', `${user!.name}:`];
          return withAgent(agent, '/usr/bin/curl', ...flags, `sftp://127.0.0.1:${server.port}/etc/passwd`);
        };
        const paramiko = (agent: ServedAgent): Promise<Ran> =>
          withAgent(agent, '/usr/bin/python3', '-W', 'ignore', '-c', script);
        for (const [at, key] of made.entries()) {
          const agent = await serve({ key });
          // libssh2 before 1.11 asks for RSA over SHA-1, which nothing here signs.
          const isSigned = types[at] !== 'rsa 2048';
          if (curl && isSigned) expect((await libssh2(agent)).out).toContain('root:');
          if (python) expect(await paramiko(agent)).toMatchObject({ code: 0, out: 'in\n' });
          const unproven = { request: 'sign-login', user: user!.name, forwarded: false };
          expect(agent.signed).toEqual(
            Array.from({ length: Number(curl && isSigned) + Number(python) }, () => unproven),
          );
        }
        writeFileSync(made[0]!.path, made[0]!.text);
        const strict = await serve({ key: made[0]! }, { hosts: [fingerprint(host.blob)] });
        if (curl) expect((await libssh2(strict)).code).not.toBe(0);
        if (python) expect((await paramiko(strict)).code).not.toBe(0);
        expect(strict.signed).toEqual([]);
      });
    },
  );
});
