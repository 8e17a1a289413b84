import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { freePorts } from '../../process-rig.ts';
import type { Case } from '../compare.ts';
import type { Place } from '../place.ts';
import { converse, echo, greet, opened, startTarget, type Target } from '../target.ts';
import { sha256 } from './exec.ts';

/** `ssh -N` with some forwards, as long as `use` lasts. `said` is what it printed on stderr. */
export async function whileForwarding<T>(
  place: Place,
  args: readonly string[],
  use: (ssh: ChildProcess, said: () => string) => Promise<T>,
): Promise<T> {
  const command = ['-F', place.config, '-N', '-o', 'ExitOnForwardFailure=yes', ...args, 'host'];
  const ssh = place.spawn('ssh', command, { leaveOpen: true });
  let said = '';
  ssh.stderr!.setEncoding('latin1').on('data', (text: string) => (said += text));
  ssh.stdout!.resume();
  try {
    return await use(ssh, () => said);
  } finally {
    ssh.kill();
    if (ssh.exitCode === null && ssh.signalCode === null) await once(ssh, 'close');
  }
}

export async function withTarget<T>(target: Promise<Target>, use: (target: Target) => Promise<T>): Promise<T> {
  const running = await target;
  try {
    return await use(running);
  } finally {
    await running.stop();
  }
}

export function running(child: ChildProcess): () => boolean {
  return () => child.exitCode === null && child.signalCode === null;
}

async function local(place: Place): Promise<unknown> {
  const sent = randomBytes(3_000_000);
  return withTarget(startTarget(echo), async ({ port }) => {
    const [own] = await freePorts(1);
    return whileForwarding(place, ['-L', `${own}:127.0.0.1:${port}`], async (ssh) => {
      await opened(own!, running(ssh));
      const answers = await Promise.all([1, 2, 3, 4].map(() => converse(own!, sent)));
      return answers.map((answer) => sha256(Buffer.from(answer, 'latin1')) === sha256(sent));
    });
  });
}

async function serverFirst(place: Place): Promise<unknown> {
  return withTarget(startTarget(greet), async ({ port }) => {
    const heard = Array.from({ length: 5 }, async () => {
      const { code, out } = await place.ssh(['-W', `127.0.0.1:${port}`, 'host'], { leaveOpen: true });
      return [code, out];
    });
    return Promise.all(heard);
  });
}

async function dynamic(place: Place): Promise<unknown> {
  return withTarget(startTarget(httpHello), async ({ port }) => {
    const [own] = await freePorts(1);
    return whileForwarding(place, ['-D', `127.0.0.1:${own}`], async (ssh) => {
      await opened(own!, running(ssh));
      const curl = ['-sS', '--max-time', '20', '--socks5-hostname', `127.0.0.1:${own}`];
      return [
        await place.succeed('curl', [...curl, `http://127.0.0.1:${port}/`]),
        await place.succeed('curl', [...curl, `http://localhost:${port}/`]),
      ];
    });
  });
}

/** A listener whose queue is full: connections to it neither succeed nor fail. */
const DEAF = `import socket, sys
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(0)
fill = []
for _ in range(4):
    c = socket.socket(); c.setblocking(False); c.connect_ex(s.getsockname()); fill.append(c)
print(s.getsockname()[1], flush=True)
sys.stdin.read()
`;

async function deadDestination(place: Place): Promise<unknown> {
  const deaf = place.spawn('python3', ['-c', DEAF], { leaveOpen: true });
  const [line] = (await once(deaf.stdout!, 'data')) as [Buffer];
  const nowhere = Number(line.toString());
  return withTarget(startTarget(httpHello), async ({ port }) => {
    const [own] = await freePorts(1);
    return whileForwarding(place, ['-D', `127.0.0.1:${own}`], async (ssh) => {
      await opened(own!, running(ssh));
      const curl = ['-sS', '--socks5-hostname', `127.0.0.1:${own}`, '--max-time'];
      const stuck = place.run('curl', [...curl, '3', `http://127.0.0.1:${nowhere}/`]);
      await new Promise((resolve) => setTimeout(resolve, 300));
      const began = Date.now();
      const heard = await place.succeed('curl', [...curl, '20', `http://127.0.0.1:${port}/`]);
      return [heard, Date.now() - began < 2000, (await stuck).code];
    });
  });
}

function httpHello(socket: Socket): void {
  socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n'));
}

async function remote(place: Place, asked: 'fixed' | 'any'): Promise<unknown> {
  return withTarget(startTarget(echo), async ({ port }) => {
    const [free] = await freePorts(1);
    const wanted = asked === 'fixed' ? free! : 0;
    return whileForwarding(place, ['-R', `127.0.0.1:${wanted}:127.0.0.1:${port}`], async (ssh, said) => {
      const far = wanted === 0 ? await allocated(ssh, said) : wanted;
      await opened(far, running(ssh));
      const sent = randomBytes(500_000).toString('latin1');
      const answers = await Promise.all([1, 2, 3].map(() => converse(far, Buffer.from(sent, 'latin1'))));
      return answers.map((answer) => answer === sent);
    });
  });
}

async function allocated(ssh: ChildProcess, said: () => string): Promise<number> {
  for (;;) {
    const port = /Allocated port (\d+) for remote forward/.exec(said())?.[1];
    if (port !== undefined) return Number(port);
    if (!running(ssh)()) throw new Error(`ssh ended: ${said()}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

async function sockets(place: Place): Promise<unknown> {
  const far = `${place.remote}.sock`;
  const near = join(place.folder, 'near.sock');
  return withTarget(startTarget(echo, far), () =>
    whileForwarding(place, ['-L', `${near}:${far}`, '-R', `${far}.back:${near}`], async (ssh) => {
      await opened(near, running(ssh));
      await opened(`${far}.back`, running(ssh));
      return [await converse(near, 'to the far side'), await converse(`${far}.back`, 'there and back and there')];
    }),
  );
}

async function jump(place: Place): Promise<unknown> {
  const { code, out } = await place.ssh(['-J', 'first', 'host', 'echo behind; exit 3']);
  return [code, out];
}

async function forwardedAgent(place: Place): Promise<unknown> {
  await place.succeed('ssh-keygen', [
    '-q',
    '-t',
    'ed25519',
    '-N',
    '',
    '-C',
    'made up',
    '-f',
    join(place.folder, 'own'),
  ]);
  const socket = join(place.folder, 'agent.sock');
  const agent = place.spawn('ssh-agent', ['-D', '-a', socket], { leaveOpen: true });
  await opened(socket, running(agent));
  await place.succeed('ssh-add', ['-q', join(place.folder, 'own')], { env: { SSH_AUTH_SOCK: socket } });
  const args = ['-A', '-o', `IdentityAgent=${socket}`, 'host', 'for i in 1 2 3 4; do ssh-add -L & done; wait'];
  const { code, out } = await place.ssh(args);
  agent.kill();
  const line = readFileSync(join(place.folder, 'own.pub'), 'latin1');
  return [code, out === line.repeat(4)];
}

/** Opens the screen that the far side was given, with the cookie that it was given, and reads what it says. */
const X_CLIENT = `import os, socket, struct, sys
display = os.environ['DISPLAY'].split(':')[1].split('.')[0]
lines = [line.split() for line in open(sys.argv[1])]
cookie = [bytes.fromhex(words[3]) for words in lines if words[1].endswith(':' + display + '.0')][-1]
s = socket.create_connection(('127.0.0.1', 6000 + int(display)))
name = b'MIT-MAGIC-COOKIE-1'
s.sendall(struct.pack('<BxHHHHxx', 0x6c, 11, 0, len(name), len(cookie)) + name + b'\\0\\0' + cookie)
print(s.recv(100).decode())
`;

/** In place of xauth: keeps what sshd tells it. */
const XAUTH = `#!/bin/sh
[ "$1" = -q ] && grep ^add >> "$(dirname "$0")/cookies"
exit 0
`;

/** Lets a server show screens, where no xauth is installed. */
export function screens(folder: string): readonly string[] {
  const path = join(folder, 'xauth');
  writeFileSync(path, XAUTH, { mode: 0o755 });
  return [`XAuthLocation ${path}`, 'X11Forwarding yes'];
}

async function screen(place: Place): Promise<unknown> {
  const script = place.file('client.py', X_CLIENT);
  let shown = 0;
  const serve = (socket: Socket): void => {
    socket.once('data', () => {
      shown += 1;
      socket.end('a screen');
    });
  };
  return withTarget(startTarget(serve), async ({ port }) => {
    // A screen listens on its number above 6000.
    const env = { DISPLAY: `127.0.0.1:${port - 6000}` };
    const command = `python3 ${script} ${place.door.remote}/cookies`;
    const args = ['-Y', '-o', 'XAuthLocation=/nowhere', 'host', command];
    const { code, out, err } = await place.ssh(args, { env });
    return [code, out, /X11 forwarding request failed/.test(err), shown];
  });
}

async function shared(place: Place): Promise<unknown> {
  const control = ['-o', `ControlPath=${join(place.folder, 'control')}`];
  const master = place.spawn('ssh', ['-F', place.config, '-M', '-N', ...control, 'host'], { leaveOpen: true });
  await opened(join(place.folder, 'control'), running(master));
  const all = await Promise.all(
    [1, 2, 3, 4].map((each) => place.ssh([...control, 'host', `sleep .1; cat; exit ${each}`], { input: `${each}\n` })),
  );
  const copied = await place.run('scp', ['-q', '-F', place.config, ...control, place.config, `host:${place.remote}`]);
  const ended = once(master, 'close');
  const exit = await place.ssh([...control, '-O', 'exit', 'host']);
  const [status] = (await ended) as [number | null];
  return [all.map(({ code, out }) => [code, out]), copied.code, existsSync(place.remote), exit.code, status];
}

const YES = [true, true, true];

export const FORWARD_CASES: readonly Case[] = [
  ['carries four connections at once to a port behind (-L)', local, [true, ...YES]],
  ['lets a server speak first', serverFirst, Array.from({ length: 5 }, () => [0, '220 welcome\r\n'])],
  ['is a SOCKS proxy (-D)', dynamic, ['hello\n', 'hello\n']],
  ['goes on beside a destination that does not answer', deadDestination, ['hello\n', true, 28]],
  ['carries connections back from a port there (-R)', (place) => remote(place, 'fixed'), YES],
  ['carries connections back from any port there (-R 0)', (place) => remote(place, 'any'), YES],
  ['carries Unix sockets both ways', sockets, ['to the far side', 'there and back and there']],
  ['is a way to another host (-J)', jump, [3, 'behind\n']],
  ['lends the keys of an agent to the far side (-A)', forwardedAgent, [0, true]],
  ['shows programs of the far side on a screen here (-Y)', screen, [0, 'a screen\n', false, 1]],
];

export const SHARED_CASES: readonly Case[] = [
  [
    'shares one connection between sessions, and ends it when told',
    shared,
    [[1, 2, 3, 4].map((each) => [each, `${each}\n`]), 0, true, 0, 255],
  ],
];
