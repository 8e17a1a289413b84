import type { Catalog } from './catalog.ts';
import type { ListenAddress } from './config.ts';
import type { Environment } from './expand.ts';
import type { Node } from './node.ts';
import type { Rule } from '../policy/rules.ts';
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
  /** Where egress listens in a file that does not say. */
  readonly egress?: { readonly listenOn: readonly string[] };
  /** Where telemetry listens, whatever the file says. */
  readonly telemetry?: ListenAddress;
  /** Compiles a pattern of `authenticateURLsMatching`; throws on a bad one. `wide`: it matches more than one origin. */
  readonly checkPattern?: (source: string) => { readonly wide: boolean };
  /** What policy would refuse to compile in the rules; `path` begins with the position of the rule. */
  readonly checkRules?: (
    rules: readonly Rule[],
  ) => readonly { readonly path: readonly (string | number)[]; readonly message: string }[];
}

/** What the builders share while one file is read. */
export interface Context {
  readonly options: LoadOptions & { readonly tree: Node };
  readonly report: Report;
  /** Top-level `providers` by name; the type is undefined where it was not readable. */
  readonly providers: ReadonlyMap<string, { readonly type: string | undefined }>;
  /** Options of the named stores that are right so far; filled as they are built. */
  readonly providerOptions: Map<string, unknown>;
  /** One warning about literals is enough for a file. */
  literalNoted: boolean;
}
