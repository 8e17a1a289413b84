import { cpSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * What a builder is sent: the checkout without what `.dockerignore` leaves out. Of patterns that match a path or a folder
 * above it, the last one decides. Source: the reference of `docker build`, "Build context", ".dockerignore files".
 */
export class BuildContext {
  readonly #root: string;
  readonly #patterns: readonly Pattern[];

  constructor(root: string) {
    this.#root = root;
    this.#patterns = readPatterns(readFileSync(join(root, '.dockerignore'), 'utf8'));
  }

  /** `path` is relative to the root, with `/`. */
  isSent(path: string): boolean {
    const above = path.split('/').map((_, at, parts) => parts.slice(0, at + 1).join('/'));
    const last = this.#patterns.findLast(({ shape }) => above.some((each) => shape.test(each)));
    return last === undefined || last.isKept;
  }

  /** Paths of all files that are sent, sorted. */
  files(): string[] {
    return filesBelow(this.#root, '', (path) => path !== '.git' && !/(?:^|\/)node_modules$/.test(path)).filter((path) =>
      this.isSent(path),
    );
  }

  /** Copies a file, or what is sent of a folder. Throws where nothing of it is sent. */
  copy(source: string, to: string): void {
    const files = this.files().filter((path) => path === source || path.startsWith(`${source}/`));
    if (files.length === 0) throw new Error(`${source} is not in the build context`);
    for (const path of files) cpSync(join(this.#root, path), join(to, path.slice(source.length)));
  }
}

interface Pattern {
  readonly shape: RegExp;
  readonly isKept: boolean;
}

function readPatterns(text: string): Pattern[] {
  const lines = text.split('\n').map((line) => line.trim());
  return lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ shape: shapeOf(line.replace(/^!/, '')), isKept: line.startsWith('!') }));
}

/** `*` within a folder, `**` over any number of them. */
function shapeOf(pattern: string): RegExp {
  const source = pattern
    .replace(/\/$/, '')
    .split('/')
    .map((part) => (part === '**' ? '**' : part.replaceAll(/[.+^${}()|[\]\\]/g, '\\$&').replaceAll('*', '[^/]*')))
    .join('/')
    .replaceAll('**/', '(?:.*/)?');
  return new RegExp(`^${source}$`);
}

function filesBelow(root: string, folder: string, isEntered: (path: string) => boolean): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (!entry.isDirectory()) return [path];
      return isEntered(path) ? filesBelow(root, path, isEntered) : [];
    })
    .sort();
}
