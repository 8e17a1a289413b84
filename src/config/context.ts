import type { Catalog } from './catalog.ts';
import type { Environment } from './expand.ts';
import type { Node } from './node.ts';
import type { Report } from './problem.ts';

export interface LoadOptions {
  /** Name of the file, for problems; relative paths in it start from its folder. */
  readonly file: string;
  readonly environment: Environment;
  /** State folder: where the ledger and the control socket are by default. */
  readonly home: string;
  readonly catalog: Catalog;
  /** Reads the files of `tls`; default node:fs. */
  readonly readFile?: (path: string) => string;
  /** Compiles a pattern of `authenticateURLsMatching`; throws on a bad one. `wide`: it matches more than one origin. */
  readonly checkPattern?: (source: string) => { readonly wide: boolean };
}

/** What the builders share while one file is read. */
export interface Context {
  readonly options: LoadOptions & { readonly tree: Node };
  readonly report: Report;
  /** Top-level `providers` by name; the type is undefined where it was not readable. */
  readonly providers: ReadonlyMap<string, { readonly type: string | undefined }>;
  /** One warning about literals is enough for a file. */
  literalNoted: boolean;
}
