import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { canary } from '../canary.ts';
import { freePorts } from '../process-rig.ts';
import { cephPrograms, type CephPrograms } from './ceph-packages.ts';
import type { Credentials } from './door.ts';

const run = promisify(execFile);
const PATIENCE_MS = 60_000;

/** An object store of Ceph: one monitor, one OSD in memory, one gateway that speaks S3 and verifies signatures. */
export interface RunningRgw {
  readonly url: string;
  readonly credentials: Credentials;
  stop(): Promise<void>;
}

/** Takes 15 to 25 s, or a minute where the packages must be fetched. Errors: `CephMissing`. */
export async function startRgw(): Promise<RunningRgw> {
  const programs = await cephPrograms();
  const [monitor, oldMonitor, gateway] = await freePorts(3);
  const ceph = new Ceph(programs);
  try {
    await ceph.start(monitor!, oldMonitor!, gateway!);
    const credentials = { accessKeyId: 'AKIAREALOFRGW0001', secretAccessKey: canary() };
    await ceph.addUser(credentials);
    return { url: `http://127.0.0.1:${gateway}`, credentials, stop: () => ceph.stop() };
  } catch (error) {
    await ceph.stop();
    throw error;
  }
}

class Ceph {
  readonly #folder = mkdtempSync(join(tmpdir(), 'sl-ceph-'));
  readonly #programs: CephPrograms;
  readonly #daemons: ChildProcess[] = [];

  constructor(programs: CephPrograms) {
    this.#programs = programs;
  }

  async start(monitor: number, oldMonitor: number, gateway: number): Promise<void> {
    const id = randomUUID();
    const addresses = `[v2:127.0.0.1:${monitor},v1:127.0.0.1:${oldMonitor}]`;
    for (const name of ['run', 'log', 'mon', 'osd']) mkdirSync(join(this.#folder, name));
    writeFileSync(join(this.#folder, 'ceph.conf'), this.#settings(id, addresses, gateway));
    await this.#run('monmaptool', '--create', '--fsid', id, '--addv', 'a', addresses, 'run/monmap');
    await this.#run('ceph-mon', '-c', 'ceph.conf', '--mkfs', '-i', 'a', '--monmap', 'run/monmap');
    this.#daemon('ceph-mon', '-i', 'a');
    await this.#until(async () => (await this.#ceph('-s')) !== '');
    const osd = randomUUID();
    await this.#ceph('osd', 'new', osd);
    await this.#run('ceph-osd', '-c', 'ceph.conf', '-i', '0', '--mkfs', '--osd-uuid', osd);
    this.#daemon('ceph-osd', '-i', '0');
    await this.#until(async () => (await this.#ceph('osd', 'stat')).includes('1 up'));
    this.#daemon('radosgw', '-n', 'client.admin');
    await this.#until(async () => (await fetch(`http://127.0.0.1:${gateway}/`)).ok);
  }

  async addUser({ accessKeyId, secretAccessKey }: Credentials): Promise<void> {
    const keys = [`--access-key=${accessKeyId}`, `--secret=${secretAccessKey}`];
    await this.#run('radosgw-admin', '-c', 'ceph.conf', 'user', 'create', '--uid=u', '--display-name=u', ...keys);
  }

  async stop(): Promise<void> {
    const ended = this.#daemons.filter(({ exitCode }) => exitCode === null).map((child) => once(child, 'close'));
    // Nothing of it is to be kept, so nothing needs an orderly end.
    for (const child of this.#daemons) child.kill('SIGKILL');
    await Promise.all(ended);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #ceph(...words: string[]): Promise<string> {
    return this.#run('/usr/bin/python3', join(this.#programs.root, 'usr/bin/ceph'), '-c', 'ceph.conf', ...words);
  }

  async #run(program: string, ...words: string[]): Promise<string> {
    const options = { cwd: this.#folder, env: this.#programs.env, timeout: 20_000 };
    return (await run(program, words, options)).stdout;
  }

  #daemon(program: string, ...words: string[]): void {
    const log = openSync(join(this.#folder, 'log', `${program}.out`), 'w');
    const child = spawn(program, ['-c', 'ceph.conf', ...words, '-f'], {
      cwd: this.#folder,
      env: this.#programs.env,
      stdio: ['ignore', log, log],
    });
    child.on('error', () => undefined);
    this.#daemons.push(child);
    // Also where the tests end before their time.
    process.once('exit', () => child.kill('SIGKILL'));
  }

  async #until(reached: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + PATIENCE_MS;
    while (!(await reached().catch(() => false))) {
      if (Date.now() > end) throw new Error('Ceph did not start in time');
      await pause(200);
    }
  }

  #settings(id: string, addresses: string, gateway: number): string {
    const { root } = this.#programs;
    const folder = this.#folder;
    return `[global]
fsid = ${id}
mon host = ${addresses}
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd crush chooseleaf type = 0
mon allow pool size one = true
mon data avail warn = 1
mon data avail crit = 1
run dir = ${folder}/run
log file = ${folder}/log/$name.log
admin socket = ${folder}/run/$name.$pid.asok
plugin dir = ${root}/usr/lib/x86_64-linux-gnu/ceph
erasure code dir = ${root}/usr/lib/x86_64-linux-gnu/ceph/erasure-code
osd class dir = ${root}/usr/lib/x86_64-linux-gnu/rados-classes
mon data = ${folder}/mon
osd data = ${folder}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd max object name len = 256
osd max object namespace len = 64
[client.admin]
rgw frontends = beast endpoint=127.0.0.1:${gateway}
`;
  }
}
