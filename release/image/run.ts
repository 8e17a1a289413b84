import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Image } from './build.ts';
import { confined, type Bind } from './confine.ts';

/** A configuration with one service, whose token is in the variable TOKEN. Nobody answers upstream. */
export const ONE_SERVICE = `version: '2'
services:
  api:
    connector: http
    listenOn: unix:///run/secretless/api.sock
    target: http://127.0.0.1:1
    credentials: { token: { from: env, get: TOKEN } }
    config: { headers: { Authorization: 'Bearer {{ .token }}' } }
`;

/** As a pod mounts them: what the image writes, and what it is told. Folders of this machine. */
export interface Volumes {
  readonly state: string;
  readonly share: string;
  /** Holds `secretless.yml`. */
  readonly config: string;
}

export function makeVolumes(image: Image, folder: string): Volumes {
  const [uid, gid] = userOf(image);
  const volumes = { state: join(folder, 'state'), share: join(folder, 'share'), config: join(folder, 'config') };
  for (const path of Object.values(volumes)) mkdirSync(path, { recursive: true });
  for (const path of [volumes.state, volumes.share]) chownSync(path, uid, gid);
  return volumes;
}

export function userOf({ user }: Image): [uid: number, gid: number] {
  const [uid, gid] = user.split(':').map(Number);
  return [uid!, gid!];
}

export interface RunOptions {
  readonly image: Image;
  readonly volumes: Volumes;
  /** After the entry point; default: those of the image. */
  readonly words?: readonly string[];
  /** Beyond those of the image. */
  readonly env?: Readonly<Record<string, string>>;
  /** More folders that are shown, below /tmp. */
  readonly shown?: readonly Bind[];
}

/** The image as a pod of the restricted profile runs it: what it prints is kept. */
export class Container {
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;
  #said = '';

  constructor({ image, volumes, words = image.command, env = {}, shown = [] }: RunOptions) {
    const [uid, gid] = userOf(image);
    const [program, ...argv] = confined([...image.entrypoint, ...words], {
      root: image.root,
      user: { uid, gid },
      folder: image.folder,
      hardened: true,
      empty: ['/tmp'],
      binds: [
        { from: volumes.state, to: '/var/lib/secretless', readOnly: false },
        { from: volumes.share, to: '/run/secretless', readOnly: false },
        { from: volumes.config, to: '/etc/secretless', readOnly: true },
        ...shown,
      ],
    });
    this.#child = spawn(program!, argv, {
      env: { ...Object.fromEntries(image.env), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child.stderr!.setEncoding('utf8').on('data', (chunk: string) => (this.#said += chunk));
    this.ended = once(this.#child, 'close').then(([code]) => code as number | null);
  }

  /** Standard error so far. */
  said(): string {
    return this.#said;
  }

  /** Standard output, to its end. */
  printed(): Promise<string> {
    return text(this.#child.stdout!);
  }

  /** Process 1 of the container, as this machine counts. */
  pid(): number {
    const { pid } = this.#child;
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim().split(' ')[0]);
  }

  /** Milliseconds from the exec of the program to its line `ready`. Rejects where it ends before. */
  async readyMs(): Promise<number> {
    this.#child.stdout!.resume();
    while (!this.#said.includes('"message":"ready"')) {
      const ended = await Promise.race([
        this.ended.then(() => true),
        once(this.#child.stderr!, 'data').then(() => false),
      ]);
      if (ended) throw new Error(`it did not start:\n${this.#said}`);
    }
    const readyAt = performance.timeOrigin + performance.now();
    return readyAt - Number(/^exec (\d+\.\d+)$/m.exec(this.#said)?.[1]);
  }

  /** Signals process 1 and waits. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.#child.exitCode === null) process.kill(this.pid(), signal);
    return this.ended;
  }
}
