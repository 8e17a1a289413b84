import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { freePorts } from '../src/cli/demo/ports.ts';
import { canary, keepArtefact } from './canary.ts';
import { root } from './documents.ts';

/** One block of code on a page, with what the page says of it. */
export interface PageBlock {
  readonly language: string;
  readonly code: string;
  readonly line: number;
  /** The file that the page tells the reader to write: the line above the block ends with its name and a colon. */
  readonly file?: string;
  /** The comment above it: why it is not run, and what is checked in its place. */
  readonly notRun?: { readonly reason: string; readonly instead: string };
  /** Of a command: the block of text behind it. */
  readonly output?: string;
}

const BLOCK = /^```(\w*)\n([\s\S]*?)^```$/gm;
const NOT_RUN = /<!-- not run: ([^;]+); instead: ([^;]+?) -->\s*$/;
const FILE = /`([\w./-]+)`(?:, [^`\n]*)?:\s*$/;

/** Blocks of a page in order; a block of `text` belongs to the command before it. */
export function pageBlocks(page: string): PageBlock[] {
  const found: PageBlock[] = [];
  let end = 0;
  for (const match of page.matchAll(BLOCK)) {
    const [whole, language = '', code = ''] = match;
    const above = page.slice(end, match.index);
    end = match.index + whole.length;
    const line = page.slice(0, match.index).split('\n').length + 1;
    const last = found.at(-1);
    if (language === 'text' && last?.language === 'sh' && last.output === undefined) {
      found[found.length - 1] = { ...last, output: code };
      continue;
    }
    const [, reason, instead] = NOT_RUN.exec(above) ?? [];
    const [, file] = language === 'sh' ? [] : (FILE.exec(above.replace(NOT_RUN, '').trimEnd()) ?? []);
    found.push({
      ...{ language, code, line },
      ...(file === undefined ? {} : { file }),
      ...(reason === undefined ? {} : { notRun: { reason, instead: instead! } }),
    });
  }
  return found;
}

export interface PageRun {
  readonly blocks: readonly PageBlock[];
  /** Where the reader worked: the empty folder, and the empty home beside it. */
  readonly folder: string;
  readonly home: string;
  /** What each block that ran printed, by its line. Absent: the page did not get so far. */
  readonly printed: ReadonlyMap<number, string>;
  readonly stderr: string;
  readonly code: number | null;
  clean(): void;
}

const TELEMETRY_PORT = '5335';
const MARK = '---- block of line ';

/**
 * Follows a page: writes its files, runs its commands in one shell in an empty folder with an empty home, and stops at the
 * first that fails. Only ports differ from what the page says, since others may run at the same time.
 */
export async function followPage(page: string): Promise<PageRun> {
  const base = mkdtempSync(join(tmpdir(), 'sl-'));
  const [folder, home, programs] = [join(base, 'work'), join(base, 'home'), join(base, 'bin')];
  for (const each of [folder, home, programs]) mkdirSync(each);
  writePrograms(programs);
  const ports = await portMap(page);
  const blocks = pageBlocks(page).map((block) => mapped(block, ports));
  const script = join(base, 'page.sh');
  writeFileSync(script, blocks.map((block) => step(block, ports, base)).join(''));
  const child = spawn('bash', ['-e', '-o', 'pipefail', script], {
    cwd: folder,
    env: environment(home, programs),
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that nothing that the page left running outlives it.
    detached: true,
  });
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
  const [out, err] = [text(child.stdout), text(child.stderr)];
  const code = await ended;
  try {
    process.kill(-child.pid!, 'SIGTERM');
  } catch {
    // The page ended all that it started.
  }
  const [stdout, stderr] = [await out, await err];
  keepForSweep(`${stdout}\n${stderr}`, [folder, home]);
  const clean = (): void => rmSync(base, { recursive: true, force: true });
  return { blocks, folder, home, printed: sections(stdout), stderr, code, clean };
}

/**
 * The program of this checkout under its own name, as an installed package provides it; and an `openssl rand` that makes
 * secrets which the sweep of the suite looks for.
 */
function writePrograms(folder: string): void {
  const write = (name: string, script: string): void => {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  };
  const entry = join(root, 'src/cli/secretless.ts');
  write(
    'secretless',
    `exec '${process.execPath}' --max-semi-space-size=4 --conditions=secretless-source '${entry}' "$@"`,
  );
  write('openssl', `[ "$1" = rand ] || exit 1\necho ${canary()}`);
}

/** What the page printed and left behind, for the sweep: logs and ledgers, and not what it was told to keep secret. */
function keepForSweep(printed: string, folders: readonly string[]): void {
  keepArtefact('page', printed);
  for (const folder of folders) {
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      if (/\.(?:log|jsonl)(?:\.\d+)?$/.test(name)) keepArtefact('page', readFileSync(join(folder, name)));
    }
  }
}

function environment(home: string, programs: string): NodeJS.ProcessEnv {
  return {
    PATH: [programs, dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin', '/usr/sbin', '/sbin'].join(':'),
    HOME: home,
    LANG: 'C.UTF-8',
    NODE_COMPILE_CACHE: join(root, 'node_modules/.cache/process-rig'),
  };
}

/** A free port for each that the page names. */
async function portMap(page: string): Promise<ReadonlyMap<string, string>> {
  const named = [...page.matchAll(/(?:127\.0\.0\.1|localhost|0\.0\.0\.0):(\d{2,5})\b/g)].map(([, port]) => port!);
  const all = [...new Set([...named, TELEMETRY_PORT])];
  const free = await freePorts(all.length);
  return new Map(all.map((port, at) => [port, String(free[at])]));
}

function mapped(block: PageBlock, ports: ReadonlyMap<string, string>): PageBlock {
  const change = (code: string): string => code.replaceAll(/\b\d{2,5}\b/g, (number) => ports.get(number) ?? number);
  const { output } = block;
  return { ...block, code: change(block.code), ...(output === undefined ? {} : { output: change(output) }) };
}

/** What the reader does with a block. */
function step(
  { language, code, line, file, notRun }: PageBlock,
  ports: ReadonlyMap<string, string>,
  base: string,
): string {
  if (notRun !== undefined) return '';
  if (language === 'sh') return `printf '\\n%s\\n' '${MARK}${line}'\n${code}`;
  if (file === undefined) return '';
  if (/^\/|\.\./.test(file)) throw new Error(`line ${line}: ${file} is outside the folder of the page`);
  const source = join(base, `block-${line}`);
  const isOurs = /^version: '2'$/m.test(code) && !/^telemetry:/m.test(code);
  const telemetry = `telemetry: { listenOn: 'tcp://127.0.0.1:${ports.get(TELEMETRY_PORT)}' }\n`;
  writeFileSync(source, isOurs ? `${code}${telemetry}` : code);
  return `mkdir -p "$(dirname '${file}')"\ncp '${source}' '${file}'\n`;
}

function sections(printed: string): Map<number, string> {
  const parts = printed.split(new RegExp(`^\\n?${MARK}(\\d+)\\n`, 'm'));
  const found = new Map<number, string>();
  for (let at = 1; at < parts.length; at += 2) found.set(Number(parts[at]), parts[at + 1]!.replace(/\n$/, ''));
  return found;
}

/** Whether what was printed is what the page shows: `…` is any text of a line, alone on a line any lines. */
export function looksLike(printed: string, shown: string): boolean {
  const literal = (part: string): string => part.replaceAll(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  const lines = shown.trimEnd().split('\n');
  const pattern = lines.map((line) =>
    line === '…'
      ? '(?:.*\\n)*?'
      : `${line
          .split(/\s*…\s*/)
          .map(literal)
          .join('.*?')}\\n`,
  );
  return new RegExp(`^${pattern.join('')}$`).test(`${printed.trimEnd()}\n`);
}
