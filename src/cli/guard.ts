/** What the entry knows of the process it runs in. */
export interface ProcessFacts {
  /** `process.versions.node`. */
  readonly node: string;
  readonly execArgv: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Address of an inspector that is open already. */
  readonly inspector: string | undefined;
}

/** The facts of this process. */
export function processFacts(): ProcessFacts {
  // Absent before 20.16: such a Node is refused by its version.
  const old = process as { getBuiltinModule?: NodeJS.Process['getBuiltinModule'] };
  const inspector = old.getBuiltinModule?.('node:inspector').url();
  return { node: process.versions.node, execArgv: process.execArgv, env: process.env, inspector };
}

/** First good version of each supported line; `engines` of package.json says the same. */
const FLOORS = [
  [24, 18, 1],
  [26, 5, 1],
] as const;

/** Why this process must not run, in one line; undefined where it may. */
export function refusal({ node, execArgv, env, inspector }: ProcessFacts): string | undefined {
  if (!isSupported(node)) return `Node ${node} is not supported: use 24.18.1 or later of 24, or 26.5.1 or later`;
  if (env['SECRETLESS_ALLOW_INSPECT'] === '1') return undefined;
  // Node reads `_` for `-` in options, and quotes in NODE_OPTIONS; whoever can inspect can read every credential.
  const words = [...execArgv, env['NODE_OPTIONS'] ?? ''].map((word) =>
    word.replaceAll('_', '-').replaceAll(/["\\]/g, ''),
  );
  if (words.some((word) => word.includes('--inspect'))) return INSPECTED;
  const writer = MEMORY_WRITERS.find((option) => words.some((word) => word.includes(option)));
  if (writer !== undefined) return `${writer} writes memory or the environment to a file: run without it`;
  // A signal may have opened it before the first line of ours ran.
  return inspector === undefined ? undefined : INSPECTED;
}

/** Options of node that write heaps or reports, where credentials would stand in clear. */
const MEMORY_WRITERS = [
  '--heapsnapshot-signal',
  '--heapsnapshot-near-heap-limit',
  '--heap-prof',
  '--report-on-signal',
  '--report-on-fatalerror',
  '--report-uncaught-exception',
];

const INSPECTED = 'an inspector could read every credential: run without --inspect, or set SECRETLESS_ALLOW_INSPECT=1';

function isSupported(node: string): boolean {
  const [major = 0, minor = 0, patch = 0] = node.split(/[.-]/).map(Number);
  const last = FLOORS.at(-1)!;
  if (major > last[0]) return true;
  const floor = FLOORS.find(([line]) => line === major);
  if (floor === undefined) return false;
  return minor > floor[1] || (minor === floor[1] && patch >= floor[2]);
}
