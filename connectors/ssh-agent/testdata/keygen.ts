import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** OpenSSH's own tool, the judge of what a key is. */
export const hasKeygen = existsSync('/usr/bin/ssh-keygen');

export interface MadeKey {
  readonly path: string;
  readonly text: Buffer;
  /** `type base64` of the public half. */
  readonly line: string;
  readonly blob: Buffer;
}

/** A folder of throw-away keys; gone when `remove` is called. */
export class KeyFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'ssh-agent-keys-'));
  #made = 0;

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  run(...args: readonly string[]): string {
    return execFileSync('/usr/bin/ssh-keygen', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /** `type`: what `-t` and `-b` say, `ecdsa 384`. */
  make(type: string, passphrase = '', ...more: readonly string[]): MadeKey {
    const [name = '', bits] = type.split(' ');
    const path = join(this.path, `key-${(this.#made += 1)}`);
    const size = bits === undefined ? [] : ['-b', bits];
    this.run('-q', '-t', name, ...size, '-N', passphrase, '-C', 'made for a test', '-f', path, ...more);
    return this.read(path);
  }

  read(path: string): MadeKey {
    const [word = '', base64 = ''] = readFileSync(`${path}.pub`, 'utf8').split(' ');
    return { path, text: readFileSync(path), line: `${word} ${base64.trim()}`, blob: Buffer.from(base64, 'base64') };
  }
  textOf(path: string): string {
    return readFileSync(path, 'utf8');
  }

  blobOf(line: string): Buffer {
    return Buffer.from(line.split(' ')[1] ?? '', 'base64');
  }
}
