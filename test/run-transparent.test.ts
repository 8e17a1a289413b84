import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { runCli } from '../src/cli/dispatch.ts';
import { recordedIo } from '../src/cli/testdata/recorded-io.ts';

/** The rules of transparent mode: printed by the command, tried in a network namespace of their own. */

const PORT = 13_128;
/** The rules exempt root, as which the listener runs there. */
const SIDECAR = '0';
const PROGRAM = 65_534;

async function printed(words: readonly string[], egress?: object): Promise<{ code: number; out: string; err: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'transparent-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 's.yml');
  const service = {
    connector: 'http',
    target: 'https://api.example.com',
    credentials: { token: 'made-up-token' },
    config: { headers: { Authorization: 'Bearer {{ .token }}' } },
  };
  const listening = egress === undefined ? { listenOn: 'tcp://127.0.0.1:8081' } : {};
  const file2 = { version: '2', services: { api: { ...service, ...listening } }, ...(egress && { egress }) };
  writeFileSync(file, JSON.stringify(file2), { mode: 0o600 });
  const io = recordedIo({ env: { SECRETLESS_HOME: folder } });
  const code = await runCli(['transparent', '-f', file, ...words], io);
  return { code, out: io.out(), err: io.err() };
}

const LISTENERS = { mode: 'transparent', listenOn: [`tcp://127.0.0.1:${PORT}`, `tcp://[::1]:${PORT}`] };

describe('the command', () => {
  test('says for whom the rules do nothing, and which family has no listener', async () => {
    const both = await printed(['--print-rules', '--uid', '1001'], LISTENERS);
    expect([both.code, both.err]).toEqual([
      0,
      'secretless: programs that run as user 1001 too are not led to the sidecar\n',
    ]);
    expect(both.out).toContain('--uid-owner 1001 -j RETURN');
    const one = await printed(['--print-rules', '--nft'], { ...LISTENERS, listenOn: [`tcp://127.0.0.1:${PORT}`] });
    expect(one.err).toContain('nothing listens on ::1: IPv6 connections will be refused');
    expect(one.out).toContain(`meta skuid ${process.getuid!()} return`);
  });

  test.each<[string[], object | undefined, number, string]>([
    [[], LISTENERS, 64, 'secretless transparent --print-rules'],
    [['--print-rules', '--uid', 'root'], LISTENERS, 64, '--uid is the number of a user'],
    [['--print-rules', '--uid', '4294967295'], LISTENERS, 64, '--uid is the number of a user'],
    [['--print-rules'], undefined, 78, 'mode: transparent'],
    [['--print-rules'], { listenOn: 'tcp://127.0.0.1:3128' }, 78, 'mode: transparent'],
    [['--print-rules'], { mode: 'transparent', listenOn: 'tcp://127.0.0.1:0' }, 78, 'a TCP port that stays'],
  ])('%j of %j is refused', async (words, egress, code, text) => {
    const result = await printed(words, egress);
    expect([result.code, result.out]).toEqual([code, '']);
    expect(result.err).toContain(text);
  });
});

/**
 * In a namespace whose only way out leads nowhere: what arrives at the listener was redirected. Prints one word for each
 * try, by whom and where to.
 */
const TRIES = `
const { createServer, connect } = require('node:net');
const { createSocket } = require('node:dgram');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const tcp = (host, port) => new Promise((resolve) => {
  const socket = connect({ host, port });
  const timer = setTimeout(() => { socket.destroy(); resolve('nowhere'); }, 700);
  socket.on('data', (bytes) => { clearTimeout(timer); socket.destroy(); resolve(String(bytes)); });
  socket.on('error', (error) => { clearTimeout(timer); resolve(error.code); });
});
const udp = (port) => new Promise((resolve) => {
  const socket = createSocket('udp4');
  const timer = setTimeout(() => { socket.close(); resolve('silence'); }, 700);
  const refused = () => { clearTimeout(timer); socket.close(); resolve('refused'); };
  socket.once('error', refused);
  socket.connect(port, '198.51.100.7', () => socket.send('x'));
});
async function tries() {
  const found = [];
  for (const host of ['198.51.100.7', '2001:db8:1::7']) {
    for (const port of [80, 443, 8443]) found.push([host, port, await tcp(host, port)]);
  }
  found.push(['127.0.0.1', 80, await tcp('127.0.0.1', 80)]);
  for (const port of [443, 4433]) found.push(['udp', port, await udp(port)]);
  return found;
}
(async () => {
  if (process.argv[1] === 'program') {
    process.stdout.write(JSON.stringify(await tries()));
    return;
  }
  const servers = [createServer((socket) => socket.end('sidecar')), createServer((socket) => socket.end('sidecar')), createServer((socket) => socket.end('web'))];
  servers[0].listen(${PORT}, '127.0.0.1');
  servers[1].listen(${PORT}, '::1');
  servers[2].listen(80, '127.0.0.1');
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const child = spawn(process.execPath, ['-e', process.env.TRIES, 'program'], { uid: ${PROGRAM}, stdio: ['ignore', 'pipe', 'inherit'] });
  const [program] = await Promise.all([child.stdout.setEncoding('utf8').toArray(), once(child, 'close')]);
  console.log(JSON.stringify({ program: JSON.parse(program.join('')), sidecar: await tries() }));
  process.exit(0);
})();
`;

const NETWORK = `set -e
ip link set lo up
ip link add out0 type veth peer name out1
ip addr add 192.0.2.1/24 dev out0
ip -6 addr add 2001:db8::1/64 dev out0 nodad
ip link set out0 up
ip link set out1 up
ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev out0
ip -6 neigh add 2001:db8::2 lladdr 02:00:00:00:00:02 dev out0
ip route add default via 192.0.2.2
ip -6 route add default via 2001:db8::2
`;

/** What keeps these tests from running here; undefined where nothing does. */
function missing(tool: string): string | undefined {
  if (process.getuid?.() !== 0) return 'only root makes namespaces with two users in them';
  if (spawnSync('unshare', ['-n', 'sh', '-c', NETWORK]).status !== 0) return 'no network namespaces here';
  const found = spawnSync('unshare', ['-n', 'sh', '-c', `${tool}`]);
  return found.status === 0 ? undefined : `${tool} does not work here`;
}

describe.each([
  ['nft', ['--nft'], 'nft -f -', 'nft list ruleset'],
  ['iptables', [], '', 'iptables-restore --version && ip6tables-restore --version'],
  ['iptables-legacy', [], '', 'iptables-legacy-restore --version && ip6tables-legacy-restore --version'],
])('the rules of %s', (name, words, given, tool) => {
  test('lead everybody but the sidecar to it, ports 80 and 443 of both families, and refuse QUIC', async (context) => {
    const reason = missing(tool);
    if (reason !== undefined) context.skip(reason);
    const rules = await printed(['--print-rules', '--uid', SIDECAR, ...words], LISTENERS);
    const apply =
      given === ''
        ? `printf %s "$RULES" | ${name}-restore --noflush\nprintf %s "$RULES" | ${name.replace('ip', 'ip6')}-restore --noflush`
        : `printf %s "$RULES" | ${given}\nprintf %s "$RULES" | ${given}`;
    const script = `${NETWORK}${apply}\nexec "$NODE" -e "$TRIES"`;
    const env = { ...process.env, RULES: rules.out, NODE: process.execPath, TRIES };
    const { stdout, stderr } = spawnSync('unshare', ['-n', 'sh', '-c', script], { env, encoding: 'utf8' });
    expect(stderr).toBe('');
    const seen = JSON.parse(stdout) as Record<'program' | 'sidecar', [string, number, string][]>;
    expect(seen.program).toEqual([
      ['198.51.100.7', 80, 'sidecar'],
      ['198.51.100.7', 443, 'sidecar'],
      ['198.51.100.7', 8443, 'nowhere'],
      ['2001:db8:1::7', 80, 'sidecar'],
      ['2001:db8:1::7', 443, 'sidecar'],
      ['2001:db8:1::7', 8443, 'nowhere'],
      ['127.0.0.1', 80, 'web'],
      ['udp', 443, 'refused'],
      ['udp', 4433, 'silence'],
    ]);
    expect(seen.sidecar.map(([, , word]) => word).filter((word) => word === 'sidecar')).toEqual([]);
    expect(seen.sidecar.at(-2)).toEqual(['udp', 443, 'silence']);
  });
});
