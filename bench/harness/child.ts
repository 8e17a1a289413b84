import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { CpuSet } from './cpu.ts';
import type { User } from './user.ts';

export interface ChildOptions {
  readonly cpus: CpuSet;
  readonly env?: NodeJS.ProcessEnv;
  /** With an `ipc` channel the child can be asked; without, it only runs. */
  readonly ipc?: boolean;
  /** The user it becomes, where this process may choose; absent: the same as this one. */
  readonly user?: User | undefined;
}

/** A process of this bench on its own processors. What it prints is kept, to tell why it failed. */
export class Child {
  readonly #process: ChildProcess;
  #said = '';

  constructor(command: string, words: readonly string[], { cpus, env, ipc = false, user }: ChildOptions) {
    const [file, ...rest] = [...cpus.prefix, command, ...words];
    this.#process = spawn(file!, rest, {
      env: env ?? process.env,
      ...user,
      stdio: ['ignore', 'ignore', 'pipe', ...(ipc ? (['ipc'] as const) : [])],
    });
    this.#process.on('error', (error) => (this.#said += error.message));
    this.#process
      .stderr!.setEncoding('utf8')
      .on('data', (text: string) => (this.#said = (this.#said + text).slice(-4000)));
  }

  /** `taskset` becomes the command it starts, so this is the process to measure. */
  get pid(): number {
    return this.#process.pid!;
  }

  get ended(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  /** The end of what it wrote to standard error. */
  get said(): string {
    return this.#said;
  }

  /** The next message of the child. Throws where it ends instead. */
  async next<Message>(): Promise<Message> {
    const stop = new AbortController();
    const { signal } = stop;
    const ended = once(this.#process, 'exit', { signal }).then(() => this.#failed('ended'));
    const erred = once(this.#process, 'message', { signal });
    try {
      const [message] = (await Promise.race([erred, ended])) as [Message];
      return message;
    } finally {
      stop.abort();
      await Promise.allSettled([ended, erred]);
    }
  }

  async ask<Answer>(question: object): Promise<Answer> {
    const answer = this.next<Answer | { readonly failed: string }>();
    this.#process.send(question);
    const message = await answer;
    if (typeof message === 'object' && message !== null && 'failed' in message) throw this.#error(message.failed);
    return message;
  }

  async close(signal: 'SIGTERM' | 'SIGINT' = 'SIGTERM'): Promise<void> {
    if (this.ended || this.#process.pid === undefined) return;
    const exit = once(this.#process, 'exit');
    this.#process.kill(signal);
    const timer = setTimeout(() => this.#process.kill('SIGKILL'), 5_000);
    await exit;
    clearTimeout(timer);
  }

  #failed(how: string): never {
    throw this.#error(how);
  }

  #error(how: string): Error {
    return new Error(`${this.#process.spawnargs.join(' ')}: ${how}\n${this.#said}`);
  }
}
