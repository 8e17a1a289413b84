import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Image } from './build.ts';
import { Container, makeVolumes, ONE_SERVICE, userOf } from './run.ts';
import type { Finding } from './trial.ts';

/** What a process of the same user id may try. Each is a program text of perl that ends with 0 where it got in. */
const ATTEMPTS: Readonly<Record<string, string>> = {
  // The first mapping is the program itself, which holds nothing: whoever opens this file can read the heap as well.
  memory: 'open(my $f, "<", "/proc/$ARGV[0]/mem") or exit 1; exit 0',
  environment:
    'open(my $f, "<", "/proc/$ARGV[0]/environ") or exit 1; my $read = read($f, my $b, 64); exit($read ? 0 : 1)',
  'map of its memory':
    'open(my $f, "<", "/proc/$ARGV[0]/maps") or exit 1; my $line = <$f>; exit(defined $line ? 0 : 1)',
  'open files': 'opendir(my $d, "/proc/$ARGV[0]/fd") or exit 1; exit 0',
  // PTRACE_SEIZE, which does not stop it; its number is the same everywhere, that of ptrace is not.
  threads: 'exit(syscall((POSIX::uname())[4] eq "x86_64" ? 101 : 117, 0x4206, $ARGV[0] + 0, 0, 0) == 0 ? 0 : 1)',
};

/** The names of what a neighbour of this user gets at. */
export function readable(pid: number, uid: number, gid: number): string[] {
  return Object.keys(ATTEMPTS).filter((name) => {
    const { status, error } = spawnSync('perl', ['-MPOSIX', '-e', ATTEMPTS[name]!, String(pid)], {
      uid,
      gid,
      cwd: '/',
      env: {},
    });
    if (error !== undefined) throw error;
    return status === 0;
  });
}

/** Beside the sidecar, as another container that shares its process namespace and its user. */
export async function tryNeighbour(image: Image, scratch: string): Promise<Finding[]> {
  const [uid, gid] = userOf(image);
  const volumes = makeVolumes(image, mkdtempSync(join(scratch, 'neighbour-')));
  writeFileSync(join(volumes.config, 'secretless.yml'), ONE_SERVICE);
  const sidecar = new Container({ image, volumes, env: { TOKEN: 'of-nobody' } });
  await sidecar.readyMs();
  const got = readable(sidecar.pid(), uid, gid);
  const status = readFileSync(`/proc/${sidecar.pid()}/status`, 'latin1');
  await sidecar.end();
  const control = spawn('sleep', ['60'], { uid, gid, cwd: '/', stdio: 'ignore' });
  await once(control, 'spawn');
  const open = readable(control.pid!, uid, gid);
  control.kill();
  return [
    {
      what: `a neighbour of the same user gets at nothing of it${got.map((name) => ` (${name})`).join('')}`,
      holds: got.length === 0,
    },
    {
      what: 'a program that can be read is open to that neighbour',
      holds: open.includes('memory') && open.includes('threads'),
    },
    {
      what: 'it has no capability and gets none',
      holds:
        ['Prm', 'Eff', 'Bnd', 'Inh', 'Amb'].every((set) => status.includes(`Cap${set}:\t0000000000000000`)) &&
        status.includes('NoNewPrivs:\t1') &&
        status.includes('Seccomp:\t2'),
    },
  ];
}
