import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Case } from '../compare.ts';
import type { Place } from '../place.ts';
import { PYTHON } from '../programs.ts';
import { sha256 } from './exec.ts';

async function python(place: Place, script: string): Promise<unknown> {
  const { door, keyFile = null, remote } = place;
  const path = fileURLToPath(new URL(`../clients/${script}`, import.meta.url));
  const input = JSON.stringify({ port: door.port, user: door.user, hostKey: door.hostKey, keyFile, remote });
  return JSON.parse(await place.succeed(PYTHON, [path], { input })) as unknown;
}

/** Where programs other than OpenSSH's look for host keys. */
function homeKnownHosts(place: Place): void {
  const { port, hostKey } = place.door;
  mkdirSync(join(place.folder, '.ssh'), { recursive: true, mode: 0o700 });
  writeFileSync(join(place.folder, '.ssh/known_hosts'), `127.0.0.1 ${hostKey}\n[127.0.0.1]:${port} ${hostKey}\n`);
}

async function dropbear(place: Place): Promise<unknown> {
  homeKnownHosts(place);
  const { port, user } = place.door;
  const key = join(place.folder, 'dropbear-key');
  if (place.keyFile !== undefined) await place.succeed('dropbearconvert', ['openssh', 'dropbear', place.keyFile, key]);
  const args = ['-p', String(port), '-l', user, ...(place.keyFile === undefined ? [] : ['-i', key]), '127.0.0.1'];
  const sent = randomBytes(2_000_000);
  const { code, out, err } = await place.bytes('dbclient', [...args, 'cat; echo over >&2; exit 6'], { input: sent });
  return [code, sha256(out) === sha256(sent), err];
}

/** What asks for more than a login: several sessions, each a program by its input. */
async function libssh2(place: Place, scheme: 'sftp' | 'scp'): Promise<unknown> {
  homeKnownHosts(place);
  const { port, user, key } = place.door;
  const pem = key === undefined ? [] : ['--key', place.keyFile!, '--pubkey', await publicHalf(place)];
  const file = place.file('from', randomBytes(1_000_000));
  const url = `${scheme}://127.0.0.1:${port}${place.remote}`;
  const curl = ['-sS', '-u', `${user}:`, ...pem];
  await place.succeed('curl', [...curl, '-T', file, url]);
  await place.succeed('curl', [...curl, '-o', `${file}.back`, url]);
  const absent = await place.run('curl', [...curl, `${url}-absent`]);
  return [readFileSync(`${file}.back`).equals(readFileSync(file)), absent.code];
}

async function publicHalf(place: Place): Promise<string> {
  const line = await place.succeed('ssh-keygen', ['-y', '-f', place.keyFile!]);
  return place.file('key.pub', line);
}

/** As Ansible goes about it: a connection that stays, files by sftp, modules as the input of a python. */
async function ansible(place: Place): Promise<unknown> {
  const control = join(place.folder, 'control');
  const shared = ['-C', '-o', 'ControlMaster=auto', '-o', 'ControlPersist=30s', '-o', `ControlPath=${control}`];
  const home = await place.ssh([...shared, 'host', `/bin/sh -c 'echo ~ && sleep 0'`]);
  const module = `import json\nprint(json.dumps({"changed": False}))\n${'#'.repeat(200_000)}\n`;
  const facts = await Promise.all(
    [1, 2, 3].map(() => place.ssh([...shared, 'host', `/bin/sh -c '/usr/bin/python3 && sleep 0'`], { input: module })),
  );
  const batch = `put ${place.config} ${place.remote}\n`;
  const copied = await place.run('sftp', ['-F', place.config, ...shared, '-b', '-', 'host'], { input: batch });
  const terminal = await place.ssh([...shared, '-tt', 'host', `/bin/sh -c 'rm ${place.remote} && echo removed'`]);
  await place.ssh([...shared, '-O', 'exit', 'host']);
  return [home.code, facts.map(({ code, out }) => [code, out]), copied.code, terminal.code, terminal.out.trim()];
}

const FACTS = [0, '{"changed": false}\n'];

export const PARAMIKO_CASE: Case = [
  'serves paramiko: a command, a terminal, new keys, files',
  (place) => python(place, 'with_paramiko.py'),
  { ran: [5, true, 'over\n'], terminal: ['31', '91', 'vt220'], again: [0, 'with new keys\n'], files: [true, ['b']] },
];

export const ASYNCSSH_CASE: Case = [
  'serves asyncssh: a command, a signal, five at once, files',
  (place) => python(place, 'with_asyncssh.py'),
  {
    ran: [5, true, 'over\n'],
    killed: ['TERM', -1],
    atOnce: [0, 1, 2, 3, 4].map((each) => [each, `${each}\n`]),
    files: [true, ['a']],
  },
];

export const DROPBEAR_CASE: Case = ['serves the client of dropbear', dropbear, [6, true, 'over\n']];

export const LIBSSH2_CASES: readonly Case[] = [
  ['serves libssh2 (curl sftp://)', (place) => libssh2(place, 'sftp'), [true, 78]],
  ['serves libssh2 (curl scp://)', (place) => libssh2(place, 'scp'), [true, 78]],
];

export const ANSIBLE_CASE: Case = ['serves what Ansible does', ansible, [0, [FACTS, FACTS, FACTS], 0, 0, 'removed']];
