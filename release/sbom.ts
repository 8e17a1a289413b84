import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

/**
 * `node release/sbom.ts [file]`: what the published package and the executable are made of, as CycloneDX. A commit has
 * one such list: its time and its serial number come from the commit and the lockfile, not from the clock.
 */

interface Component {
  readonly 'bom-ref': string;
  readonly type: string;
  readonly name: string;
  readonly version: string;
  readonly purl: string;
}

export interface Bom {
  serialNumber: string;
  readonly metadata: { timestamp: string; component: Component };
  components: Component[];
  readonly dependencies: { readonly ref: string; dependsOn?: string[] }[];
}

interface Locked {
  readonly version: string;
  readonly dev?: boolean;
}

/** `time`: of the commit, in seconds since 1970. */
export function sbom(root: string, time: number): Bom {
  // Without `--omit dev`, with which npm 11 also leaves out what both need.
  const words = ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'];
  const options = { cwd: root, encoding: 'utf8', maxBuffer: 64e6, stdio: 'pipe' } as const;
  const bom = JSON.parse(execFileSync('npm', words, options)) as Bom;
  const parts = partsOf(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const components = bom.components
    .filter((part) => parts.has(part['bom-ref']))
    .map((part) => ({ ...part, scope: 'required' }))
    .sort((a, b) => compare(a['bom-ref'], b['bom-ref']));
  const missing = [...parts].filter((part) => !components.some((of) => of['bom-ref'] === part));
  if (missing.length > 0) throw new Error(`npm knows nothing of ${missing.join(', ')}`);
  // npm names it by the folder that it lies in.
  const component = { ...bom.metadata.component, name: 'secretless-sidecar' };
  const metadata = { ...bom.metadata, timestamp: new Date(time * 1000).toISOString(), component };
  const dependencies = bom.dependencies
    .filter(({ ref }) => parts.has(ref) || ref === component['bom-ref'])
    .map(({ ref, dependsOn = [] }) => {
      // Of its own, npm also names the tools.
      const isNeeded = ref === component['bom-ref'] ? needed(root) : (): boolean => true;
      return { ref, dependsOn: dependsOn.filter((on) => parts.has(on) && isNeeded(on)).sort() };
    })
    .sort((a, b) => compare(a.ref, b.ref));
  const whole = { ...bom, serialNumber: '', metadata, components, dependencies };
  return { ...whole, serialNumber: serialNumber(JSON.stringify(whole)) };
}

/** `name@version` of all that is shipped: what is no tool of development, and the copy of ssh2 (`release/vendor.ts`). */
export function partsOf(lock: string): ReadonlySet<string> {
  const { packages } = JSON.parse(lock) as { packages: Readonly<Record<string, Locked>> };
  const shipped = Object.entries(packages).filter(([path, { dev }]) => path !== '' && dev !== true);
  const vendored = Object.entries(packages).filter(([path]) => path === 'node_modules/ssh2');
  return new Set(
    [...shipped, ...vendored].map(([path, { version }]) => `${path.replace(/^.*node_modules\//, '')}@${version}`),
  );
}

function needed(root: string): (part: string) => boolean {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object };
  const names = new Set([...Object.keys(dependencies), 'ssh2']);
  return (part) => names.has(part.slice(0, part.lastIndexOf('@')));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

/** RFC 9562 section 5.8: a UUID of a meaning of our own, here the digest of the list. */
function serialNumber(text: string): string {
  const bytes = createHash('sha256').update(text).digest().subarray(0, 16);
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `urn:uuid:${[hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')}`;
}

/** Of the commit that is checked out, in seconds since 1970. */
function commitTime(root: string): number {
  const said = process.env['SOURCE_DATE_EPOCH'];
  return Number(said ?? execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' }));
}

if (import.meta.main) {
  const root = resolve(import.meta.dirname, '..');
  const file = resolve(process.argv[2] ?? join(root, 'dist-release', 'secretless-sidecar.cdx.json'));
  const bom = sbom(root, commitTime(root));
  writeFileSync(file, `${JSON.stringify(bom, null, 2)}\n`);
  process.stdout.write(`${file}: ${bom.components.length} components\n`);
}
