import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { onTestFinished } from 'vitest';
import type { Recorder, Seen } from './recorder.ts';

/** Version of the machine's python3; undefined where there is none. */
export const PYTHON: string | undefined =
  spawnSync('python3', ['--version'], { encoding: 'utf8' }).stdout?.trim() || undefined;

const LAST = '/last-of-all';

/** A third pair of eyes, from another family of parsers: python's http.server. */
export async function startPythonRecorder(): Promise<Recorder> {
  const seen: Seen[] = [];
  const child = spawn('python3', [join(import.meta.dirname, 'recorder.py')], { stdio: ['ignore', 'pipe', 'ignore'] });
  onTestFinished(() => void child.kill());
  const lines = createInterface({ input: child.stdout });
  const [first] = (await once(lines, 'line')) as [string];
  const port = Number(first);
  let ended: () => void;
  const last = new Promise<void>((resolve) => (ended = resolve));
  lines.on('line', (line) => {
    const one = JSON.parse(line) as Seen;
    if (one.target === LAST) ended();
    else seen.push(one);
  });
  return {
    port,
    // Lines come in order: once the last request is there, so are those before it.
    seen: async () => {
      const socket = connect(port, '127.0.0.1', () =>
        socket.write(`GET ${LAST} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`),
      );
      await last;
      socket.destroy();
      return seen;
    },
    problems: () => [],
  };
}
