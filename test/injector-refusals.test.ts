import { afterAll, beforeAll, expect, test } from 'vitest';
import { ASKING, pod, SIDECAR, withAgent, type PodObject, type PodSpec } from './injector/pods.ts';
import { type Caller, openStage, type Stage } from './injector/webhook.ts';

/* What the author of a pod could write to get at what only the sidecar has. Each of these once let an agent at it. */

let stage: Stage;
let api: Caller;

beforeAll(async () => {
  stage = await openStage();
  ({ api } = stage);
});

afterAll(() => stage.close());

const SECRETS = {
  'secretless.dev/env-secret': 'agent-keys',
  'secretless.dev/secret': 'agent-files',
  'secretless.dev/token-audience': 'sts.amazonaws.com',
};
const spec = (part: Partial<PodSpec>): PodObject => pod({ ...ASKING, ...SECRETS }, part);
const agent = (container: object, part: Partial<PodSpec> = {}): PodObject => withAgent(container, part, SECRETS);
const capabilities = (...add: string[]): object => ({ securityContext: { capabilities: { add } } });
const volume = (source: object): PodObject => spec({ volumes: [{ name: 'mine', ...source }] });
const init = (container: object): PodObject => spec({ initContainers: [{ name: 'init', image: 'i', ...container }] });
const variable = (valueFrom: object): PodObject => agent({ env: [{ name: 'X', valueFrom }] });

test.each<[string, PodObject, string]>([
  ['the processes of the node', spec({ hostPID: true }), 'hostPID'],
  ['the memory of the node', spec({ hostIPC: true }), 'hostIPC'],
  ['listeners open to the node', spec({ hostNetwork: true }), 'hostNetwork'],
  ['the node, on Windows', spec({ securityContext: { windowsOptions: { hostProcess: true } } }), 'hostProcess'],
  [
    'the node, on Windows, by a container',
    agent({ securityContext: { windowsOptions: { hostProcess: true } } }),
    'hostProcess',
  ],
  ['one process namespace', spec({ shareProcessNamespace: true }), 'shareProcessNamespace'],
  ['a privileged agent', agent({ securityContext: { privileged: true } }), 'privileged'],
  ['a privileged init container', init({ securityContext: { privileged: true } }), 'privileged'],
  ['tracing', agent(capabilities('SYS_PTRACE')), 'SYS_PTRACE'],
  [
    'tracing as root',
    agent({ securityContext: { runAsUser: 0, capabilities: { add: ['SYS_PTRACE'] } } }),
    'SYS_PTRACE',
  ],
  ['tracing, spelled otherwise', agent(capabilities('cap_sys_ptrace')), 'cap_sys_ptrace'],
  ['all capabilities', agent(capabilities('CHOWN', 'ALL')), 'ALL'],
  ['mounts and namespaces', agent(capabilities('SYS_ADMIN')), 'SYS_ADMIN'],
  ['programs in the kernel', agent(capabilities('BPF')), 'BPF'],
  ['files by handle', agent(capabilities('DAC_READ_SEARCH')), 'DAC_READ_SEARCH'],
  ['tracing in an init container', init(capabilities('SYS_PTRACE')), 'SYS_PTRACE'],
  ['listening on the network', agent(capabilities('NET_RAW')), 'NET_RAW'],
  ['turning the network', agent(capabilities('NET_ADMIN')), 'NET_ADMIN'],
  ['turning the network, lasting', init({ restartPolicy: 'Always', ...capabilities('NET_ADMIN') }), 'NET_ADMIN'],
  ['the user of the sidecar', agent({ securityContext: { runAsUser: 65532 } }), '65532'],
  ['the user of the sidecar, for all', spec({ securityContext: { runAsUser: 65532 } }), '65532'],
  ['the state', agent({ volumeMounts: [{ name: 'secretless-state', mountPath: '/s' }] }), 'secretless-state'],
  [
    'the state in an init container',
    init({ volumeMounts: [{ name: 'secretless-state', mountPath: '/s' }] }),
    'secretless-state',
  ],
  [
    'the token',
    agent({ volumeMounts: [{ name: 'secretless-token', mountPath: '/t', readOnly: true }] }),
    'secretless-token',
  ],
  [
    'the files',
    agent({ volumeMounts: [{ name: 'secretless-secret', mountPath: '/t', readOnly: true }] }),
    'secretless-secret',
  ],
  [
    'the share, to write',
    agent({ volumeMounts: [{ name: 'secretless-share', mountPath: '/run/secretless' }] }),
    'secretless-share',
  ],
  [
    'the share, by a name that is computed',
    agent({ volumeMounts: [{ name: 'secretless-share', mountPath: '/x', readOnly: true, subPathExpr: '$(A)' }] }),
    'secretless-share',
  ],
  [
    'the state as a device',
    agent({ volumeDevices: [{ name: 'secretless-state', devicePath: '/dev/x' }] }),
    'as a device',
  ],
  ['the folder of the kubelet', volume({ hostPath: { path: '/var/lib/kubelet' } }), 'folder of the node'],
  ['any folder of the node', volume({ hostPath: { path: '/opt/../proc' } }), 'folder of the node'],
  ['the Secret as files', volume({ secret: { secretName: 'agent-keys' } }), 'only the sidecar may have'],
  ['the other Secret as files', volume({ secret: { secretName: 'agent-files' } }), 'only the sidecar may have'],
  [
    'the Secret, projected',
    volume({ projected: { sources: [{ secret: { name: 'agent-keys' } }] } }),
    'only the sidecar may have',
  ],
  [
    'a token for the same audience',
    volume({ projected: { sources: [{ serviceAccountToken: { path: 't', audience: 'sts.amazonaws.com' } }] } }),
    'audience',
  ],
  ['the ConfigMap', volume({ configMap: { name: 'agent-config' } }), 'ConfigMap of the sidecar'],
  [
    'the ConfigMap, projected',
    volume({ projected: { sources: [{ configMap: { name: 'agent-config' } }] } }),
    'ConfigMap',
  ],
  [
    'the Secret as a variable',
    variable({ secretKeyRef: { name: 'agent-keys', key: 'k' } }),
    'only the sidecar may have',
  ],
  ['the ConfigMap as a variable', variable({ configMapKeyRef: { name: 'agent-config', key: 'k' } }), 'ConfigMap'],
  [
    'the Secret as all variables',
    agent({ envFrom: [{ secretRef: { name: 'agent-keys' } }] }),
    'only the sidecar may have',
  ],
  ['the ConfigMap as all variables', agent({ envFrom: [{ configMapRef: { name: 'agent-config' } }] }), 'ConfigMap'],
  [
    'the Secret in an init container',
    init({ envFrom: [{ secretRef: { name: 'agent-files' } }] }),
    'only the sidecar may have',
  ],
  ['logins led to the agent', spec({ hostAliases: [{ ip: '127.0.0.1', hostnames: ['db.test'] }] }), 'hostAliases'],
  ['logins led to the agent, IPv6', spec({ hostAliases: [{ ip: '::1', hostnames: ['db.test'] }] }), 'hostAliases'],
  [
    'logins led to the agent, IPv6 at length',
    spec({ hostAliases: [{ ip: '0:0:0:0:0:0:0:1', hostnames: ['db.test'] }] }),
    'hostAliases',
  ],
  [
    'logins led to the agent, mapped',
    spec({ hostAliases: [{ ip: '::ffff:7f00:1', hostnames: ['db.test'] }] }),
    'hostAliases',
  ],
  [
    'logins led to the agent, with zeros',
    spec({ hostAliases: [{ ip: '0127.0.0.1', hostnames: ['db.test'] }] }),
    'hostAliases',
  ],
  ['the pod called like a service', spec({ hostnameOverride: 'db.test' }), 'hostnameOverride'],
  [
    'a file of the state as a variable',
    variable({ fileKeyRef: { volumeName: 'secretless-state', path: 'ledger', key: 'k' } }),
    'comes from a volume of the sidecar',
  ],
  ['names answered by the agent', spec({ dnsPolicy: 'None', dnsConfig: { nameservers: ['127.0.0.53'] } }), 'dnsConfig'],
])('%s: denied', async (_, object, words) => {
  const { allowed, code, message } = await api.review(object);
  expect({ allowed, code }).toEqual({ allowed: false, code: 403 });
  expect(message).toContain(words);
});

test.each<[string, PodObject]>([
  ['an agent as root', agent({ securityContext: { runAsUser: 0 } })],
  ['harmless capabilities', agent(capabilities('NET_BIND_SERVICE', 'CHOWN'))],
  ['an init container that turns the network and ends', init(capabilities('NET_ADMIN', 'NET_RAW'))],
  [
    'the share, to read, somewhere else too',
    agent({ volumeMounts: [{ name: 'secretless-share', mountPath: '/s', readOnly: true }] }),
  ],
  [
    'other Secrets',
    agent(
      { envFrom: [{ secretRef: { name: 'other' } }] },
      { volumes: [{ name: 'mine', secret: { secretName: 'other' } }] },
    ),
  ],
  [
    'a token for somebody else',
    volume({ projected: { sources: [{ serviceAccountToken: { path: 't', audience: 'vault' } }] } }),
  ],
  ['a name of the pod that is no service', spec({ hostnameOverride: 'agent-1' })],
  ['a file of its own as a variable', variable({ fileKeyRef: { volumeName: 'mine', path: 'x', key: 'k' } })],
  ['names that lead elsewhere', spec({ hostAliases: [{ ip: '10.1.2.3', hostnames: ['db.test'] }] })],
  [
    'another name server',
    spec({ dnsConfig: { nameservers: ['10.96.0.10'], options: [{ name: 'ndots', value: '2' }] } }),
  ],
])('%s: admitted', async (_, object) => {
  const { allowed, message, pod: after } = await api.review(object);
  expect(message).toBe('');
  expect(allowed).toBe(true);
  expect(after.spec!.initContainers!.map(({ name }) => name)).toContain(SIDECAR);
});

test('a port, a system and a time to end that cannot work are named', async () => {
  const port = await api.review(agent({ ports: [{ containerPort: 5335 }] }));
  expect(port).toMatchObject({ allowed: false, code: 400 });
  const windows = await api.review(spec({ os: { name: 'windows' } }));
  expect(windows.message).toContain('linux');
  const hurried = await api.review(spec({ terminationGracePeriodSeconds: 5 }));
  expect(hurried.allowed).toBe(true);
  expect(hurried.warnings.join()).toContain('terminationGracePeriodSeconds');
  const elsewhere = agent(
    { volumeMounts: [{ name: 'mine', mountPath: '/run/secretless/' }] },
    { volumes: [{ name: 'mine', emptyDir: {} }] },
  );
  expect((await api.review(elsewhere)).message).toContain('mounts something else at /run/secretless');
  const mirror = await api.review(pod({ ...ASKING, 'kubernetes.io/config.mirror': 'x' }));
  expect(mirror.message).toContain('static pod');
});

test('what a pod that asks for nothing does is no matter of this webhook', async () => {
  const object = pod({}, { hostNetwork: true, hostPID: true });
  expect(await api.review(object)).toMatchObject({ allowed: true, steps: undefined });
});
