import { spawn, type ChildProcess } from 'node:child_process';
import { Secret } from '../credential/secret.ts';
import { SidecarError } from '../error.ts';
import { printable } from './tool-words.ts';

export interface ToolCall {
  /** Program and arguments; no shell reads them. */
  readonly argv: readonly string[];
  /** The whole environment of the tool. */
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutSeconds: number;
  /** Bytes that the tool may print. */
  readonly outputBytes: number;
  /** What to do where the tool is missing. */
  readonly install?: string;
}

export interface ToolResult {
  /** Undefined where a signal ended it. */
  readonly exitCode: number | undefined;
  readonly output: Secret;
  /** What it complained of, fit for `detail`: one short line without any of its output, arguments or own variables. */
  readonly complaint: string;
}

/** Variables that every tool gets. */
const ALWAYS_PASSED = ['PATH', 'HOME', 'LANG', 'TMPDIR'];
/** For a process that a tool leaves behind and that keeps its output open, such as an agent. */
const LINGER_MILLISECONDS = 250;

/** The few variables that a tool needs and those named, from the environment of this process. */
export function toolEnvironment(names: readonly string[]): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const name of [...ALWAYS_PASSED, ...names]) {
    const value = process.env[name];
    if (value !== undefined) passed[name] = value;
  }
  return passed;
}

/**
 * Runs a tool to its end. Its stdin is empty; it leads a process group of its own, so that a timeout or an abort also
 * ends what it started.
 *
 * Errors: `provider-tool-missing`; `credential-timeout`; `credential-unavailable` where it cannot be run or prints too
 * much; the reason of `signal`. A result with an exit code other than 0 is not an error here.
 */
export function runTool(call: ToolCall, signal: AbortSignal): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const run = new ToolRun(call, signal, resolve, reject);
    run.begin();
  });
}

class ToolRun {
  readonly #call: ToolCall;
  readonly #signal: AbortSignal;
  readonly #resolve: (result: ToolResult) => void;
  readonly #reject: (error: Error) => void;
  readonly #output: Buffer[] = [];
  readonly #complaints: Buffer[] = [];
  #outputBytes = 0;
  #complaintBytes = 0;
  #child: ChildProcess | undefined;
  #exitCode: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(
    call: ToolCall,
    signal: AbortSignal,
    resolve: (result: ToolResult) => void,
    reject: (error: Error) => void,
  ) {
    this.#call = call;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  begin(): void {
    const { argv, environment, timeoutSeconds } = this.#call;
    let child: ChildProcess;
    try {
      child = spawn(argv[0]!, argv.slice(1), {
        env: environment,
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
        shell: false,
      });
    } catch (thrown) {
      return this.#fail(this.#cannotRun(thrown));
    }
    this.#child = child;
    this.#signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#timer = setTimeout(() => {
      this.#fail(new SidecarError('credential-timeout', { detail: `the tool did not end within ${timeoutSeconds} s` }));
    }, timeoutSeconds * 1000);
    child.on('error', (error) => this.#fail(this.#cannotRun(error)));
    child.on('exit', (code) => this.#exited(code));
    child.on('close', () => this.#finish());
    // Absent where the process has run out of file descriptors; `error` follows.
    child.stdout?.on('data', (chunk: Buffer) => this.#take(chunk));
    child.stderr?.on('data', (chunk: Buffer) => this.#takeComplaint(chunk));
  }

  readonly #onAbort = (): void => {
    const { reason } = this.#signal as { reason: unknown };
    this.#fail(reason instanceof Error ? reason : new DOMException('the wait was aborted', 'AbortError'));
  };

  #take(chunk: Buffer): void {
    this.#output.push(chunk);
    this.#outputBytes += chunk.length;
    if (this.#outputBytes <= this.#call.outputBytes) return;
    const detail = `the tool printed more than ${this.#call.outputBytes} bytes`;
    this.#fail(new SidecarError('credential-unavailable', { detail }));
  }

  #takeComplaint(chunk: Buffer): void {
    // Enough that a secret which begins in the part that is shown is here whole, and so is recognised.
    if (this.#complaintBytes > 2 * this.#call.outputBytes) return;
    this.#complaints.push(chunk);
    this.#complaintBytes += chunk.length;
  }

  #exited(code: number | null): void {
    this.#exitCode = code ?? undefined;
    if (this.#over) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#finish(), LINGER_MILLISECONDS);
  }

  #finish(): void {
    if (this.#over) return;
    const whole = Buffer.concat(this.#output);
    const output = new Secret(withoutNewline(whole));
    const complaint = this.#exitCode === 0 ? '' : this.#complaint(whole.toString());
    whole.fill(0);
    this.#end();
    this.#resolve({ exitCode: this.#exitCode, output, complaint });
  }

  #complaint(output: string): string {
    const { argv, environment } = this.#call;
    const passed = Object.entries(environment).flatMap(([name, value]) => (ALWAYS_PASSED.includes(name) ? [] : value));
    return printable(Buffer.concat(this.#complaints).toString(), output, [...argv.slice(1), ...passed]);
  }

  #fail(error: Error): void {
    if (this.#over) return;
    this.#killGroup();
    this.#end();
    this.#reject(error);
  }

  #end(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#signal.removeEventListener('abort', this.#onAbort);
    for (const chunk of [...this.#output, ...this.#complaints]) chunk.fill(0);
    this.#child?.stdout?.destroy();
    this.#child?.stderr?.destroy();
  }

  #killGroup(): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // ESRCH: the whole group has ended by itself.
    }
  }

  #cannotRun(thrown: unknown): SidecarError {
    const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : 'unknown error';
    const [program = ''] = this.#call.argv;
    // An assignment that only a shell would take for one may hold a secret.
    const tool = program.includes('=') ? 'the tool' : JSON.stringify(program);
    if (code !== 'ENOENT') {
      return new SidecarError('credential-unavailable', { detail: `${tool} cannot be run (${code})` });
    }
    const install = this.#call.install === undefined ? '' : `; ${this.#call.install}`;
    return new SidecarError('provider-tool-missing', { detail: `${tool} was not found${install}` });
  }
}

function withoutNewline(bytes: Buffer): Buffer {
  let end = bytes.length;
  if (end > 0 && bytes[end - 1] === 0x0a) end -= 1;
  if (end > 0 && end < bytes.length && bytes[end - 1] === 0x0d) end -= 1;
  return bytes.subarray(0, end);
}
