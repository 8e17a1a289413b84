import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

/** Passed on to the child as they come. */
const FORWARDED = ['SIGTERM', 'SIGHUP', 'SIGCONT', 'SIGUSR1', 'SIGUSR2'] as const;
/** As those, but a terminal gives them to its whole foreground group, and so to the child without our help. */
const FROM_TERMINAL = ['SIGINT', 'SIGQUIT', 'SIGWINCH'] as const;

/** What env(1) and shells return for a program that is not there, and for one that cannot be run. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

export interface ChildOptions {
  readonly words: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Asks the child to end. */
  readonly signal?: AbortSignal;
  /** Where it is told that the program could not be started. */
  readonly warn: (text: string) => void;
}

/**
 * Runs a program on this terminal, in this process group, and returns its exit code: 128 and the number of the signal
 * where one ended it. Signals of ours are the child's.
 */
export function runChild({ words, env, signal, warn }: ChildOptions): Promise<number> {
  const [program = '', ...args] = words;
  return new Promise((resolve) => {
    const child = spawn(program, args, { env, stdio: 'inherit' });
    const unhook = hookSignals(child);
    const end = (): void => void child.kill('SIGTERM');
    if (signal?.aborted === true) end();
    signal?.addEventListener('abort', end, { once: true });
    const done = (code: number): void => {
      unhook();
      signal?.removeEventListener('abort', end);
      resolve(code);
    };
    child.once('error', (error: NodeJS.ErrnoException) => {
      // A signal that could not be sent is no end.
      if (child.pid !== undefined) return;
      warn(`${program}: ${error.code === 'ENOENT' ? 'not found' : `cannot be run (${error.code ?? error.message})`}`);
      done(error.code === 'ENOENT' ? NOT_FOUND : NOT_EXECUTABLE);
    });
    child.once('exit', (code, by) => done(code ?? 128 + (by === null ? 0 : constants.signals[by])));
  });
}

function hookSignals(child: ChildProcess): () => void {
  const hooks: [NodeJS.Signals, () => void][] = [
    ...FORWARDED.map((signal) => [signal, () => void child.kill(signal)] as [NodeJS.Signals, () => void]),
    ...FROM_TERMINAL.map(
      (signal) => [signal, () => void (inForeground() || child.kill(signal))] as [NodeJS.Signals, () => void],
    ),
    [
      'SIGTSTP',
      () => {
        if (!inForeground()) child.kill('SIGTSTP');
        stopOnce();
      },
    ],
  ];
  for (const [signal, hook] of hooks) process.on(signal, hook);
  return () => {
    for (const [signal, hook] of hooks) process.off(signal, hook);
  };
}

/** Time for the signal to stop this process, and for nothing else. */
const STOP_MS = 20;

/**
 * What the signal does where nobody handles it: a shell sees a stopped job, and continues the whole group; in a group that
 * no shell watches nothing happens, to the child neither (POSIX, "Signal Concepts").
 */
function stopOnce(): void {
  const handlers = process.listeners('SIGTSTP');
  process.removeAllListeners('SIGTSTP');
  process.kill(process.pid, 'SIGTSTP');
  setTimeout(() => handlers.forEach((handler) => process.on('SIGTSTP', handler)), STOP_MS);
}

/** Whether a terminal sends its signals to this process group, of which the child is. */
function inForeground(): boolean {
  try {
    // proc(5): after the name in brackets come state, ppid, pgrp, session, tty_nr, tpgid.
    const stat = readFileSync('/proc/self/stat', 'latin1');
    const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return group === foreground;
  } catch {
    return process.stdin.isTTY || process.stderr.isTTY;
  }
}
