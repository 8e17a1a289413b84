import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canary, keepArtefact } from './canary.ts';
import { Charts, goldens, manifestsOf, noHelm, valueNames, VALUES, type WorkloadOptions } from './charts/helm.ts';
import { podOf, restrictedProblems, type Pod } from './charts/restricted.ts';

const all = goldens();
const pods = all.flatMap(({ from, manifest }) => {
  const pod = podOf(manifest);
  return pod === undefined ? [] : { from, pod };
});
const setsRules = (from: string) => /^(03-transparent|11-confined)/.test(from);
/** A pod that is good, to make bad ones of. */
const good = pods.find(({ from }) => from.startsWith('01-minimal.'))!.pod;

const AGENT = 'spec.containers.0.securityContext';
const SIDECAR = 'spec.initContainers.0.securityContext';
const POD_CONTEXT = 'spec.securityContext';
/** Changes to a pod that the restricted profile refuses, each for one rule of it: a place and what stands there then. */
const FORBIDDEN: readonly (readonly [string, string, unknown])[] = [
  ['hostNetwork', 'spec.hostNetwork', true],
  ['hostPID', 'spec.hostPID', true],
  ['hostIPC', 'spec.hostIPC', true],
  ['a folder of the node', 'spec.volumes.3', { name: 'x', hostPath: { path: '/' } }],
  ['a volume of NFS', 'spec.volumes.3', { name: 'x', nfs: { server: 'x', path: '/' } }],
  ['a sysctl', `${POD_CONTEXT}.sysctls`, [{ name: 'kernel.msgmax', value: '1' }]],
  ['privileged', `${SIDECAR}.privileged`, true],
  ['escalation', `${AGENT}.allowPrivilegeEscalation`, undefined],
  ['escalation of the sidecar', `${SIDECAR}.allowPrivilegeEscalation`, true],
  ['capabilities kept', `${SIDECAR}.capabilities.drop`, ['NET_RAW']],
  ['a capability', `${AGENT}.capabilities.add`, ['NET_ADMIN']],
  ['root by the pod', `${POD_CONTEXT}.runAsUser`, 0],
  ['root by a container', `${AGENT}.runAsUser`, 0],
  ['no word against root', `${POD_CONTEXT}.runAsNonRoot`, undefined],
  ['a word for root', `${AGENT}.runAsNonRoot`, false],
  ['no seccomp', `${POD_CONTEXT}.seccompProfile`, undefined],
  ['seccomp off', `${AGENT}.seccompProfile`, { type: 'Unconfined' }],
  ['AppArmor off', `${AGENT}.appArmorProfile`, { type: 'Unconfined' }],
  ['SELinux', `${POD_CONTEXT}.seLinuxOptions`, { type: 'spc_t' }],
  ['a user of SELinux', `${POD_CONTEXT}.seLinuxOptions`, { user: 'root' }],
  ['/proc unmasked', `${AGENT}.procMount`, 'Unmasked'],
  ['a port of the node', 'spec.initContainers.0.ports.0.hostPort', 5335],
  ['a process of the node', `${POD_CONTEXT}.windowsOptions`, { hostProcess: true }],
  ['a probe of another host', 'spec.initContainers.0.livenessProbe.httpGet.host', '169.254.169.254'],
];

function forbidden(): { from: string; pod: Pod }[] {
  return FORBIDDEN.map(([from, path, value]) => ({ from, pod: changed(good, path, value) }));
}

function changed(pod: Pod, path: string, value: unknown): Pod {
  const copy = structuredClone(pod);
  const steps = path.split('.');
  const last = steps.pop()!;
  const place = steps.reduce(
    (at, step) => at[step] as Record<string, unknown>,
    copy as unknown as Record<string, unknown>,
  );
  if (value === undefined) delete place[last];
  else place[last] = value;
  return copy;
}

describe('the restricted profile of Pod Security', () => {
  test('refuses no golden pod but those with rules of the network', () => {
    expect(pods.length).toBeGreaterThan(10);
    for (const { from, pod } of pods) {
      if (setsRules(from)) continue;
      expect(restrictedProblems(pod), from).toEqual([]);
    }
  });

  test('refuses of those the container that sets the rules, and nothing else', () => {
    const found = pods.filter(({ from }) => setsRules(from));
    expect(found).toHaveLength(2);
    for (const { pod } of found) {
      expect(restrictedProblems(pod)).toEqual([
        'secretless-redirect: runAsUser 0',
        'secretless-redirect: runAsNonRoot false',
        'secretless-redirect: adds NET_ADMIN',
        'secretless-redirect: runAsNonRoot is not true',
      ]);
    }
  });

  test.each(forbidden())('as checked here refuses $from', ({ pod }) => {
    expect(restrictedProblems(good)).toEqual([]);
    expect(restrictedProblems(pod)).not.toEqual([]);
  });

  test('as the API server checks it says the same of all of them', { timeout: 300_000 }, ({ skip }) => {
    const bad = forbidden();
    const asked = [...pods, ...bad].map(({ from, pod: { metadata, spec } }) => ({ from, metadata, spec }));
    const { answer, missing } = admission(JSON.stringify(asked));
    if (missing !== undefined) return skip(missing);
    const refused = (JSON.parse(answer) as { from: string }[]).map(({ from }) => from);
    const ruled = pods.filter(({ from }) => setsRules(from));
    expect(refused.sort()).toEqual([...ruled, ...bad].map(({ from }) => from).sort());
  });
});

/** Asks `test/charts/admission`, by `go run`: its modules come from the module proxy where they are not there yet. */
function admission(input: string): { answer: string; missing?: string } {
  const cwd = fileURLToPath(new URL('charts/admission', import.meta.url));
  const go = (words: string[], seconds: number, stdin = '') =>
    spawnSync('go', words, { cwd, input: stdin, encoding: 'utf8', timeout: seconds * 1000 });
  if (go(['version'], 30).status !== 0) return { answer: '', missing: 'go is not installed' };
  const fetched = go(['mod', 'download'], 120);
  if (fetched.status !== 0)
    return { answer: '', missing: `the modules cannot be had: ${fetched.stderr.slice(0, 200)}` };
  const ran = go(['run', '-mod=readonly', '.'], 280, input);
  // A slow machine is no finding.
  if (ran.error !== undefined) return { answer: '', missing: `it did not end in time: ${ran.error.message}` };
  expect(ran.stderr).toBe('');
  return { answer: ran.stdout };
}

describe('the library, with helm,', () => {
  let charts: Charts | undefined;
  beforeAll(() => {
    if (noHelm === undefined) charts = new Charts();
  });
  afterAll(() => charts?.remove());

  const api = (more: object, service: object = {}) => ({
    version: '2',
    services: { api: { connector: 'http', listenOn: 'tcp://127.0.0.1:8081', credentials: {}, ...service } },
    ...more,
  });
  const secret = canary('+/');
  const key = `-----BEGIN PRIVATE KEY-----\n${canary()}\n-----END PRIVATE KEY-----\n`;
  const CLEAR: readonly (readonly [string, object])[] = [
    ['a credential', api({}, { credentials: { token: secret } })],
    ['a number', api({}, { credentials: { pin: 12345678 } })],
    ['a literal', api({}, { credentials: { token: { from: 'literal', get: secret } } })],
    ['a literal for all', api({}, { credentials: { from: 'literal', get: secret } })],
    [
      'a literal by another name',
      api({ providers: { mine: { type: 'literal' } } }, { credentials: { token: { from: 'mine', get: secret } } }),
    ],
    ['a password of a database', api({}, { connector: 'postgres', credentials: { host: 'db', password: secret } })],
    ['a URL with a password', api({}, { connector: 'pg', credentials: { url: `postgres://me:${secret}@db/x` } })],
    ['a key of AWS', api({}, { connector: 'aws', credentials: { accessKeyId: 'AKIAX', secretAccessKey: secret } })],
    ['a key of SSH', api({}, { connector: 'ssh', credentials: { host: 'h', privateKey: key } })],
    ['a key of TLS', api({}, { tls: { cert: '/x', key } })],
    ['a header', api({}, { config: { headers: { Authorization: `Bearer ${secret}` } } })],
    ['a part of the query', api({}, { config: { queryParams: { api_key: secret } } })],
    ['a token of an agent', api({ agents: { scanner: { token: secret } } })],
    ['a password of a proxy', api({ egress: { upstreamProxy: { url: 'http://p:1', password: secret } } })],
    ['a proxy with a password', api({ egress: { upstreamProxy: `http://me:${secret}@proxy:3128` } })],
    ['a key anywhere', api({ anywhere: [{ at: key }] })],
  ];

  test.for(CLEAR)('refuses %s in clear, and its message does not have it', ([, config], { skip }) => {
    if (charts === undefined) return skip(noHelm);
    const { ok, text } = charts.workload(POD, JSON.stringify({ secretless: { config } }));
    keepArtefact('helm', text);
    expect(ok).toBe(false);
    expect(text).toMatch(/ConfigMap would show it/);
    expect(text).not.toContain('canary');
    expect(text).not.toContain('12345678');
  });

  test.for([
    ['a variable of the sidecar', { credentials: { token: '${API_TOKEN}' } }],
    ['a provider', { credentials: { token: { from: 'file', get: '/x' } } }],
    ['all from a provider', { connector: 'aws', credentials: { from: 'aws-sts', get: 'arn:aws:iam::1:role/x' } }],
    ['where to log in', { connector: 'pg', credentials: { host: 'db', username: 'me', application_name: 'x' } }],
    ['a path of a key', { tls: { cert: '/x/cert', key: '/x/key' } }],
    ['a header that a template fills', { config: { headers: { Authorization: 'Bearer {{ .token }}' } } }],
  ] as const)('takes %s', ([, service], { skip }) => {
    if (charts === undefined) return skip(noHelm);
    const { ok, text } = charts.workload(POD, JSON.stringify({ secretless: { config: api({}, service) } }));
    expect(ok, text).toBe(true);
  });

  test('puts no value of a Secret anywhere, and gives none to the agent', ({ skip }) => {
    if (charts === undefined) return skip(noHelm);
    for (const name of valueNames()) {
      const { stdout } = charts.render(join(VALUES, `${name}.yml`));
      for (const manifest of manifestsOf(stdout)) {
        expect(manifest.kind).not.toBe('Secret');
        for (const { name: container, ...rest } of podOf(manifest)?.spec.containers ?? []) {
          if (container !== 'secretless-sidecar') expect(JSON.stringify(rest)).not.toMatch(/secretKeyRef|secretRef/);
        }
      }
    }
  });

  const lent = {
    env: [{ name: 'API_TOKEN', secret: 'api', key: 'token' }],
    files: [{ secret: 'db', key: 'password' }],
  };
  const tokens = { ...lent, serviceAccountTokens: [{ audience: 'sts.amazonaws.com', path: 'aws' }] };
  const agent = (more: object) => ({ containers: [{ name: 'agent', image: 'agent:1', ...more }] });
  const volume = (source: object) => ({ ...POD, volumes: [{ name: 'mine', ...source }] });
  const from = (name: string, of: string) => ({ env: [{ name: 'X', valueFrom: { secretKeyRef: { name, key: of } } }] });
  const CONFINED = { runAsUser: 10001, allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };
  const confined = (more: object) => agent({ securityContext: { ...CONFINED, ...more } });
  const confine = { confine: { enabled: true } };
  const alias = (ip: string) => ({ ...POD, hostAliases: [{ ip, hostnames: ['db'] }] });
  const REFUSED: readonly (readonly [string, object, RegExp, object?, WorkloadOptions?])[] = [
    ['a Job beside a plain container', POD, /would never end/, { native: false }, { kind: 'Job' }],
    ['one process namespace', { ...POD, shareProcessNamespace: true }, /shareProcessNamespace/],
    ['the processes of the node', { ...POD, hostPID: true }, /hostPID/],
    ['the memory of the node', { ...POD, hostIPC: true }, /hostIPC/],
    ['the network of the node', { ...POD, hostNetwork: true }, /hostNetwork/],
    ['names that lead back', { ...POD, hostAliases: [{ ip: '127.0.0.1', hostnames: ['db'] }] }, /hostAliases lead db/],
    ['names that lead back, at length', alias('0:0:0:0:0:0:0:1'), /hostAliases lead db/],
    ['names that lead back, in quads', alias('::0.0.0.1'), /hostAliases lead db/],
    ['names that lead back, mapped', alias('::FFFF:7f00:1'), /hostAliases lead db/],
    ['names that lead back, with zeros', alias('0127.0.0.1'), /hostAliases lead db/],
    ['a pod called like a service', { ...POD, hostnameOverride: 'db.test' }, /hostnameOverride leads db.test/],
    ['a name server in the pod', { ...POD, dnsConfig: { nameservers: ['127.0.0.53'] } }, /dnsConfig/],
    ['a container called so', { containers: [{ name: 'secretless-sidecar', image: 'x' }] }, /has a container/],
    ['a privileged agent', agent({ securityContext: { privileged: true } }), /is privileged/],
    ['a debugger', agent({ securityContext: { capabilities: { add: ['CAP_SYS_PTRACE'] } } }), /adds CAP_SYS_PTRACE/],
    ['a listener', agent({ securityContext: { capabilities: { add: ['NET_RAW'] } } }), /adds NET_RAW/],
    ['the same user', agent({ securityContext: { runAsUser: 65532 } }), /runs as user 65532/],
    ['the same user by the pod', { ...POD, securityContext: { runAsUser: 65532 } }, /runs as user 65532/],
    [
      'the same user, a large one',
      agent({ securityContext: { runAsUser: 1_000_650_000 } }),
      /runs as user 1000650000/,
      { user: 1_000_650_000 },
    ],
    ['confined, the user of an image', agent({}), /must name its user/, confine],
    ['confined, no user', confined({ runAsUser: null }), /must name its user/, confine],
    ['confined, what a runtime gives', confined({ capabilities: {} }), /must drop ALL/, confine],
    [
      'confined, a change of user',
      confined({ capabilities: { drop: ['ALL'], add: ['SETUID'] } }),
      /not add SETUID/,
      confine,
    ],
    [
      'confined, programs of another user',
      confined({ allowPrivilegeEscalation: true }),
      /allowPrivilegeEscalation: false/,
      confine,
    ],
    ['the same port', agent({ ports: [{ containerPort: 5335 }] }), /port 5335/],
    [
      'a mount of its state',
      agent({ volumeMounts: [{ name: 'secretless-state', mountPath: '/x' }] }),
      /mounts secretless-state/,
    ],
    [
      'its state as a device',
      agent({ volumeDevices: [{ name: 'secretless-state', devicePath: '/x' }] }),
      /mounts secretless-state/,
    ],
    [
      'a file of its state as a variable',
      agent({
        env: [{ name: 'X', valueFrom: { fileKeyRef: { volumeName: 'secretless-state', path: 'x', key: 'k' } } }],
      }),
      /gets X from a volume of the sidecar/,
    ],
    ['its configuration', volume({ configMap: { name: 'demo-secretless' } }), /holds the ConfigMap/],
    [
      'its configuration, one among others',
      volume({ projected: { sources: [{ configMap: { name: 'demo-secretless' } }] } }),
      /holds the ConfigMap/,
    ],
    [
      'its configuration as variables',
      agent({ envFrom: [{ configMapRef: { name: 'demo-secretless' } }] }),
      /ConfigMap/,
    ],
    ['a volume called so', { ...POD, volumes: [{ name: 'secretless-state', emptyDir: {} }] }, /has a volume/],
    ['a folder of the node', volume({ hostPath: { path: '/var' } }), /folder of the node/],
    ['a lent variable', agent(from('api', 'token')), /which the sidecar lends/],
    ['a lent file as a variable', agent(from('db', 'password')), /which the sidecar lends/],
    ['all of a lent Secret', agent({ envFrom: [{ secretRef: { name: 'api' } }] }), /gets all of the Secret api/],
    ['a lent Secret as a volume', volume({ secret: { secretName: 'db' } }), /holds the Secret db/],
    ['one among others', volume({ projected: { sources: [{ secret: { name: 'db' } }] } }), /holds the Secret db/],
    [
      'a token for the same audience',
      volume({ projected: { sources: [{ serviceAccountToken: { audience: 'sts.amazonaws.com' } }] } }),
      /token for the audience/,
    ],
    [
      'an init container that has it',
      { ...POD, initContainers: [{ name: 'i', image: 'x', ...from('api', 'token') }] },
      /lends/,
    ],
    ['a container that is not there', POD, /no container nobody/, { agent: { containers: ['nobody'] } }],
    ['redirection without its mode', POD, /needs config.egress.mode/, { transparent: { enabled: true } }],
    ['rules by a user that is not known', POD, /need a user/, { user: null, confine: { enabled: true } }],
    ['two configurations', POD, /exclude each other/, { existingConfigMap: 'x' }],
    ['no configuration', POD, /write config/, { config: null }],
  ];

  test.for(REFUSED)('refuses %s', ([, pod, message, values, options], { skip }) => {
    if (charts === undefined) return skip(noHelm);
    const config = api({}, { credentials: { token: { from: 'env', get: 'API_TOKEN' } } });
    const secretless = { config, secrets: tokens, ...values };
    const { ok, text } = charts.workload(pod, JSON.stringify({ secretless }), options);
    expect(text).toMatch(message);
    expect(ok).toBe(false);
  });

  test('takes the pod that all of those were made of, and another key of a lent Secret', ({ skip }) => {
    if (charts === undefined) return skip(noHelm);
    const config = api({}, { credentials: { token: { from: 'env', get: 'API_TOKEN' } } });
    const values = JSON.stringify({ secretless: { config, secrets: tokens } });
    for (const pod of [POD, agent(from('api', 'public'))]) {
      const { ok, text } = charts.workload(pod, values);
      expect(ok, text).toBe(true);
    }
  });

  test('takes an agent that is confined, and names that lead elsewhere', ({ skip }) => {
    if (charts === undefined) return skip(noHelm);
    const config = api({}, { credentials: { token: { from: 'env', get: 'API_TOKEN' } } });
    const aliases = ['10.1.2.7', '100.0.0.1', 'fd00::1', '::ffff:10.0.0.1'].map((ip) => alias(ip).hostAliases[0]);
    const pod = { ...confined({}), hostAliases: aliases, hostnameOverride: 'agent-1' };
    const { ok, text } = charts.workload(pod, JSON.stringify({ secretless: { config, ...confine } }));
    expect(ok, text).toBe(true);
  });

  test('writes names as text whatever they look like', ({ skip }) => {
    if (charts === undefined) return skip(noHelm);
    const config = api({}, { credentials: { token: { from: 'env', get: 'API_TOKEN' } } });
    const secrets = {
      env: [{ name: 'API_TOKEN', secret: '123', key: 'true' }],
      files: [{ secret: '1e3', key: 'null' }],
      serviceAccountTokens: [{ audience: 'a: #b', path: '7' }],
    };
    const { ok, stdout } = charts.workload(POD, JSON.stringify({ secretless: { config, secrets } }));
    expect(ok).toBe(true);
    const text = JSON.stringify(manifestsOf(stdout));
    expect(text).toContain('{"key":"true","name":"123"}');
    expect(text).toContain('"secret":{"items":[{"key":"null","path":"null"}],"name":"1e3"}');
    expect(text).toMatch(/"audience":"a: #b","expirationSeconds":3600,"path":"7"/);
  });

  test('says that agents’ tokens have no place in a pod', ({ skip }) => {
    if (charts === undefined) return skip(noHelm);
    const agents = { scanner: { token: { from: 'env', get: 'SCANNER' } } };
    const egress = { listenOn: 'tcp://127.0.0.1:3128' };
    const ask = (config: object) => charts!.workload(POD, JSON.stringify({ secretless: { config } }));
    expect(ask(api({ agents, egress })).text).toMatch(/config.egress.agent/);
    expect(ask(api({ agents, egress: { ...egress, agent: 'scanner' } })).ok).toBe(true);
  });
});

const POD = { containers: [{ name: 'agent', image: 'agent:1' }] };
