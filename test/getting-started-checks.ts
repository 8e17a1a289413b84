import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { expect, onTestFinished } from 'vitest';
import { parse } from 'yaml';
import { readConfig } from '../src/main.ts';
import { canary } from './canary.ts';
import { Charts, manifestsOf, noHelm } from './charts/helm.ts';
import { openApiProblems, type Manifest } from './charts/openapi.ts';
import { podOf, restrictedProblems } from './charts/restricted.ts';
import { COMPOSE_SCHEMA } from './compose-schema.ts';
import { readByCompose } from './compose-kit.ts';
import { document, root } from './documents.ts';
import type { PageBlock } from './getting-started-kit.ts';
import { validate, type PodObject } from './injector/pods.ts';
import { Caller, certificateFiles, startWebhook } from './injector/webhook.ts';
import { ask, startProcess, stateFolder } from './process-rig.ts';
import { startUpstream } from './rig.ts';

interface Standing {
  readonly blocks: readonly PageBlock[];
  /** The command that is not run. */
  readonly block: PageBlock;
}

/** What is checked in place of a command that does not run here; a text says which tool that needs is missing. */
type Check = (standing: Standing) => Promise<string | undefined> | string | undefined;

/** By what a page says after `instead:`. */
export const INSTEAD: Readonly<Record<string, Check>> = {
  'the program of this checkout stands on PATH as secretless': namesThePackage,
  'test/pack.test.ts packs a checkout, installs the package, and runs its demo': packsAndInstalls,
  'run starts on the same file in the block above, and run-clients.test.ts shows it with a curl and an API of this machine':
    runsAbove,
  'the file is read, and its commands are those of this page': readsWorkflow,
  'the file loads without an error': loadsAll,
  'the file is held against the compose schema, and read by the compose that is installed': readsCompose,
  'the files are held against the compose schema, and the agent runs with the sidecar on this configuration, a PostgreSQL and the API, without containers':
    namesComposeTests,
  'the ledger of the run without containers is verified': namesComposeTests,
  'kubectl makes the same objects without one': kubectlMakes,
  'helm renders the same charts, and the pod has the sidecar and an agent without the secret': helmRendersExample,
  'the Dockerfile is there, and names what it copies': readsDockerfile,
  'helm renders the chart, and the webhook of this checkout patches this very pod': injects,
  'the sidecar starts on this configuration with a folder of credentials as systemd makes it, and systemd-analyze verifies the unit with this drop-in':
    startsAsAService,
};

function fileOf({ blocks }: Standing, name: string): string {
  const found = blocks.filter(({ file }) => file === name).at(-1);
  if (found === undefined) throw new Error(`the page has no ${name}`);
  return found.code;
}

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sl-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function isInstalled(program: string, ...words: string[]): boolean {
  return spawnSync(program, words, { timeout: 30_000 }).status === 0;
}

/** Lines of a command, those that go on joined. */
function commandsOf({ code }: PageBlock): string[] {
  return code
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .filter((line) => line !== '');
}

function namesThePackage({ block }: Standing): undefined {
  const { name, bin } = JSON.parse(document('package.json').text) as { name: string; bin: object };
  expect(commandsOf(block)).toEqual([`npm install --global ${name}`]);
  expect(Object.keys(bin)).toContain('secretless');
}

function packsAndInstalls({ block }: Standing): undefined {
  const { name, scripts } = JSON.parse(document('package.json').text) as { name: string; scripts: { release: string } };
  const [packs, installs] = commandsOf(block);
  expect(packs).toBe('npm ci && npm run release');
  expect(scripts.release).toContain('node release/pack.ts &&');
  expect(document('release/pack.ts').text).toContain("'dist-release'");
  expect(installs).toBe(`npm install --global dist-release/${name}-*.tgz`);
  expect(document('test/pack.test.ts').text).toContain('npx shows the demo from the tarball');
}

function runsAbove({ blocks, block }: Standing): undefined {
  const [, file] = /secretless run -f (\S+) --/.exec(block.code)!;
  const before = blocks.slice(0, blocks.indexOf(block)).filter(({ notRun }) => notRun === undefined);
  expect(before.some(({ code }) => code.includes(`secretless run -f ${file} --`))).toBe(true);
  expect(document('test/run-clients.test.ts').text).toContain('curl');
}

interface Workflow {
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: Readonly<
    Record<string, { readonly steps: readonly { readonly run?: string; readonly env?: object }[] }>
  >;
}

function readsWorkflow({ blocks, block }: Standing): undefined {
  const workflow = parse(block.code) as Workflow;
  expect(workflow.permissions).toEqual({ contents: 'read' });
  const steps = Object.values(workflow.jobs).flatMap(({ steps: own }) => own);
  const tried = blocks.filter(({ language }) => language === 'sh').flatMap(commandsOf);
  const ours = steps.flatMap(({ run }) => (run?.startsWith('secretless ') === true ? [run] : []));
  expect(ours.length).toBeGreaterThan(1);
  for (const command of ours) expect(tried).toContain(command);
  // The token is in the environment of the one step that starts `run`.
  const telling = steps.filter(({ env }) => JSON.stringify(env ?? {}).includes('secrets.'));
  expect(telling.map(({ run }) => run)).toEqual(['secretless run -f secretless.yml -- bash job.sh']);
}

function loadsAll(standing: Standing): undefined {
  const folder = temporary();
  const names = commandsOf(standing.block).flatMap((line) => /-f (\S+\.yml)/.exec(line)?.[1] ?? []);
  expect(names.length).toBeGreaterThan(0);
  for (const name of names) {
    writeFileSync(join(folder, name), fileOf(standing, name));
    const { problems } = readConfig(join(folder, name), { HOME: folder }, 'program');
    expect(problems.filter(({ severity }) => severity === 'error')).toEqual([]);
  }
}

function readsCompose(standing: Standing): string | undefined {
  const text = fileOf(standing, 'compose.yml');
  const ajv = new Ajv({ allErrors: true });
  expect(ajv.validate(COMPOSE_SCHEMA, parse(text)), JSON.stringify(ajv.errors)).toBe(true);
  const folder = temporary();
  writeFileSync(join(folder, 'compose.yml'), text);
  return readByCompose(folder, 'compose.yml');
}

function namesComposeTests(): undefined {
  expect(document('test/compose.test.ts').text).toContain('is a compose file');
  expect(document('test/compose-run.test.ts').text).toContain('the agent of the example gets its answers');
  expect(document('test/compose-run.test.ts').text).toContain('verifyLedger');
}

function kubectlMakes({ block }: Standing): string | undefined {
  if (!isInstalled('kubectl', 'version', '--client')) return 'kubectl is not installed';
  for (const command of commandsOf(block)) {
    const made = execFileSync('kubectl', [...command.split(' ').slice(1), '--dry-run=client', '-o', 'yaml'], {
      encoding: 'utf8',
    });
    expect(['Namespace', 'Secret']).toContain((parse(made) as Manifest).kind);
  }
  return undefined;
}

async function helmRendersExample(standing: Standing): Promise<string | undefined> {
  const values = fileOf(standing, 'agent.yaml');
  expect(commandsOf(standing.block)[1]).toBe(
    'helm --namespace agents install agent charts/agent-example -f agent.yaml',
  );
  if (noHelm !== undefined) return noHelm;
  const charts = new Charts();
  onTestFinished(() => charts.remove());
  const { ok, stdout, text } = charts.render(values);
  expect(ok, text).toBe(true);
  const manifests = manifestsOf(stdout);
  expect(await openApiProblems(manifests.map((manifest) => ({ from: 'the page', manifest })))).toEqual([]);
  const pods = manifests.flatMap((manifest) => podOf(manifest) ?? []);
  expect(pods.flatMap(restrictedProblems)).toEqual([]);
  expect(pods).toHaveLength(1);
  const { initContainers = [], containers } = pods[0]!.spec;
  expect(initContainers.map(({ name }) => name)).toEqual(['secretless-sidecar']);
  expect(containers.map(({ name }) => name)).toEqual(['agent']);
  expect(JSON.stringify(containers)).not.toMatch(/secretKeyRef|API_TOKEN/);
  expect(JSON.stringify(containers)).toContain('"API_URL"');
  expect(JSON.stringify(initContainers)).toContain('API_TOKEN');
  return undefined;
}

function readsDockerfile({ block }: Standing): undefined {
  expect(commandsOf(block)[0]).toMatch(/^docker build -t ghcr\.io\/secretless-sidecar\/secretless-sidecar:\S+ \.$/);
  const copied = [...document('Dockerfile').text.matchAll(/^COPY ((?!--)[^\n]+)$/gm)].flatMap(([, words]) =>
    words!.split(' ').slice(0, -1),
  );
  expect(copied.length).toBeGreaterThan(5);
  for (const path of copied) expect([path, existsSync(join(root, path))]).toEqual([path, true]);
}

async function injects(standing: Standing): Promise<string | undefined> {
  const before = parse(fileOf(standing, 'pod.yaml')) as PodObject;
  validate(before);
  const folder = temporary();
  const { ca, words } = await certificateFiles(folder);
  const webhook = await startWebhook([...words, '--native', 'true']);
  const api = new Caller(webhook.port, ca);
  onTestFinished(async () => {
    api.close();
    await webhook.end();
  });
  await webhook.ready();
  const { allowed, message, pod, warnings } = await api.review(before);
  expect({ allowed, message, warnings }).toEqual({ allowed: true, message: '', warnings: [] });
  validate(pod);
  const { initContainers, containers, volumes } = pod.spec!;
  expect(initContainers!.map(({ name }) => name)).toEqual(['secretless-sidecar']);
  expect(JSON.stringify(initContainers)).toContain('agent-example');
  expect(JSON.stringify(containers)).not.toContain('agent-example');
  expect(JSON.stringify(volumes)).toContain('agent-secretless');
  return rendersInjector();
}

function rendersInjector(): string | undefined {
  if (noHelm !== undefined) return `the pod is patched; the chart is not rendered: ${noHelm}`;
  const charts = new Charts();
  onTestFinished(() => charts.remove());
  const { ok, stdout, text } = charts.render('{}', '1.33.0', 'secretless-injector');
  expect(ok, text).toBe(true);
  const kinds = manifestsOf(stdout).map(({ kind }) => kind);
  expect(kinds).toEqual(expect.arrayContaining(['Deployment', 'Service', 'MutatingWebhookConfiguration']));
  // The label that the page gives to the namespace is the one that the webhook looks for.
  expect(stdout).toContain('secretless.dev/injection');
  expect(readFileSync(join(root, 'charts/secretless-injector/values.yaml'), 'utf8')).toContain(
    'secretless.dev/injection: enabled',
  );
  return undefined;
}

async function startsAsAService(standing: Standing): Promise<string | undefined> {
  const unit = document('release/systemd/secretless.service').text;
  const configuration = fileOf(standing, 'secretless.yml');
  await lendsFromCredentials(unit, configuration);
  if (!isInstalled('systemd-analyze', '--version')) return 'it starts; systemd-analyze is not installed';
  const folder = temporary();
  // The program need not be there, the lines must be right.
  const there = unit.replaceAll('/usr/local/bin/secretless', '/bin/true').replaceAll('/bin/kill', '/bin/true');
  writeFileSync(join(folder, 'secretless.service'), there);
  const dropIn = join(folder, 'secretless.service.d');
  mkdirSync(dropIn);
  writeFileSync(join(dropIn, 'agents.conf'), fileOf(standing, 'agents.conf'));
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', join(folder, 'secretless.service')], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  const ours = stderr.split('\n').filter((line) => line.includes(folder) || line.startsWith('secretless.service'));
  expect({ status, ours }).toEqual({ status: 0, ours: [] });
  return undefined;
}

/** Starts it as the unit does: its words, the folder that `LoadCredential=` makes, and the socket in its folder. */
async function lendsFromCredentials(unit: string, configuration: string): Promise<void> {
  const [, words] = /^ExecStart=\/usr\/local\/bin\/secretless (.*)$/m.exec(unit)!;
  const [, prefix] = /^LoadCredential=(\w+):\/etc\/secretless\/credentials$/m.exec(unit)!;
  const folder = stateFolder();
  const credentials = join(folder, 'credentials');
  mkdirSync(credentials);
  const secret = canary();
  writeFileSync(join(credentials, `${prefix}_github-token`), `${secret}\n`, { mode: 0o400 });
  const upstream = await startUpstream();
  const mapped = configuration
    .replace('/run/secretless/', `${folder}/`)
    .replace('https://api.github.com', `http://127.0.0.1:${upstream.port}`);
  const file = join(folder, 'secretless.yml');
  const sidecar = startProcess(mapped, {
    folder,
    words: words!.replace('/etc/secretless/secretless.yml', file).split(' '),
    env: { CREDENTIALS_DIRECTORY: credentials },
  });
  await sidecar.ready();
  const answer = await ask(join(folder, 'github.sock'), '/user');
  expect([answer.status, upstream.requests[0]!.headers.authorization]).toEqual([200, `Bearer ${secret}`]);
  expect(statSync(join(folder, 'github.sock')).mode & 0o777).toBe(0o660);
}
