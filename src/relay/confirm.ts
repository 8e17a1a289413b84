import { spawn, type ChildProcess } from 'node:child_process';

/** What a program needs that asks a person, on a terminal's display or a desktop's. Nothing else is passed on. */
const PASSED = ['PATH', 'HOME', 'LANG', 'TMPDIR', 'DISPLAY', 'WAYLAND_DISPLAY', 'XAUTHORITY', 'XDG_RUNTIME_DIR'];
const DESKTOP = ['DBUS_SESSION_BUS_ADDRESS'];
const QUESTION_CHARACTERS_MAX = 1000;
/** Characters that could make a question look like another, or end it early. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+/gu;

export interface Question {
  /** And its first arguments; no shell reads them. */
  readonly program: readonly string[];
  readonly question: string;
  readonly seconds: number;
}

/** A program that could not be run at all. */
export class CannotAsk extends Error {}

/**
 * Runs a program that asks a person, as OpenSSH runs an askpass with `SSH_ASKPASS_PROMPT=confirm`: true where it ends
 * with status 0 in time. It leads a process group of its own, which is killed when the time is over or `signal` aborts.
 * Errors: `CannotAsk`.
 */
export function confirm({ program, question, seconds }: Question, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  return new Promise((resolve, reject) => {
    const [name = '', ...first] = program;
    let child: ChildProcess;
    try {
      child = spawn(name, [...first, question.slice(0, QUESTION_CHARACTERS_MAX).replace(UNSEEN, ' ')], {
        env: environment(),
        stdio: 'ignore',
        detached: true,
        shell: false,
      });
    } catch (cause) {
      reject(new CannotAsk('the program cannot be run', { cause }));
      return;
    }
    const settle = (act: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', giveUp);
      act();
    };
    const giveUp = (): void => {
      killGroup(child);
      settle(() => resolve(false));
    };
    const timer = setTimeout(giveUp, seconds * 1000);
    signal.addEventListener('abort', giveUp);
    child.once('error', (cause) => settle(() => reject(new CannotAsk('the program cannot be run', { cause }))));
    child.once('exit', (code) => settle(() => resolve(code === 0)));
  });
}

function environment(): Record<string, string> {
  const passed: Record<string, string> = { SSH_ASKPASS_PROMPT: 'confirm' };
  for (const name of [...PASSED, ...DESKTOP]) {
    const value = process.env[name];
    if (value !== undefined) passed[name] = value;
  }
  return passed;
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: the whole group has ended by itself.
  }
}
