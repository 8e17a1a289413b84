import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { command } from '../src/cli/injector.ts';
import { parseArguments } from '../src/cli/parse.ts';
import { mutate } from '../src/injector/mutate.ts';
import { CHARTS, GOLDEN, manifestsOf, noHelm, type Ran } from './charts/helm.ts';
import { openApiProblems, type Manifest, type Named } from './charts/openapi.ts';
import { podOf, restrictedProblems, type Container } from './charts/restricted.ts';
import { applyPatch } from './injector/json-patch.ts';
import { ASKING, pod, SIDECAR, type PodObject } from './injector/pods.ts';

/* The chart of the webhook, by what is committed, and rendered anew where helm is there. */

const CHART = join(CHARTS, 'secretless-injector');
const COMMITTED = join(import.meta.dirname, 'injector/testdata');
const folder = mkdtempSync(join(tmpdir(), 'sl-injector-chart-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Values, and the version of the cluster. */
const CASES: Readonly<Record<string, readonly [string, string]>> = {
  default: ['', '1.33.0'],
  'default-on-1.28': ['', '1.28.15'],
  'cert-manager': [
    'certificate: { existingSecret: injector-tls, annotations: { cert-manager.io/inject-ca-from: secretless/injector } }',
    '1.33.0',
  ],
  'own-bundle': [
    'certificate: { existingSecret: injector-tls, caBundle: Q0E= }\nnetworkPolicy: { enabled: false }',
    '1.33.0',
  ],
  cyberark: ['webhook: { cyberArkNamespaces: true, excludedNamespaces: [kube-system, kube-node-lease] }', '1.33.0'],
  mirror: [
    'image: { repository: registry.test/sidecar, tag: "2.0.0", pullPolicy: Always }\nimagePullSecrets: [{ name: mirror }]\nsidecar: { image: "registry.test/sidecar:1.9.0", repositories: [registry.test/other], native: "false", resources: { limits: { memory: 128Mi } } }',
    '1.33.0',
  ],
  large: [
    'replicas: 5\npodDisruptionBudget: { minAvailable: 50% }\nnodeSelector: { pool: system }\ntolerations: [{ key: system, operator: Exists }]\naffinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } }\npriorityClassName: system-cluster-critical\npodLabels: { team: platform }\npodAnnotations: { note: x }\ndebug: true',
    '1.33.0',
  ],
  monitored: [
    'podMonitor: { enabled: true, labels: { release: prometheus } }\nnetworkPolicy: { metricsFrom: [{ namespaceSelector: { matchLabels: { name: monitoring } } }], webhookFrom: [{ ipBlock: { cidr: 10.0.0.0/28 } }] }',
    '1.33.0',
  ],
  lenient: [
    'webhook: { failurePolicy: Ignore, timeoutSeconds: 2, matchConditions: "false", objectSelector: { matchLabels: { a: b } } }\npodDisruptionBudget: { enabled: false }',
    '1.33.0',
  ],
  ipv6: ["host: '[::]'", '1.33.0'],
  'short-lived': ['certificate: { days: 7.5 }', '1.33.0'],
};

function helm(words: readonly string[]): Ran {
  const env = { ...process.env, HELM_CACHE_HOME: join(folder, 'cache'), HELM_CONFIG_HOME: join(folder, 'config') };
  const run = spawnSync(process.env['HELM'] ?? 'helm', words, { encoding: 'utf8', timeout: 60_000, env });
  return { ok: run.status === 0, stdout: run.stdout, text: `${run.stdout}${run.stderr}` };
}

function render(values: string, kube: string): Ran {
  const file = join(folder, 'values.yml');
  writeFileSync(file, values);
  return helm(['template', 'injector', CHART, '--namespace', 'secretless', '--kube-version', kube, '-f', file]);
}

const committed: Named[] = readdirSync(COMMITTED).flatMap((name) =>
  manifestsOf(readFileSync(join(COMMITTED, name), 'utf8')).map((manifest) => ({
    from: `${name} ${manifest.kind}/${manifest.metadata.name}`,
    manifest,
  })),
);
const ofKind = (kind: string): Named[] => committed.filter(({ manifest }) => manifest.kind === kind);

describe('with helm', () => {
  test('the chart passes helm lint --strict', ({ skip }) => {
    if (noHelm !== undefined) return skip(noHelm);
    const { ok, text } = helm(['lint', '--strict', CHART]);
    expect(text).not.toMatch(/WARNING|ERROR/);
    expect(ok).toBe(true);
  });

  test.for(Object.entries(CASES))('%s renders to what is committed', async ([name, [values, kube]], { skip }) => {
    if (noHelm !== undefined) return skip(noHelm);
    const { ok, stdout, text } = render(values, kube);
    expect(text).toBe(stdout);
    expect(ok).toBe(true);
    await expect(stdout).toMatchFileSnapshot(`injector/testdata/${name}.yaml`);
  });

  test.for([
    ['a word that does not exist', 'imge: {}', 'imge'],
    ['one further down', 'webhook: { failurPolicy: Fail }', 'failurPolicy'],
    ['a policy that does not exist', 'webhook: { failurePolicy: Maybe }', 'failurePolicy'],
    ['a certificate that lives too long', 'certificate: { days: 90 }', 'days'],
    ['no replica', 'replicas: 0', 'replicas'],
    ['no label of namespaces', 'webhook: { namespaceLabel: { secretless.dev/injection: null } }', 'namespaceLabel'],
  ])('values are refused: %s', ([, values, word], { skip }) => {
    if (noHelm !== undefined) return skip(noHelm);
    const { ok, text } = render(values!, '1.33.0');
    expect(ok).toBe(false);
    expect(text).toContain(word);
  });
});

describe('what is committed', () => {
  test('is all cases, each valid by Kubernetes’ own description', { timeout: 120_000 }, async () => {
    expect(readdirSync(COMMITTED).sort()).toEqual(
      Object.keys(CASES)
        .map((name) => `${name}.yaml`)
        .sort(),
    );
    expect(await openApiProblems(committed)).toEqual([]);
  });

  test('runs under the restricted profile', () => {
    const pods = committed.flatMap(({ manifest }) => podOf(manifest) ?? []);
    expect(pods).toHaveLength(Object.keys(CASES).length);
    for (const each of pods) expect(restrictedProblems(each)).toEqual([]);
    for (const { spec } of pods)
      expect(spec.containers[0]!.securityContext).toMatchObject({ readOnlyRootFilesystem: true });
  });

  test('starts the injector with words that it knows', () => {
    for (const { manifest } of ofKind('Deployment')) {
      const [name, ...words] = podOf(manifest)!.spec.containers[0]!.args!;
      expect(name).toBe('injector');
      expect(() => parseArguments(command, words)).not.toThrow();
    }
  });

  test('gives no right but to read and change its one Secret and its one webhook configuration', () => {
    const rules = [...ofKind('Role'), ...ofKind('ClusterRole')].map(({ from, manifest }) => {
      const found = manifest['rules'] as { resources: string[]; resourceNames?: string[]; verbs: string[] }[];
      expect(found, from).toHaveLength(1);
      return found[0]!;
    });
    expect(rules.length).toBeGreaterThan(10);
    for (const { resources, resourceNames, verbs } of rules) {
      expect(resourceNames).toHaveLength(1);
      expect([
        ['secrets', 'get', 'update'],
        ['mutatingwebhookconfigurations', 'get', 'patch'],
      ]).toContainEqual([...resources, ...verbs]);
    }
    const outside = committed.filter(({ from }) => /^(cert-manager|own-bundle)/.test(from));
    expect(outside.filter(({ manifest }) => /Role|Secret$/.test(manifest.kind))).toEqual([]);
  });

  test('asks for labelled namespaces alone, never for its own, and fails closed unless told otherwise', () => {
    for (const { from, manifest } of ofKind('MutatingWebhookConfiguration')) {
      for (const webhook of manifest['webhooks'] as Webhook[]) {
        expect(Object.keys(webhook.namespaceSelector.matchLabels), from).toHaveLength(1);
        const [own] = webhook.namespaceSelector.matchExpressions;
        expect(own).toMatchObject({ key: 'kubernetes.io/metadata.name', operator: 'NotIn' });
        expect(own!.values).toEqual(expect.arrayContaining(['kube-system', 'secretless']));
        expect(webhook).toMatchObject({
          sideEffects: 'None',
          reinvocationPolicy: 'IfNeeded',
          matchPolicy: 'Equivalent',
        });
        expect(webhook.failurePolicy).toBe(from.startsWith('lenient') ? 'Ignore' : 'Fail');
        expect(webhook.rules).toEqual([
          { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'], scope: 'Namespaced' },
        ]);
        const isAsked = !from.startsWith('lenient') && !from.startsWith('default-on-1.28');
        expect(webhook.matchConditions !== undefined, from).toBe(isAsked);
      }
    }
  });
});

interface Webhook {
  readonly failurePolicy: string;
  readonly rules: unknown;
  readonly matchConditions?: unknown;
  readonly namespaceSelector: {
    readonly matchLabels: object;
    readonly matchExpressions: readonly { readonly values: readonly string[] }[];
  };
}

describe('a pod that was injected', () => {
  function injected(annotations: Record<string, string>): PodObject {
    const object = pod({ ...ASKING, ...annotations });
    const kind = { group: '', version: 'v1', kind: 'Pod' };
    const verdict = mutate(
      { uid: '1', kind, operation: 'CREATE', object },
      {
        version: '0.1.0',
        image: 'ghcr.io/secretless-sidecar/secretless-sidecar:0.1.0',
        repositories: [],
        resources: { requests: { cpu: '50m', memory: '96Mi' }, limits: { memory: '256Mi' } },
        host: '0.0.0.0',
        native: () => true,
        agentEnvironment: (port) => [{ name: 'HTTPS_PROXY', value: `http://127.0.0.1:${port}` }],
      },
    );
    if (verdict.result !== 'injected') throw new Error(verdict.result);
    return applyPatch(object, verdict.patch) as PodObject;
  }

  const FULL = {
    'secretless.dev/egress': '3128',
    'secretless.dev/env-secret': 'keys',
    'secretless.dev/secret': 'files',
    'secretless.dev/token-audience': 'sts.amazonaws.com',
  };

  test('has no field that Kubernetes does not know', { timeout: 120_000 }, async () => {
    const pods = [injected({}), injected({ 'secretless.dev/native': 'false' }), injected(FULL)];
    const named = pods.map((each, at) => ({ from: `pod ${at}`, manifest: each as unknown as Manifest }));
    expect(await openApiProblems(named)).toEqual([]);
  });

  test.each([
    ['native', '01-minimal.yaml', {}],
    ['plain', '01-minimal-on-1.28.yaml', { 'secretless.dev/native': 'false' }],
  ])('has the sidecar that the library chart gives: %s', (_, golden, annotations) => {
    const manifests = manifestsOf(readFileSync(join(GOLDEN, golden), 'utf8'));
    const theirs = manifests.flatMap((manifest) => podOf(manifest) ?? [])[0]!.spec;
    const ours = injected(annotations).spec as unknown as typeof theirs;
    const find = (spec: typeof theirs): Container =>
      [...(spec.initContainers ?? []), ...spec.containers].find(({ name }) => name === SIDECAR)!;
    const same = ({ env: _env, terminationMessagePath: _path, image: _image, ...rest }: Container): object => rest;
    expect(withoutDefaults(same(find(ours)))).toEqual(withoutDefaults(same(find(theirs))));
    const names = (spec: typeof theirs): string[] => (spec.volumes ?? []).map(({ name }) => name).sort();
    expect(names(ours)).toEqual(names(theirs).filter((name) => name.startsWith('secretless-')));
  });

  /** What an API server fills in is written out by the one and left out by the other. */
  function withoutDefaults(value: unknown): unknown {
    const text = JSON.stringify(value, (key, part: unknown) => {
      return ['scheme', 'successThreshold', 'privileged'].includes(key) ? undefined : part;
    });
    return JSON.parse(text);
  }
});
