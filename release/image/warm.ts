import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, readdirSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/**
 * Compiles ahead what the image runs: `warm.ts APP FOLDER` lets the program in APP do what it will do, with the flags
 * that this process has, and Node keeps the compiled code in FOLDER. A step of the Dockerfile; it needs no network.
 */
const [app, folder] = process.argv.slice(2);
if (app === undefined || folder === undefined) throw new Error('where is the app, and where shall it be kept?');
const script = join(app, 'dist/src/cli/secretless.js');
const file = join(import.meta.dirname, 'warm.yml');
const { privateKey } = generateKeyPairSync('ed25519');
/** Of nobody: it opens nothing. */
const WARM = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const env = { ...process.env, NODE_COMPILE_CACHE: folder, SECRETLESS_HOME: '/var/lib/secretless', WARM };
const PATIENCE_MS = 120_000;

const sidecar = spawn(process.execPath, [...process.execArgv, script, 'start', '-f', file], {
  env,
  stdio: ['ignore', 'inherit', 'pipe'],
});
const ready = await readyLine(sidecar);
await Promise.all(
  ['readyz', 'livez', 'metrics'].map((path) => ask(`${ready.telemetry.replace('tcp:', 'http:')}/${path}`)),
);
// Its upstream cannot be reached: all that leads there is compiled, the answer is 502.
await ask('http://localhost/', '/var/lib/secretless/api.sock');
for (const words of [['wait-ready'], ['status'], ['check', '-f', file], ['version'], ['help']]) run(words);
sidecar.kill('SIGTERM');
const [code] = (await once(sidecar, 'close')) as [number | null];
if (code !== 0) throw new Error(`the sidecar ended with ${code}`);
// Node keeps it for its user alone. In the image it is root's, and that user must read it and not write it.
for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
  chmodSync(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o555 : 0o444);
}
chmodSync(folder, 0o555);

interface Ready {
  readonly message: string;
  readonly telemetry: string;
}

/** Rejects where the sidecar ends before it is ready, or takes too long. */
async function readyLine(child: ChildProcess): Promise<Ready> {
  const late = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  let said = '';
  for await (const line of createInterface({ input: child.stderr! })) {
    said += `${line}\n`;
    const parsed = line.startsWith('{') ? (JSON.parse(line) as Ready) : undefined;
    if (parsed?.message !== 'ready') continue;
    clearTimeout(late);
    child.stderr!.resume();
    return parsed;
  }
  throw new Error(`the sidecar did not start:\n${said}`);
}

function ask(url: string, socketPath?: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = request(url, socketPath === undefined ? {} : { socketPath }, (response) => {
      response.resume().once('end', () => resolve());
    });
    asked.once('error', reject).end();
  });
}

function run(words: readonly string[]): void {
  const { status, stderr } = spawnSync(process.execPath, [...process.execArgv, script, ...words], {
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status !== 0) throw new Error(`${words.join(' ')} ended with ${status}:\n${stderr}`);
}
