import { createHash } from 'node:crypto';
import { expect } from 'vitest';
import type { Case } from '../compare.ts';
import type { Place, Ran } from '../place.ts';

export function sha256(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function brief({ code, out, err }: Ran): readonly unknown[] {
  return [code, out, err];
}

const ENDS: readonly Case[] = [
  ...[0, 1, 42, 126, 255].map((status): Case => [
    `ends with the exit status ${status} of the command`,
    async (place) => brief(await place.ssh(['host', `echo out; echo err >&2; exit ${status}`])),
    [status, 'out\n', 'err\n'],
  ]),
  ...['TERM', 'KILL', 'SEGV'].map((signal): Case => [
    `ends as a command that dies of ${signal}`,
    async (place) => brief(await place.ssh(['host', `ulimit -c 0; kill -${signal} $$`])),
    [255, '', ''],
  ]),
  [
    'keeps an exit status that comes after the end of both streams',
    async (place) => brief(await place.ssh(['host', 'exec >&- 2>&-; sleep .3; exit 4'])),
    [4, '', ''],
  ],
  [
    'runs a command with no input (-n) while its own is open',
    async (place) => brief(await place.ssh(['-n', 'host', 'cat; echo over'], { leaveOpen: true })),
    [0, 'over\n', ''],
  ],
  [
    'gives the command the end of its input, and takes its output after that',
    async (place) =>
      brief(await place.ssh(['host', 'wc -c; sleep .2; echo after'], { input: Buffer.alloc(3_000_000) })),
    [0, '3000000\nafter\n', ''],
  ],
  [
    'sends input that is there before the command',
    async (place) => brief(await place.run('sh', ['-c', 'echo early | ssh -F "$0" host cat', place.config])),
    [0, 'early\n', ''],
  ],
  [
    'says what a command that is not there says',
    async (place) => brief(await place.ssh(['host', '/nowhere/program'])),
    [127, '', expect.stringContaining('/nowhere/program: No such file or directory')],
  ],
  [
    'leaves a program running that lets go of its streams',
    async (place) => brief(await place.ssh(['host', 'sleep 1 >/dev/null 2>&1 </dev/null & echo away'])),
    [0, 'away\n', ''],
  ],
];

/** Both streams, each a file of 30 MB: in turns, and one after the other. */
async function bothStreams(place: Place, how: 'at once' | 'in turn'): Promise<unknown> {
  const file = place.remote;
  const then = how === 'at once' ? '&' : ';';
  const script = `head -c 30000000 /dev/urandom > ${file}; sha256sum < ${file} > ${file}.sum; cat ${file} ${then} cat ${file} >&2; wait`;
  const command = 'ssh -F "$0" host "$1" 2>err | sha256sum; sha256sum < err';
  const printed = await place.succeed('sh', ['-c', command, place.config, script]);
  const wanted = await place.succeed('ssh', ['-F', place.config, 'host', `cat ${file}.sum; rm ${file} ${file}.sum`]);
  return printed === wanted + wanted;
}

const STREAMS: readonly Case[] = [
  [
    'loses no line of stderr while a slow reader holds stdout up',
    async (place) => {
      const make = `mkdir ${place.remote}; cd ${place.remote}; head -c 30000000 /dev/zero | split -b 20000 -a 3 -`;
      await place.succeed('ssh', ['-F', place.config, 'host', make]);
      const slow = 'ssh -F "$0" host "cd $1 && tar cvf - ." 2>err | (sleep 2; tar tf - | wc -l); wc -l < err';
      return place.succeed('sh', ['-c', slow, place.config, place.remote]);
    },
    '1501\n1501\n',
  ],
  ['carries 30 MB on each stream at the same time', (place) => bothStreams(place, 'at once'), true],
  ['carries 30 MB on each stream, one after the other', (place) => bothStreams(place, 'in turn'), true],
  [
    'ends when the command has read enough of 50 MB',
    async (place) => {
      const command = 'head -c 50000000 /dev/zero | ssh -F "$0" host "head -c 10 | wc -c"';
      return brief(await place.run('bash', ['-c', `${command}; echo "\${PIPESTATUS[1]}"`, place.config]));
    },
    [0, '10\n0\n', ''],
  ],
  [
    'ends a command that writes without end when its reader goes away',
    async (place) => brief(await place.run('bash', ['-c', 'ssh -F "$0" host yes | head -1', place.config])),
    [0, 'y\n', ''],
  ],
  [
    'ends a pipe on the far side',
    async (place) => brief(await place.ssh(['host', 'yes | head -1; echo "${PIPESTATUS[0]}"'])),
    [0, 'y\n141\n', ''],
  ],
  [
    'carries 200 MB each way with new keys every 8 MB',
    async (place) => {
      const source = 'openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 -in /dev/zero 2>/dev/null | head -c 200000000';
      const command = `${source} | tee >(sha256sum >&2) | ssh -F "$0" -o RekeyLimit=8M host cat | sha256sum`;
      const { out, err } = await place.run('bash', ['-c', command, place.config], { seconds: 120 });
      return out.length === 68 && out === err;
    },
    true,
  ],
];

const COMMANDS: readonly Case[] = [
  ...[60_000, 120_000].map((length): Case => [
    `runs a command of ${length} bytes`,
    async (place) => brief(await place.ssh(['host', `: '${'a'.repeat(length)}'; echo whole`])),
    [0, 'whole\n', ''],
  ]),
  [
    'leaves a byte of a command alone that is not UTF-8',
    async (place) => {
      // A shell puts the byte together: Node gives programs UTF-8 only.
      const command = `exec ssh -F "$0" host "printf '$(printf '\\351')' | od -An -tx1"`;
      return (await place.succeed('sh', ['-c', command, place.config])).trim();
    },
    'e9',
  ],
  [
    'leaves quotes, line ends and other characters of a shell alone',
    async (place) => brief(await place.ssh(['host', `printf '%s|' 'a  b' "$((1+2))" 'ü\n€' '\\'"'" '*'`])),
    [0, Buffer.from("a  b|3|ü\n€|\\'|*|").toString('latin1'), ''],
  ],
  [
    'passes variables that a client may send',
    async (place) => {
      const send = ['-o', 'SendEnv=LC_TEST', '-o', 'SendEnv=GIT_PROTOCOL'];
      const env = { LC_TEST: 'a', GIT_PROTOCOL: 'version=2' };
      return brief(await place.ssh([...send, 'host', 'echo $LC_TEST,$GIT_PROTOCOL'], { env }));
    },
    [0, 'a,version=2\n', ''],
  ],
  [
    'runs a shell that reads its commands',
    async (place) => brief(await place.ssh(['-T', 'host'], { input: 'echo from the shell\nexit 7\n' })),
    [7, 'from the shell\n', ''],
  ],
];

/** A program at a terminal, led by expect. */
function expectScript(place: Place, script: string): Promise<Ran> {
  const file = place.file('script.exp', `set timeout 20\nset config {${place.config}}\n${script}`);
  return place.run('expect', ['-f', file], { env: { TERM: 'vt220' } });
}

const TERMINALS: readonly Case[] = [
  [
    'gives a terminal the modes and the size that the client has',
    async (place) => {
      const start =
        'spawn -noecho ssh -tt -F $config host "stty -a; echo \\$TERM"\nstty rows 33 columns 99 < $spawn_out(slave,name)';
      return (await expectScript(place, `log_user 0\n${spawned(start)}\nlog_user 1\nexpect eof`)).out;
    },
    expect.stringMatching(/rows 33; columns 99;[^]*erase = \^\?[^]* icanon [^]*vt220/),
  ],
  [
    'tells the far side that the window has another size',
    async (place) => {
      const script = `spawn -noecho ssh -tt -F $config host "trap 'stty size; exit 3' WINCH; echo ready; while :; do sleep .05; done"
expect "ready"
stty rows 41 columns 77 < $spawn_out(slave,name)
expect eof
lassign [wait] pid id os status
exit $status`;
      const { code, out } = await expectScript(place, script);
      return [code, out.includes('41 77')];
    },
    [3, true],
  ],
  [
    'ends a program by the key that interrupts',
    async (place) => {
      const script = `spawn -noecho ssh -tt -F $config host "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep .05; done"
expect "ready"
send "\\003"
expect eof
lassign [wait] pid id os status
exit $status`;
      const { code, out } = await expectScript(place, script);
      return [code, out.includes('caught')];
    },
    [5, true],
  ],
  [
    'is a shell at a terminal',
    async (place) => {
      const script = `spawn -noecho ssh -tt -F $config host
send "PS1=; tty | sed 's/\\[0-9]*$//'; exit 9\\r"
expect eof
lassign [wait] pid id os status
exit $status`;
      const { code, out } = await expectScript(place, script);
      return [code, out.includes('/dev/pts/\r\n')];
    },
    [9, true],
  ],
];

/** The size must be there before the program looks: a shell waits for it. */
function spawned(start: string): string {
  return start.replace('spawn -noecho ssh', 'spawn -noecho sh -c {sleep .2; exec "$@"} sh ssh');
}

export const EXEC_CASES: readonly Case[] = [...ENDS, ...COMMANDS, ...TERMINALS];
export const STREAM_CASES: readonly Case[] = STREAMS;
