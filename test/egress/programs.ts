import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Programs that clients are tried with: what is not installed, and how they are written. */

export function missing(program: string, ...words: string[]): string | undefined {
  const { status } = spawnSync(program, words.length === 0 ? ['--version'] : words);
  return status === 0 ? undefined : `${[program, ...words].join(' ')}: not installed`;
}

const module = (name: string): string => JSON.stringify(import.meta.resolve(name));

/** A script of Node; `{name}` in it is the URL of an installed package. */
export function nodeProgram(script: string, ...words: string[]): string[] {
  const written = script.replaceAll(/from '([^']+)'/g, (whole, name: string) =>
    name.startsWith('node:') ? whole : `from ${module(name)}`,
  );
  return [process.execPath, '--input-type=module', '-e', written, ...words];
}

export const GRPC_CLIENT = `
import { credentials, makeGenericClientConstructor } from '@grpc/grpc-js';
const bytes = (value) => value;
const method = (path, stream) => ({ path, requestStream: stream, responseStream: stream,
  requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes });
const Probe = makeGenericClientConstructor({ unary: method('/probe.Probe/Unary', false), echo: method('/probe.Probe/Echo', true) }, 'Probe');
const client = new Probe(process.argv[1], credentials.createSsl());
const deadline = Date.now() + 20000;
client.unary(Buffer.from('ping'), { deadline }, (error, answer) => {
  if (error) { console.log(error.code, error.details); process.exit(1); }
  const call = client.echo({ deadline });
  let back = '';
  call.on('data', (chunk) => { back += chunk; if (back.length === 3) call.end(); else call.write(Buffer.from(String(back.length + 1))); });
  call.on('error', (error) => { console.log(error.code); process.exit(1); });
  call.on('end', () => { console.log('hello over gRPC', String(answer), back); client.close(); });
  call.write(Buffer.from('1'));
});`;

export const WEBSOCKET_CLIENT = `
const socket = new WebSocket(process.argv[1]);
socket.addEventListener('open', () => socket.send('hello'));
socket.addEventListener('message', ({ data }) => { console.log(data); socket.close(); });
socket.addEventListener('error', (event) => { console.log('failed', event.message); process.exit(1); });`;

export const WS_CLIENT = `
import WebSocket from 'ws';
import { globalAgent } from 'node:https';
const agent = process.argv[2] === 'agent' ? { agent: globalAgent } : {};
const socket = new WebSocket(process.argv[1], agent);
socket.on('open', () => socket.send('hello'));
socket.on('message', (message) => { console.log(String(message)); socket.close(); });
socket.on('error', (error) => { console.log('failed', error.message); process.exit(1); });`;

export const python = (program: string, script: string, to: string): string[] => [
  program,
  '-c',
  `import sys\nurl = sys.argv[1]\n${script}`,
  to,
];

export const AIOHTTP_CLIENT = `import asyncio, aiohttp
async def main():
  async with aiohttp.ClientSession(trust_env=True) as session:
    async with session.get(url) as answer: print(await answer.text())
asyncio.run(main())`;

const CACHE = fileURLToPath(new URL('../../node_modules/.cache/python-clients', import.meta.url));

/** A Python with packages from PyPI, kept between runs; the reason where there is none to be had. */
export function pythonWith(...packages: string[]): { readonly program: string } | { readonly reason: string } {
  const program = join(CACHE, 'bin/python');
  const words = packages.map((name) => `import ${name}`).join('; ');
  const isThere = () => existsSync(program) && spawnSync(program, ['-c', words]).status === 0;
  if (isThere()) return { program };
  if (spawnSync('python3', ['-m', 'venv', CACHE]).status !== 0) return { reason: 'python3 cannot make a venv' };
  const install = ['-m', 'pip', 'install', '-q', '--only-binary', ':all:', '--disable-pip-version-check'];
  spawnSync(program, [...install, '--timeout', '10', '--retries', '0', ...packages], { timeout: 120_000 });
  return isThere() ? { program } : { reason: `PyPI has no ${packages.join(', ')} for us` };
}

/** A repository with one commit, bare, which takes a push. */
export function bareRepository(folder: string, name: string): void {
  const work = join(folder, 'work');
  const env = { PATH: process.env['PATH'], HOME: folder };
  const git = (...words: string[]): void => {
    execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b.c', ...words], { cwd: work, env, stdio: 'pipe' });
  };
  mkdirSync(work);
  git('init', '-q', '-b', 'main');
  writeFileSync(join(work, 'file'), 'cloned');
  git('add', '.');
  git('commit', '-qm', 'one');
  git('clone', '-q', '--bare', work, join(folder, name));
}

/** A package of npm as its registry serves it: the document, and the tarball beside it. */
export function npmPackage(folder: string, registry: string): { readonly document: string; readonly tarball: string } {
  const inner = join(folder, 'package');
  mkdirSync(inner);
  writeFileSync(join(inner, 'package.json'), JSON.stringify({ name: 'held-by-us', version: '1.0.0' }));
  const tarball = join(folder, 'held-by-us.tgz');
  execFileSync('tar', ['-czf', tarball, '-C', folder, 'package']);
  const dist = { tarball: `${registry}/held-by-us/-/held-by-us-1.0.0.tgz` };
  const version = { name: 'held-by-us', version: '1.0.0', dist };
  const document = { name: 'held-by-us', 'dist-tags': { latest: '1.0.0' }, versions: { '1.0.0': version } };
  return { document: JSON.stringify(document), tarball };
}
