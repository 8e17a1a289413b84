import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { CHARTS, Charts, goldens, manifestsOf, noHelm, valueNames, VALUES } from './charts/helm.ts';
import { openApiProblems, type Manifest } from './charts/openapi.ts';
import { podOf } from './charts/restricted.ts';

describe('with helm', () => {
  let charts: Charts | undefined;
  beforeAll(() => {
    if (noHelm === undefined) charts = new Charts();
  });
  afterAll(() => charts?.remove());

  test('the example passes helm lint --strict', ({ skip }) => {
    if (charts === undefined) return skip(noHelm);
    const { ok, text } = charts.run(['lint', '--strict', '--kube-version', '1.33.0', charts.path('agent-example')]);
    expect(text).not.toMatch(/WARNING|ERROR/);
    expect(ok).toBe(true);
  });

  test.for(valueNames())('%s renders to what is committed', async (name, { skip }) => {
    if (charts === undefined) return skip(noHelm);
    const { ok, stdout, text } = charts.render(join(VALUES, `${name}.yml`));
    expect(text).toBe(stdout);
    expect(ok).toBe(true);
    await expect(stdout).toMatchFileSnapshot(`charts/golden/${name}.yaml`);
  });

  test('Kubernetes 1.28 gets a plain container, 1.29 and 1.33 the same native sidecar', async ({ skip }) => {
    if (charts === undefined) return skip(noHelm);
    const values = join(VALUES, '01-minimal.yml');
    const old = charts.render(values, '1.28.15').stdout;
    await expect(old).toMatchFileSnapshot('charts/golden/01-minimal-on-1.28.yaml');
    const now = charts.render(values).stdout;
    expect(charts.render(values, '1.29.0').stdout).toBe(now);
    expect(charts.render(values, 'v1.29.4-gke.1043000').stdout).toBe(now);
    expect(now).not.toBe(old);
  });

  test('native decides where it is no longer auto', ({ skip }) => {
    if (charts === undefined) return skip(noHelm);
    expect(sidecarOf(charts.render('secretless: { native: true }', '1.28.0').stdout)?.home).toBe('initContainers');
    expect(sidecarOf(charts.render('secretless: { native: false }', '1.33.0').stdout)?.home).toBe('containers');
  });

  test('what is rendered now is valid by Kubernetes’ own description', { timeout: 60_000 }, async ({ skip }) => {
    if (charts === undefined) return skip(noHelm);
    const rendered = valueNames().flatMap((from) =>
      manifestsOf(charts!.render(join(VALUES, `${from}.yml`)).stdout).map((manifest) => ({ from, manifest })),
    );
    expect(rendered.length).toBeGreaterThan(20);
    expect(await openApiProblems(rendered)).toEqual([]);
  });

  test.for([
    ['a word that does not exist', 'secretless: { imge: { tag: x } }', 'imge'],
    [
      'a word that does not exist, further down',
      'secretless: { monitoring: { podMonitor: { enable: true } } }',
      'enable',
    ],
    ['a word of the example', 'replica: 2', 'replica'],
    ['a type', 'secretless: { enabled: sometimes }', 'enabled'],
    ['a version of the grammar', 'secretless: { config: { version: "1" } }', 'version'],
    ['a variable that no shell knows', 'secretless: { secrets: { env: [{ name: a-b, secret: x }] } }', 'env'],
    ['options of node', 'secretless: { env: { NODE_OPTIONS: --inspect } }', 'NODE_OPTIONS'],
    ['options of node from a Secret', 'secretless: { secrets: { env: [{ name: NODE_OPTIONS, secret: x }] } }', 'env'],
    ['a path that leads out', 'secretless: { secrets: { files: [{ secret: x, key: y, path: ../z }] } }', 'path'],
    ['a digest', 'secretless: { image: { digest: sha256:short } }', 'digest'],
    ['root', 'secretless: { user: 0 }', 'user'],
  ] as const)('the schema of the values refuses %s', ([, values, word], { skip }) => {
    if (charts === undefined) return skip(noHelm);
    const { ok, text } = charts.render(values);
    expect(ok).toBe(false);
    expect(text).toContain(word);
    expect(text).toContain('schema');
  });

  test('enabled: false prints the workload as it is, and nothing else', ({ skip }) => {
    if (charts === undefined) return skip(noHelm);
    const { ok, text } = charts.render('secretless: { enabled: false }');
    expect(ok).toBe(true);
    expect(manifestsOf(text).map(({ kind }) => kind)).toEqual(['Deployment']);
    expect(text).not.toMatch(/secretless/);
  });

  test('a chart with two dependencies says which it means, and gets objects of two names', ({ skip }) => {
    if (charts === undefined) return skip(noHelm);
    const pod = { containers: [{ name: 'agent', image: 'agent:1' }] };
    const values = JSON.stringify({ first: { config: CONFIG }, second: { config: CONFIG } });
    const unsaid = charts.workload(pod, values, { aliases: ['first', 'second'] });
    expect(unsaid.ok).toBe(false);
    expect(unsaid.text).toContain('say which of first, second');
    const said = charts.workload(pod, values, { aliases: ['first', 'second'], of: 'second' });
    expect(said.ok, said.text).toBe(true);
    const names = manifestsOf(said.stdout).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
    expect(names).toEqual(['ConfigMap demo-second', 'Pod probe']);
  });

  test('what the workload has already stays: variables, volumes, init containers, whole numbers', ({ skip }) => {
    if (charts === undefined) return skip(noHelm);
    const pod = {
      securityContext: { runAsUser: 1_000_650_000 },
      volumes: [{ name: 'work', emptyDir: {} }],
      initContainers: [{ name: 'clone', image: 'git:1' }],
      containers: [
        { name: 'agent', image: 'agent:1', env: [{ name: 'API_URL', value: 'http://elsewhere' }], volumeMounts: [] },
        { name: 'other', image: 'other:1' },
      ],
    };
    const values = JSON.stringify({ secretless: { config: CONFIG, agent: { containers: ['agent'] } } });
    const { text, stdout } = charts.workload(pod, values);
    const made = manifestsOf(stdout).find(({ kind }) => kind === 'Pod');
    expect(made, text).toBeDefined();
    const { spec } = podOf(made!)!;
    expect(stdout).toMatch(/runAsUser: 1000650000$/m);
    expect(spec.initContainers!.map(({ name }) => name)).toEqual(['secretless-sidecar', 'clone']);
    expect(spec.volumes!.map(({ name }) => name)[0]).toBe('work');
    const [agent, other] = spec.containers;
    expect(agent!.env).toEqual([{ name: 'API_URL', value: 'http://elsewhere' }]);
    expect(agent!.volumeMounts).toHaveLength(1);
    expect(other).toEqual({ name: 'other', image: 'other:1' });
  });

  test('a plain container gets the time that it needs to end', ({ skip }) => {
    if (charts === undefined) return skip(noHelm);
    const values = JSON.stringify({ secretless: { config: CONFIG, native: false } });
    for (const [asked, got] of [
      [undefined, 50],
      [10, 50],
      [120, 120],
    ]) {
      const pod = { containers: [{ name: 'agent', image: 'agent:1' }], terminationGracePeriodSeconds: asked };
      const { stdout } = charts.workload(pod, values);
      const made = manifestsOf(stdout).find(({ kind }) => kind === 'Pod')!;
      expect(podOf(made)!.spec.terminationGracePeriodSeconds).toBe(got);
      expect(podOf(made)!.spec.containers.map(({ name }) => name)).toEqual(['secretless-sidecar', 'agent']);
    }
  });
});

const CONFIG = {
  version: '2',
  services: {
    api: {
      connector: 'http',
      listenOn: 'tcp://127.0.0.1:8081',
      target: 'https://api.example.com',
      credentials: { token: { from: 'env', get: 'API_TOKEN' } },
      config: { headers: { Authorization: 'Bearer {{ .token }}' } },
    },
  },
};

describe('the committed goldens', () => {
  const all = goldens();

  test('there is one for each file of values', () => {
    const sources = new Set(all.map(({ from }) => from.replace(/\.yaml .*$/, '')));
    for (const name of valueNames()) expect(sources).toContain(name);
    expect(valueNames().length).toBeGreaterThanOrEqual(10);
  });

  test('are valid by Kubernetes’ own description', { timeout: 60_000 }, async () => {
    expect(await openApiProblems(all)).toEqual([]);
  });

  test('that validation refuses a misspelt field, a wrong type and a missing one', { timeout: 60_000 }, async () => {
    const good = all.find(({ manifest }) => manifest.kind === 'Deployment')!.manifest;
    const monitor = all.find(({ manifest }) => manifest.kind === 'PodMonitor')!.manifest;
    const broken = (manifest: Manifest, from: string, to: string) => {
      const text = JSON.stringify(manifest);
      expect(text).toContain(from);
      return { from: to, manifest: JSON.parse(text.replace(from, to)) as Manifest };
    };
    for (const bad of [
      broken(good, '"readOnlyRootFilesystem"', '"readOnlyRootFileSystem"'),
      broken(good, '"containerPort":5335', '"containerPort":"5335"'),
      broken(good, '"selector"', '"selectors"'),
      broken(monitor, '"podMetricsEndpoints"', '"podMetricsEndpoint"'),
    ]) {
      expect(await openApiProblems([bad]), bad.from).not.toEqual([]);
    }
  });

  test('every pod has its sidecar, and the agent sees of it the shared folder alone', () => {
    const pods = all.flatMap(({ manifest }) => podOf(manifest) ?? []);
    expect(pods.length).toBeGreaterThan(10);
    for (const { spec } of pods) {
      const containers = [...(spec.initContainers ?? []), ...spec.containers];
      const sidecar = containers.find(({ name }) => name === 'secretless-sidecar')!;
      const agents = containers.filter(({ name }) => !name.startsWith('secretless-'));
      expect(agents.length).toBeGreaterThan(0);
      for (const { volumeMounts = [], env = [], envFrom } of agents) {
        const ours = volumeMounts.filter(({ name }) => name.startsWith('secretless-'));
        expect(ours).toEqual([{ name: 'secretless-share', mountPath: '/run/secretless', readOnly: true }]);
        expect(env.filter(({ valueFrom }) => valueFrom !== undefined)).toEqual([]);
        expect(envFrom).toBeUndefined();
      }
      const shared = sidecar.volumeMounts!.find(({ name }) => name === 'secretless-share')!;
      expect(shared).toEqual({ name: 'secretless-share', mountPath: '/run/secretless' });
      const writable = sidecar.volumeMounts!.filter(({ readOnly }) => readOnly !== true).map(({ name }) => name);
      expect(writable.sort()).toEqual(['secretless-share', 'secretless-state']);
    }
  });
});

function sidecarOf(text: string) {
  const pod = manifestsOf(text).flatMap((manifest) => podOf(manifest)?.spec ?? [])[0]!;
  for (const home of ['initContainers', 'containers'] as const) {
    const container = (pod[home] ?? []).find(({ name }) => name === 'secretless-sidecar');
    if (container !== undefined) return { home, container };
  }
  return undefined;
}

describe('the README of the library', () => {
  const folder = join(CHARTS, 'secretless-sidecar');
  const readme = readFileSync(join(folder, 'README.md'), 'utf8');
  const schema = JSON.parse(readFileSync(join(folder, 'values.schema.json'), 'utf8')) as Part;
  const values = parse(readFileSync(join(folder, 'values.yaml'), 'utf8')) as Record<string, unknown>;

  interface Part {
    readonly properties?: Readonly<Record<string, Part>>;
    readonly description?: string;
    readonly additionalProperties?: unknown;
  }

  test('has every value, and every template that it names is there', () => {
    const table = /## Values\n(.*?)\n## /s.exec(readme)![1]!;
    for (const [name, part] of Object.entries(schema.properties!)) {
      if (name === 'global') continue;
      const below = ['resources', 'config', 'probes'].includes(name) ? [] : Object.keys(part.properties ?? {});
      if (below.length === 0) expect(table).toContain(`\`${name}`);
      for (const inner of below) expect(table).toContain(`\`${name}.${inner}\``);
    }
    const templates = readdirSync(join(folder, 'templates')).map((name) =>
      readFileSync(join(folder, 'templates', name), 'utf8'),
    );
    const parts = [...readme.matchAll(/`(secretless\.[a-zA-Z]+)`/g)].map(([, name]) => name!);
    expect(parts.length).toBeGreaterThan(8);
    for (const name of parts) {
      if (name !== 'secretless.yml') expect(templates.join('')).toContain(`define "${name}"`);
    }
  });

  test('has values that the schema describes, each strictly', () => {
    const strict = (part: Part, path: string): void => {
      if (part.properties === undefined || path === 'config') return;
      expect(part.additionalProperties, path).toBe(false);
      for (const [name, inner] of Object.entries(part.properties))
        strict(inner, path === '' ? name : `${path}.${name}`);
    };
    strict(schema, '');
    for (const [name, part] of Object.entries(schema.properties!)) {
      expect(part.description ?? part.properties, name).toBeDefined();
      if (name !== 'global') expect(Object.keys(values), name).toContain(name);
    }
  });
});
