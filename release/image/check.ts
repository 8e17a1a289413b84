import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeDistroless, makeToolbox } from './base.ts';
import { buildImage, type Image } from './build.ts';
import { faultsOf, listRoot, summary, type Entry } from './contents.ts';
import { BuildContext } from './context.ts';
import { parseDockerfile } from './dockerfile.ts';
import { tryNeighbour } from './neighbour.ts';
import { coldStart } from './cold-start.ts';
import { Container, makeVolumes } from './run.ts';
import { tryDemo, type Finding } from './trial.ts';

/**
 * `npm run check:image`: does every step of the Dockerfile without a container engine, and
 * holds what comes out to what is promised of the image. Needs root on Debian 12, its mirror and the registry of npm;
 * elsewhere it says what is missing and ends with 0. `--write` renews contents.txt, `--keep` leaves the root.
 */
const CHECKOUT = realpathSync(join(import.meta.dirname, '../..'));
const CONTENTS = join(import.meta.dirname, 'contents.txt');
/** The only places that the image may write. */
const WRITABLE = ['/var/lib/secretless', '/run/secretless'];
const BUDGET_MIB = 120;
const COLD_START_MS = 500;

function main(): void {
  const { values } = parseArgs({ options: { write: { type: 'boolean' }, keep: { type: 'boolean' } } });
  const missing = whatIsMissing();
  if (missing !== undefined) return say(`the image was not checked: ${missing}`);
  const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'secretless-image-')));
  void check(scratch, values.write === true)
    .then((findings) => {
      for (const { what, holds } of findings) say(`${holds ? 'right' : 'WRONG'}  ${what}`);
      const wrong = findings.filter(({ holds }) => !holds).length;
      say(wrong === 0 ? `all ${findings.length} are right` : `${wrong} of ${findings.length} are WRONG`);
      process.exitCode = wrong === 0 ? 0 : 1;
    })
    .finally(() => {
      if (values.keep === true) say(`kept: ${scratch}`);
      else rmSync(scratch, { recursive: true, force: true });
    });
}

async function check(scratch: string, write: boolean): Promise<Finding[]> {
  const { image, base } = build(scratch);
  const all = listRoot(image.root);
  const added = all.filter(({ path }) => !base.has(path));
  const findings = [...lookAt(all, added, write), ...labelled(image)];
  findings.push(await tryVersion(image, scratch), await tryCompiled(image, scratch), await tryOwnDemo(image, scratch));
  findings.push(...(await tryDemo(image, scratch, say)), ...(await tryNeighbour(image, scratch)));
  const { medianMs, fastestMs, cpuMs } = await coldStart(image, scratch);
  const shown = [medianMs, fastestMs, cpuMs].map((ms) => `${ms.toFixed(0)} ms`);
  // Told and not judged: what else the machine does adds to it.
  say(
    `cold start, exec to /readyz, of 10 (bar: ${COLD_START_MS} ms): median ${shown[0]}, fastest ${shown[1]}; ` +
      `processor time ${shown[2]}`,
  );
  return findings;
}

/** The reason for not checking, for people. */
function whatIsMissing(): string | undefined {
  if (process.getuid?.() !== 0) return 'chroot and mount namespaces need root';
  for (const tool of ['unshare', 'perl', 'apt-get', 'dpkg-deb']) {
    if (spawnSync(tool, ['--version'], { stdio: 'ignore' }).status !== 0) return `there is no ${tool} here`;
  }
  if (!readFileSync('/etc/os-release', 'utf8').includes('bookworm'))
    return 'the packages of its base are those of Debian 12';
  if (spawnSync('unshare', ['--mount', '--pid', '--fork', 'true']).status !== 0) return 'namespaces are forbidden here';
  return undefined;
}

function build(scratch: string): { image: Image; base: ReadonlySet<string> } {
  const begun = performance.now();
  const roots = join(scratch, 'stages');
  mkdirSync(roots);
  let base: ReadonlySet<string> = new Set();
  const npm = dirname(dirname(realpathSync(execFileSync('sh', ['-c', 'command -v npm'], { encoding: 'utf8' }).trim())));
  const npmrc = join(homedir(), '.npmrc');
  const image = buildImage(parseDockerfile(readFileSync(join(CHECKOUT, 'Dockerfile'), 'utf8')), {
    context: new BuildContext(CHECKOUT),
    scratch: roots,
    cache: npmCache(),
    secrets: new Map(isFile(npmrc) ? [['npmrc', npmrc]] : []),
    env: wayToRegistry(),
    say: (line) => say(`${((performance.now() - begun) / 1000).toFixed(1).padStart(6)} s  ${line}`),
    pull(name, root) {
      if (name.includes('/node:')) makeToolbox(root, process.execPath, npm);
      else makeDistroless(root, scratch);
      base = new Set(listRoot(root).map(({ path }) => path));
      return name.includes('/node:');
    },
  });
  return { image, base };
}

function npmCache(): string {
  const folder = execFileSync('npm', ['config', 'get', 'cache'], { encoding: 'utf8' }).trim();
  mkdirSync(folder, { recursive: true });
  return folder;
}

function isFile(path: string): boolean {
  return spawnSync('test', ['-f', path]).status === 0;
}

/** Variables that lead npm to its registry on this machine. */
function wayToRegistry(): Record<string, string> {
  const leads = /^(?:npm_config_registry|https?_proxy|no_proxy|NODE_EXTRA_CA_CERTS)$/i;
  const found = Object.entries(process.env).filter(([name, value]) => leads.test(name) && value !== undefined);
  return Object.fromEntries(found) as Record<string, string>;
}

function lookAt(all: readonly Entry[], added: readonly Entry[], write: boolean): Finding[] {
  const list = summary(added);
  if (write) writeFileSync(CONTENTS, list);
  const faults = faultsOf(all, added, WRITABLE);
  const bytes = sizeOf(added);
  for (const part of ['bin', 'app/dist', 'app/node_modules', 'compiled']) {
    const inPart = added.filter(({ path, kind }) => path.startsWith(`opt/secretless/${part}/`) && kind === 'file');
    say(
      `${mebibytes(sizeOf(inPart)).padStart(10)}  ${String(inPart.length).padStart(5)} files  /opt/secretless/${part}`,
    );
  }
  say(`${mebibytes(bytes).padStart(10)}  beyond the base of ${mebibytes(sizeOf(all) - bytes)}`);
  return [
    { what: `it adds ${BUDGET_MIB} MiB to its base at most`, holds: bytes <= BUDGET_MIB * 2 ** 20 },
    { what: 'its files are those of contents.txt', holds: list === readFileSync(CONTENTS, 'utf8') },
    {
      what: ['no file is there that should not be', ...faults.slice(0, 20)].join('\n         '),
      holds: faults.length === 0,
    },
  ];
}

function sizeOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, { bytes }) => sum + bytes, 0);
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function labelled({ labels, user }: Image): Finding[] {
  const needed = ['title', 'description', 'licenses', 'source', 'version', 'revision', 'created'];
  return [
    { what: 'it says what it is', holds: needed.every((name) => labels.has(`org.opencontainers.image.${name}`)) },
    { what: 'it runs as 65532', holds: user === '65532:65532' },
  ];
}

async function tryVersion(image: Image, scratch: string): Promise<Finding> {
  const { version } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as { version: string };
  const run = new Container({ image, volumes: makeVolumes(image, join(scratch, 'version')), words: ['version'] });
  const printed = await run.printed();
  return { what: `it is version ${version}`, holds: printed.includes(version) && (await run.ended) === 0 };
}

/** Node tells what it does with its cache. Where it cannot use it, it says nothing unasked, and starts slowly. */
async function tryCompiled(image: Image, scratch: string): Promise<Finding> {
  const run = new Container({
    image,
    volumes: makeVolumes(image, join(scratch, 'compiled-volumes')),
    words: ['version'],
    env: { NODE_DEBUG_NATIVE: 'COMPILE_CACHE' },
  });
  const told = (await run.printed()) + run.said();
  await run.ended;
  const [used, missed] = [/was accepted/g, /was not initialized/g].map((shape) => told.match(shape)?.length ?? 0);
  return { what: `the code compiled ahead is used: ${used} modules, ${missed} not`, holds: used! > 5 && missed === 0 };
}

/** The demo with all its parts in the container: whoever has the image can run it. */
async function tryOwnDemo(image: Image, scratch: string): Promise<Finding> {
  const run = new Container({ image, volumes: makeVolumes(image, join(scratch, 'demo')), words: ['demo'] });
  const printed = await run.printed();
  const holds = (await run.ended) === 0 && printed.includes('every row is right');
  if (!holds) say(printed + run.said());
  return { what: '`secretless demo` is right in the read-only root', holds };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

main();
