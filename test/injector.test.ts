import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ASKING, defaulted, pod, restrictedProblems, SIDECAR, validate, withAgent } from './injector/pods.ts';
import { type Caller, IMAGE, openStage, type Stage } from './injector/webhook.ts';

/* The webhook as an API server meets it: the real process, over TLS. */

let stage: Stage;
let api: Caller;

beforeAll(async () => {
  stage = await openStage('--repository', 'registry.test/mirror/sidecar');
  ({ api } = stage);
});

afterAll(() => stage.close());

const NATIVE = { ...ASKING, 'secretless.dev/native': 'true' };
const PLAIN = { ...ASKING, 'secretless.dev/native': 'false' };
const FULL = {
  ...ASKING,
  'secretless.dev/egress': '3128',
  'secretless.dev/env-secret': 'agent-keys',
  'secretless.dev/secret': 'agent-files',
  'secretless.dev/token-audience': 'sts.amazonaws.com',
};

describe('a pod that asks', () => {
  test('gets a native sidecar in front of its init containers, with files that only the sidecar sees', async () => {
    const before = pod(NATIVE, { initContainers: [{ name: 'first', image: 'init:1' }] });
    const { allowed, pod: after, warnings } = await api.review(before);
    expect(allowed).toBe(true);
    expect(warnings).toEqual([]);
    validate(after);
    const [sidecar, first] = after.spec!.initContainers!;
    expect(first!.name).toBe('first');
    expect(sidecar).toMatchObject({ name: SIDECAR, image: IMAGE, restartPolicy: 'Always' });
    expect(sidecar!.args).toEqual([
      ...['start', '-f', '/etc/secretless/secretless.yml', '--watch', '--sidecar', 'native'],
      ...['--telemetry', 'tcp://0.0.0.0:5335', '--trust', '/run/secretless'],
    ]);
    expect(sidecar!.startupProbe!.httpGet).toMatchObject({ path: '/readyz', port: 'secretless-http' });
    expect(sidecar!.livenessProbe!.httpGet!.path).toBe('/livez');
    expect(sidecar!.readinessProbe!.httpGet!.path).toBe('/readyz');
    expect(restrictedProblems(sidecar!)).toEqual([]);
    expect(sidecar!.securityContext).toMatchObject({ runAsUser: 65532, runAsGroup: 65532 });
    expect(sidecar!.volumeMounts).toEqual([
      { name: 'secretless-config', mountPath: '/etc/secretless', readOnly: true },
      { name: 'secretless-state', mountPath: '/var/lib/secretless' },
      { name: 'secretless-share', mountPath: '/run/secretless' },
    ]);
    expect(after.spec!.containers[0]!.volumeMounts).toEqual([
      { name: 'secretless-share', mountPath: '/run/secretless', readOnly: true },
    ]);
    expect(after.spec!.containers[0]!.env).toBeUndefined();
    expect(after.spec!.volumes!.map(({ name }) => name)).toEqual([
      'secretless-config',
      'secretless-state',
      'secretless-share',
    ]);
    expect(after.spec!.volumes![0]!.configMap).toMatchObject({
      name: 'agent-config',
      items: [{ key: 'secretless.yml', path: 'secretless.yml' }],
    });
    expect(after.spec!.volumes![2]!.emptyDir).toEqual({ medium: 'Memory' });
    expect(after.metadata.annotations!['secretless.dev/agent-containers']).toBe('agent');
  });

  test('gets a container in front of the others where the cluster knows no native sidecars', async () => {
    const { pod: after } = await api.review(pod(PLAIN));
    validate(after);
    const [sidecar, agent] = after.spec!.containers;
    expect(sidecar!.name).toBe(SIDECAR);
    expect(sidecar).not.toHaveProperty('restartPolicy');
    expect(sidecar!.args).toContain('plain');
    expect(sidecar!.lifecycle!.postStart!.exec!.command).toContain('wait-ready');
    expect(agent!.volumeMounts).toHaveLength(1);
    expect(after.spec!.initContainers).toBeUndefined();
  });

  test('gets Secrets and tokens into the sidecar alone, and the proxy variables into the agent alone', async () => {
    const { pod: after } = await api.review(pod(FULL));
    validate(after);
    const sidecar = after.spec!.initContainers![0]!;
    const agent = after.spec!.containers[0]!;
    expect(sidecar.envFrom).toEqual([{ secretRef: { name: 'agent-keys' } }]);
    expect(sidecar.env).toContainEqual({ name: 'NODE_OPTIONS' });
    expect(JSON.stringify(agent)).not.toMatch(/agent-keys|agent-files|secretless-(secret|token|state|config)/);
    const variables = Object.fromEntries(agent.env!.map(({ name, value }) => [name, value]));
    expect(variables).toMatchObject({
      HTTPS_PROXY: 'http://127.0.0.1:3128',
      NODE_USE_ENV_PROXY: '1',
      SSL_CERT_FILE: '/run/secretless/egress-ca-bundle.pem',
      NODE_EXTRA_CA_CERTS: '/run/secretless/egress-ca.pem',
    });
    expect(sidecar.env!.map(({ name }) => name)).not.toContain('HTTPS_PROXY');
    const token = after.spec!.volumes!.find(({ name }) => name === 'secretless-token')!;
    expect(token.projected!.sources![0]!.serviceAccountToken).toMatchObject({ audience: 'sts.amazonaws.com' });
  });

  test('gives the sidecar only to the containers it names', async () => {
    const containers = [
      { name: 'agent', image: 'a' },
      { name: 'metrics', image: 'b', env: [{ name: 'HTTPS_PROXY', value: 'http://elsewhere.test' }] },
    ];
    const annotations = { ...FULL, 'secretless.dev/agent-containers': 'agent' };
    const { pod: after, warnings } = await api.review(pod(annotations, { containers }));
    expect(after.spec!.containers[0]!.volumeMounts).toHaveLength(1);
    expect(after.spec!.containers[1]).toEqual(containers[1]);
    expect(warnings).toEqual([]);
    const all = await api.review(pod(FULL, { containers }));
    expect(all.pod.spec!.containers[1]!.env).toContainEqual({ name: 'HTTPS_PROXY', value: 'http://elsewhere.test' });
    expect(all.warnings.join()).toContain('keeps its own HTTPS_PROXY');
  });

  test('may name another tag of the image, or an image of a repository that was allowed', async () => {
    const image = `${IMAGE.split(':')[0]}:9.9.9`;
    const { pod: after } = await api.review(pod({ ...ASKING, 'secretless.dev/image': image }));
    expect(after.spec!.initContainers![0]!.image).toBe(image);
    const mirrored = 'registry.test/mirror/sidecar@sha256:' + 'a'.repeat(64);
    expect((await api.review(pod({ ...ASKING, 'secretless.dev/image': mirrored }))).allowed).toBe(true);
    const foreign = await api.review(pod({ ...ASKING, 'secretless.dev/image': 'evil.test/collector:1' }));
    expect(foreign).toMatchObject({ allowed: false, code: 403 });
    expect(foreign.message).toContain('evil.test/collector');
  });
});

describe('a pod that comes again', () => {
  test.each([
    ['native', { ...FULL, ...NATIVE }],
    ['plain', { ...FULL, ...PLAIN }],
  ])('is left as it is: %s', async (_, annotations) => {
    const once = await api.review(pod(annotations, { volumes: [{ name: 'own', emptyDir: {} }] }));
    const twice = await api.review(defaulted(once.pod));
    expect(twice).toMatchObject({ allowed: true, steps: undefined, warnings: [] });
  });

  test('gets what is missing where another webhook added a container, which gets no sidecar itself', async () => {
    const once = await api.review(pod(FULL));
    const more = structuredClone(once.pod);
    more.spec!.containers.push({ name: 'mesh', image: 'mesh:1' });
    more.spec!.containers[0]!.volumeMounts = [];
    const { pod: after, steps } = await api.review(more);
    expect(steps).toHaveLength(1);
    expect(after.spec!.containers[0]!.volumeMounts).toHaveLength(1);
    expect(after.spec!.containers[1]).toEqual({ name: 'mesh', image: 'mesh:1' });
  });

  test('may have got an identity of the cloud for its sidecar, as EKS gives it, and amounts by LimitRange', async () => {
    const once = await api.review(pod());
    const more = defaulted(once.pod);
    const sidecar = more.spec!.initContainers![0]!;
    const mountPath = '/var/run/secrets/eks.amazonaws.com/serviceaccount';
    sidecar.env!.push(
      { name: 'AWS_ROLE_ARN', value: 'arn:aws:iam::111122223333:role/agents/a' },
      { name: 'AWS_WEB_IDENTITY_TOKEN_FILE', value: `${mountPath}/token` },
      { name: 'AWS_REGION', value: 'us-gov-west-1' },
    );
    sidecar.volumeMounts!.push({ name: 'aws-iam-token', mountPath, readOnly: true });
    more.spec!.volumes!.push({ name: 'aws-iam-token', projected: { sources: [] } });
    sidecar.resources = { limits: { cpu: '1', memory: '256Mi' } };
    expect(await api.review(more)).toMatchObject({ allowed: true, steps: undefined });
  });

  test('may have got an identity of the cloud for its sidecar, as EKS Pod Identity and AKS give it', async () => {
    const more = structuredClone((await api.review(pod())).pod);
    more.spec!.initContainers![0]!.env!.push(
      { name: 'AWS_CONTAINER_CREDENTIALS_FULL_URI', value: 'http://169.254.170.23/v1/credentials' },
      {
        name: 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE',
        value: '/var/run/secrets/pods.eks.amazonaws.com/serviceaccount/eks-pod-identity-token',
      },
      { name: 'AZURE_CLIENT_ID', value: '11111111-2222-3333-4444-555555555555' },
      { name: 'AZURE_FEDERATED_TOKEN_FILE', value: '/var/run/secrets/azure/tokens/azure-identity-token' },
      { name: 'AZURE_AUTHORITY_HOST', value: 'https://login.microsoftonline.com/' },
    );
    expect(await api.review(more)).toMatchObject({ allowed: true, steps: undefined });
  });

  const uri = 'AWS_CONTAINER_CREDENTIALS_FULL_URI';
  const mounted = (more: object) => ({ volumeMounts: [{ readOnly: true, ...more }] });
  test.each<[string, string, object]>([
    ['the agent as its source of credentials', 'env', { env: [{ name: uri, value: 'http://127.0.0.1:9/x' }] }],
    [
      'an address out of a Secret',
      'env',
      { env: [{ name: uri, valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] },
    ],
    [
      'a secret as the token it shows',
      'env',
      { env: [{ name: 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE', value: '/var/run/secrets/secretless/github' }] },
    ],
    [
      'a secret as the token it shows, by a detour',
      'env',
      { env: [{ name: 'AWS_WEB_IDENTITY_TOKEN_FILE', value: '/var/run/secrets/x/../secretless/github' }] },
    ],
    ['a stranger who gets its token', 'env', { env: [{ name: 'AZURE_AUTHORITY_HOST', value: 'https://evil.test/' }] }],
    ['a region that is a host', 'env', { env: [{ name: 'AWS_REGION', value: 'x.evil.test/' }] }],
    [
      'another program, by a detour',
      'volumeMounts',
      mounted({ name: 'token', mountPath: '/var/run/secrets/../../../opt/secretless/app' }),
    ],
    ['other secrets', 'volumeMounts', mounted({ name: 'token', mountPath: '/var/run/secrets/secretless/' })],
    ['no folder of its own', 'volumeMounts', mounted({ name: 'token', mountPath: '/var/run/secrets/' })],
    [
      'tokens that the agent writes',
      'volumeMounts',
      mounted({ name: 'own', mountPath: '/var/run/secrets/azure/tokens' }),
    ],
    [
      'a part of a volume',
      'volumeMounts',
      mounted({ name: 'token', mountPath: '/var/run/secrets/azure/tokens', subPath: 'x' }),
    ],
  ])('with a sidecar that was given %s is denied', async (_, key, change) => {
    const volumes = [
      { name: 'own', emptyDir: {} },
      { name: 'token', projected: { sources: [] } },
    ];
    const forged = structuredClone(
      (await api.review(pod({ ...ASKING, 'secretless.dev/secret': 'keys' }, { volumes }))).pod,
    );
    const sidecar = forged.spec!.initContainers![0]! as unknown as Record<string, object[]>;
    for (const [name, more] of Object.entries(change)) sidecar[name]!.push(...(more as object[]));
    const { allowed, code, message } = await api.review(forged);
    expect({ allowed, code }).toEqual({ allowed: false, code: 403 });
    expect(message).toContain(`(its "${key}" differs)`);
  });

  test.each([
    ['command', { command: ['/bin/sh', '-c', 'env'] }],
    ['image', { image: 'evil.test/x' }],
    ['args', { args: ['start', '-f', '/tmp/other.yml'] }],
    ['lifecycle', { lifecycle: { postStart: { exec: { command: ['env'] } } } }],
    ['securityContext', { securityContext: { runAsUser: 0 } }],
    ['livenessProbe', { livenessProbe: { exec: { command: ['env'] } } }],
    ['envFrom', { envFrom: [{ secretRef: { name: 'other' } }] }],
    ['stdin', { stdin: true }],
    ['env', { env: [{ name: 'NODE_OPTIONS', value: '--import=/run/secretless/x.mjs' }] }],
    ['volumeMounts', { volumeMounts: [{ name: 'own', mountPath: '/opt/secretless/app' }] }],
  ])('with a sidecar whose %s was written by somebody else is denied', async (key, change) => {
    const once = await api.review(pod(ASKING, { volumes: [{ name: 'own', emptyDir: {} }] }));
    const forged = structuredClone(once.pod);
    const sidecar = forged.spec!.initContainers![0]!;
    const lists = { env: [...sidecar.env!], volumeMounts: [...sidecar.volumeMounts!] };
    Object.assign(sidecar, change);
    if (key === 'env') sidecar.env = [...lists.env, ...sidecar.env!];
    if (key === 'volumeMounts') sidecar.volumeMounts = [...lists.volumeMounts, ...sidecar.volumeMounts!];
    const { allowed, code, message } = await api.review(forged);
    expect({ allowed, code }).toEqual({ allowed: false, code: 403 });
    expect(message).toContain(`(its \\"${key}\\" differs)`.replaceAll('\\', ''));
  });

  test('is not believed to be injected because an annotation says so', async () => {
    const { pod: after } = await api.review(pod({ ...ASKING, 'secretless.dev/injected': '0.0.1' }));
    expect(after.spec!.initContainers).toHaveLength(1);
    expect(after.metadata.annotations!['secretless.dev/injected']).not.toBe('0.0.1');
  });
});

describe('what is left alone', () => {
  test('pods that ask for nothing, or for no sidecar', async () => {
    for (const annotations of [{}, { 'example.com/x': 'y' }, { ...ASKING, 'secretless.dev/inject': 'false' }]) {
      expect(await api.review(pod(annotations))).toMatchObject({ allowed: true, steps: undefined });
    }
    const bare = { apiVersion: 'v1', kind: 'Pod', metadata: {}, spec: { containers: [] } };
    expect(await api.review(bare)).toMatchObject({ allowed: true, steps: undefined });
  });

  test('other operations, kinds and subresources', async () => {
    for (const more of [
      { operation: 'UPDATE' },
      { operation: 'DELETE', object: null },
      { subResource: 'status' },
      { kind: { group: 'apps', version: 'v1', kind: 'Deployment' } },
      { kind: { group: '', version: 'v1', kind: 'PodTemplate' } },
    ]) {
      expect(await api.review(pod(), more)).toMatchObject({ allowed: true, steps: undefined });
    }
  });

  test('a dry run is answered as if it were none', async () => {
    const dry = await api.review(pod(), { dryRun: true });
    expect(dry.steps).toEqual((await api.review(pod())).steps);
  });
});

describe('mistakes', () => {
  test.each([
    ['a misspelt inject', { 'secretless.dev/injct': 'true' }, 'did you mean secretless.dev/inject?'],
    ['an unknown name', { ...ASKING, 'secretless.dev/frobnicate': 'x' }, 'known are inject, config'],
    ['inject that is no word', { 'secretless.dev/inject': 'yes' }, '"true" or "false"'],
    ['no config', { 'secretless.dev/inject': 'true' }, 'secretless.dev/config is missing'],
    ['a config without inject', { 'secretless.dev/config': 'c' }, 'does nothing without secretless.dev/inject'],
    [
      'a Secret beside the words of CyberArk, which would stay without effect',
      {
        'conjur.org/inject': 'yes',
        'conjur.org/inject-type': 'secretless',
        'conjur.org/secretless-config': 'c',
        'secretless.dev/env-secret': 'agent-keys',
      },
      'secretless.dev/env-secret does nothing without secretless.dev/inject',
    ],
    ['a config that is no name', { ...ASKING, 'secretless.dev/config': '../x' }, 'is no name of a ConfigMap'],
    ['a Secret that is no name', { ...ASKING, 'secretless.dev/env-secret': 'A B' }, 'is no name of a Secret'],
    ['a port that is none', { ...ASKING, 'secretless.dev/egress': '70000' }, 'port of `egress.listenOn`'],
    ['native that is no word', { ...ASKING, 'secretless.dev/native': 'maybe' }, 'secretless.dev/native'],
    ['an agent that is not there', { ...ASKING, 'secretless.dev/agent-containers': 'other' }, 'there is no container'],
    ['an image that is none', { ...ASKING, 'secretless.dev/image': 'a b' }, 'is no name of an image'],
    ['an audience with a line break', { ...ASKING, 'secretless.dev/token-audience': 'a\nb' }, 'is no audience'],
  ])('%s is denied with what to do', async (_, annotations, words) => {
    const { allowed, code, message } = await api.review(pod(annotations));
    expect({ allowed, code }).toEqual({ allowed: false, code: 400 });
    expect(message).toContain(words);
  });

  test('all of them are named at once', async () => {
    const annotations = { ...ASKING, 'secretless.dev/egress': 'x', 'secretless.dev/native': 'y' };
    const { message } = await api.review(withAgent({ securityContext: { privileged: true } }, {}, annotations));
    expect(message).toMatch(/privileged.*native.*egress/);
  });

  test('names of ours that are taken are named', async () => {
    const taken = await api.review(
      pod(ASKING, { volumes: [{ name: 'secretless-state', emptyDir: { medium: 'Memory' } }] }),
    );
    expect(taken).toMatchObject({ allowed: false, code: 400 });
    expect(taken.message).toContain('rename it');
    const container = await api.review(pod(ASKING, { containers: [{ name: SIDECAR, image: 'x' }] }));
    expect(container.allowed).toBe(false);
  });
});

describe('pods of CyberArk’s sidecar-injector', () => {
  const BROKER = {
    'conjur.org/inject': 'true',
    'conjur.org/inject-type': 'secretless',
    'conjur.org/secretless-config': 'agent-config',
  };

  test.each([
    ['its words', BROKER],
    ['a file of a ConfigMap', { ...BROKER, 'conjur.org/secretless-config': 'configfile#agent-config' }],
    ['yes for true', { ...BROKER, 'conjur.org/inject': 'Yes' }],
    [
      'the old prefix',
      {
        'sidecar-injector.cyberark.com/inject': 'on',
        'sidecar-injector.cyberark.com/inject-type': 'secretless',
        'sidecar-injector.cyberark.com/secretless-config': 'agent-config',
      },
    ],
  ])('are understood: %s', async (_, annotations) => {
    const { pod: after, allowed } = await api.review(pod(annotations));
    expect(allowed).toBe(true);
    validate(after);
    expect(after.spec!.initContainers![0]!.image).toBe(IMAGE);
    expect(after.spec!.volumes![0]!.configMap!.name).toBe('agent-config');
    expect(await api.review(defaulted(after))).toMatchObject({ allowed: true, steps: undefined });
  });

  test('get our image where they name CyberArk’s broker, and hear of what has no effect', async () => {
    const annotations = {
      ...BROKER,
      'conjur.org/container-image': 'cyberark/secretless-broker:latest',
      'conjur.org/conjurConnConfig': 'conn',
    };
    const { pod: after, warnings } = await api.review(pod(annotations));
    expect(after.spec!.initContainers![0]!.image).toBe(IMAGE);
    expect(warnings.join('\n')).toMatch(
      /the image of this injector is used[\s\S]*conjurConnConfig has no effect|conjurConnConfig has no effect[\s\S]*the image of this injector is used/,
    );
  });

  test.each([
    ['a custom resource', { ...BROKER, 'conjur.org/secretless-config': 'k8s/crd#c' }, 'put it into a ConfigMap'],
    ['another type', { ...BROKER, 'conjur.org/inject-type': 'authenticator' }, 'leave it to CyberArk'],
    ['no type', { 'conjur.org/inject': 'true', 'conjur.org/secretless-config': 'c' }, 'inject-type is missing'],
    [
      'no config',
      { 'conjur.org/inject': 'true', 'conjur.org/inject-type': 'secretless' },
      'secretless-config is missing',
    ],
    ['mode init', { ...BROKER, 'conjur.org/container-mode': 'init' }, 'only sidecar'],
    ['a foreign image', { ...BROKER, 'conjur.org/container-image': 'evil.test/x' }, 'not from a repository'],
  ])('are denied with what to do: %s', async (_, annotations, words) => {
    const { allowed, message } = await api.review(pod(annotations));
    expect(allowed).toBe(false);
    expect(message).toContain(words);
  });
});
