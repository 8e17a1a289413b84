import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { checksums, SUMS } from '../release/checksums.ts';
import { partsOf, sbom, type Bom } from '../release/sbom.ts';

/** What a release is made by: the workflows, the list of parts, the checksums. */

interface Step {
  readonly uses?: string;
  readonly run?: string;
  readonly with?: Readonly<Record<string, unknown>>;
}

interface Job {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly needs?: string | readonly string[];
  readonly steps: readonly Step[];
}

interface Workflow {
  readonly permissions: unknown;
  readonly jobs: Readonly<Record<string, Job>>;
}

const FOLDER = '.github/workflows';
const workflows = readdirSync(FOLDER).map((name) => {
  const written = readFileSync(join(FOLDER, name), 'utf8');
  return { name, written, workflow: parse(written) as Workflow };
});
const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Readonly<Record<string, string>> };

/** Each right to write, and what it is for. */
const MAY_WRITE: Readonly<Record<string, readonly string[]>> = {
  // The registry of images; proofs of where the image was built.
  'release.yml/image': ['attestations', 'id-token', 'packages'],
  // npm's trusted publishing.
  'release.yml/npm': ['id-token'],
  // The page of the release; proofs.
  'release.yml/release': ['attestations', 'contents', 'id-token'],
};

describe.each(workflows)('workflow $name', ({ name, written, workflow }) => {
  const jobs = Object.entries(workflow.jobs);
  const steps = jobs.flatMap(([, job]) => job.steps);

  test('nothing is allowed but what a job says, and that is no more than listed', () => {
    expect(workflow.permissions).toEqual({});
    for (const [job, { permissions = {} }] of jobs) {
      const writes = Object.keys(permissions).filter((right) => permissions[right] !== 'read');
      expect(writes.sort(), job).toEqual(MAY_WRITE[`${name}/${job}`] ?? []);
    }
  });

  test('an action is pinned by a commit, whose version stands beside it', () => {
    const used = [...written.matchAll(/uses: (\S+)(.*)$/gm)];
    expect(used.length).toBe(steps.filter(({ uses }) => uses !== undefined).length);
    for (const [, action, comment] of used) {
      expect(action).toMatch(/^[\w-]+\/[\w-]+@[0-9a-f]{40}$/);
      expect(comment).toMatch(/^ # v\d+\.\d+\.\d+$/);
    }
    const commits = new Map(used.map(([, action]) => [action!.split('@')[0]!, action!]));
    expect(new Set(used.map(([, action]) => action)).size).toBe(commits.size);
  });

  test('there is no secret but the token of the run, and no shell that a name could speak to', () => {
    expect(written).not.toContain('secrets.');
    for (const { run = '' } of steps) expect(run).not.toContain('${{');
    const checkouts = steps.filter(({ uses }) => uses?.startsWith('actions/checkout@'));
    for (const { with: options } of checkouts) expect(options?.['persist-credentials']).toBe(false);
  });

  test('what it runs is there', () => {
    const run = steps.map((step) => step.run ?? '').join('\n');
    const named = [...run.matchAll(/npm run (?:-s )?([\w:]+)/g)].map(([, script]) => script!);
    for (const script of named) expect(scripts, script).toHaveProperty(script);
    const files = [...run.matchAll(/(?<![\w/-])(?:release|\.ci)\/[\w./-]+/g)].map(([file]) => file);
    expect(files).toContain(name === 'ci.yml' ? '.ci/run' : 'release/checksums.ts');
    for (const file of files) expect(existsSync(file), file).toBe(true);
    for (const [, { needs = [] }] of jobs)
      for (const need of [needs].flat()) expect(workflow.jobs).toHaveProperty(need);
  });
});

test('scripts of package.json name files that are there', () => {
  const files = Object.values(scripts).flatMap((script) =>
    [...script.matchAll(/[\w./-]+\.ts\b/g)].map(([file]) => file),
  );
  expect(files).toContain('release/binary.ts');
  for (const file of files) expect(existsSync(file), file).toBe(true);
});

describe('the list of parts', () => {
  const root = process.cwd();
  let [bom, again, later]: Bom[] = [];

  beforeAll(() => {
    [bom, again, later] = [1_700_000_000, 1_700_000_000, 1_700_000_001].map((time) => sbom(root, time));
  }, 180_000);

  test('is the same for a commit, and names all that is shipped and nothing else', () => {
    expect(again).toEqual(bom);
    expect(later!.serialNumber).not.toBe(bom!.serialNumber);
    expect(bom!.metadata.timestamp).toBe('2023-11-14T22:13:20.000Z');
    const names = bom!.components.map(({ name }) => name);
    const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: object };
    expect(names).toEqual(expect.arrayContaining([...Object.keys(dependencies), 'ssh2']));
    for (const tool of ['typescript', 'vitest', 'nan', 'cpu-features', 'node']) expect(names).not.toContain(tool);
    expect(new Set(bom!.components.map((part) => part['bom-ref']))).toEqual(
      partsOf(readFileSync('package-lock.json', 'utf8')),
    );
    expect(bom!.serialNumber).toMatch(/^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  test('names no package that is not referred to, and refers to none that it does not name', () => {
    const named = new Set([bom!.metadata.component, ...bom!.components].map((part) => part['bom-ref']));
    const known = new Set(bom!.dependencies.flatMap(({ ref, dependsOn = [] }) => [ref, ...dependsOn]));
    expect(known).toEqual(named);
    const own = bom!.dependencies.find(({ ref }) => ref === bom!.metadata.component['bom-ref'])!;
    expect(own.dependsOn!.some((part) => part.startsWith('@smithy/'))).toBe(false);
  });
});

test('sha256sum agrees with the checksums', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sl-sums-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  expect(() => checksums(folder)).toThrow('nothing to release');
  for (const name of ['b', 'a']) writeFileSync(join(folder, name), name);
  writeFileSync(join(folder, SUMS), checksums(folder));
  expect(readFileSync(join(folder, SUMS), 'utf8').match(/ {2}\w+$/gm)).toEqual(['  a', '  b']);
  const check = (): number | null => spawnSync('sha256sum', ['--check', '--strict', SUMS], { cwd: folder }).status;
  expect(check()).toBe(0);
  writeFileSync(join(folder, 'a'), 'changed');
  expect(check()).toBe(1);
});
