import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { keepArtefact } from '../../canary.ts';
import { DUMMY, type Door } from '../door.ts';

/** A folder and an environment for programs that go through one door; the environment holds what the door gives. */
export class ToolPlace {
  readonly door: Door;
  readonly folder = mkdtempSync(join(tmpdir(), 'sl-aws-'));

  constructor(door: Door) {
    this.door = door;
  }

  /** Path of a new file. */
  file(name: string, content: string | Uint8Array): string {
    const path = join(this.folder, name);
    writeFileSync(path, content);
    return path;
  }

  /** What a program printed. Errors: what it complained of, where it fails. */
  async run(program: string, args: readonly string[], input = ''): Promise<string> {
    const child = spawn(program, args, { env: this.#environment(), cwd: this.folder, stdio: 'pipe' });
    child.stdin.on('error', () => undefined).end(input);
    const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    // Signed URLs show the session token of whoever signs them.
    if (this.door.credentials.accessKeyId === DUMMY.accessKeyId) keepArtefact('tool', `${out}\n${err}`);
    if (code === 0) return out;
    throw new Error(`${program} ended with ${String(code)}: ${err.slice(-1500)}${out.slice(-500)}`);
  }

  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #environment(): NodeJS.ProcessEnv {
    const { credentials, region } = this.door;
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
    return {
      PATH: process.env['PATH'],
      HOME: this.folder,
      LC_ALL: 'C.UTF-8',
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      ...(sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: sessionToken }),
      AWS_REGION: region,
      AWS_DEFAULT_REGION: region,
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONFIG_FILE: join(this.folder, 'none'),
      AWS_SHARED_CREDENTIALS_FILE: join(this.folder, 'none'),
    };
  }
}

/** Path of a program; undefined where it is not installed. Debian's own comes before any other. */
export function programPath(name: string): string | undefined {
  const folders = ['/usr/bin', ...(process.env['PATH'] ?? '').split(delimiter)];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** Pythons that have boto3, by its version: Debian's, and whichever comes first in the path. */
export function pythonsWithBoto(): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const python of ['/usr/bin/python3', 'python3']) {
    const asked = spawnSync(python, ['-c', 'import boto3; print(boto3.__version__)'], { encoding: 'utf8' });
    const version = asked.status === 0 ? asked.stdout.trim() : '';
    if (version !== '' && !found.has(version)) found.set(version, python);
  }
  return found;
}
