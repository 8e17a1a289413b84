import { X509Certificate } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import { nextStep, timesOf, type Kept } from '../src/injector/rotation.ts';
import { makeServingIdentity } from '../src/injector/serving-identity.ts';
import { Cluster, SECRET_PATH, WEBHOOK_PATH } from './injector/kubernetes.ts';
import { pod } from './injector/pods.ts';
import { Caller, HOST, pause, review, startWebhook, type Webhook } from './injector/webhook.ts';

/* The webhook's own certificate: made, shared and renewed through the API of a cluster. */

const PATIENCE_MS = 30_000;

async function openCluster(): Promise<Cluster> {
  const cluster = await Cluster.open();
  onTestFinished(() => cluster.close());
  return cluster;
}

async function start(cluster: Cluster, ...words: string[]): Promise<Webhook> {
  const webhook = await startWebhook([...cluster.words, ...words], cluster.env);
  onTestFinished(async () => void (await webhook.end()));
  return webhook;
}

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await pause(20)) if (await holds()) return;
  throw new Error(`did not come: ${what}`);
}

const certificates = (bundle: string): string[] => bundle.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----\n/g) ?? [];
const days = (seconds: number): string[] => ['--certificate-days', String(seconds / 86_400)];

async function admits(webhook: Webhook, ca: string): Promise<boolean> {
  const caller = new Caller(webhook.port, ca, { keepAlive: false });
  const reviewed = await caller.review(pod());
  return reviewed.allowed && reviewed.steps !== undefined;
}

test('a new cluster gets an authority in every webhook, and its key is kept nowhere', async () => {
  const cluster = await openCluster();
  const webhook = await start(cluster);
  await webhook.ready();
  const authority = new X509Certificate(cluster.trusted);
  expect(authority.ca).toBe(true);
  expect(await admits(webhook, cluster.trusted)).toBe(true);
  const entries = cluster.objects.get(SECRET_PATH)!.data!;
  expect(Object.keys(entries).sort()).toEqual(['ca.crt', 'tls.crt', 'tls.key']);
  const leaf = new X509Certificate(cluster.secret('tls.crt'));
  expect(leaf.checkHost(HOST)).toBe(HOST);
  expect(authority.checkPrivateKey(await keyOf(cluster.secret('tls.key')))).toBe(false);
  expect(leaf.checkPrivateKey(await keyOf(cluster.secret('tls.key')))).toBe(true);
  expect(webhook.log()).not.toContain(entries['tls.key']!.slice(0, 60));
});

async function keyOf(pem: string) {
  return (await import('node:crypto')).createPrivateKey(pem);
}

test('three replicas that start together serve one certificate', { timeout: 60_000 }, async () => {
  const cluster = await openCluster();
  // The first reads wait for one another, so that all replicas see an empty Secret.
  let readers = 0;
  cluster.before = async (method, path) => {
    if (method !== 'GET' || path !== SECRET_PATH || readers >= 3) return;
    readers += 1;
    for (let wait = 0; readers < 3 && wait < 500; wait += 1) await pause(20);
  };
  const replicas = await Promise.all([1, 2, 3].map(() => start(cluster)));
  await Promise.all(replicas.map((replica) => replica.ready()));
  expect(readers).toBe(3);
  expect(cluster.statuses('PUT').filter((status) => status === 200)).toHaveLength(1);
  expect(cluster.statuses('PUT').filter((status) => status === 409).length).toBeGreaterThan(0);
  expect(certificates(cluster.trusted)).toHaveLength(1);
  for (const replica of replicas) expect(await admits(replica, cluster.trusted)).toBe(true);
});

test('no admission fails while two replicas go through two certificates', { timeout: 90_000 }, async () => {
  const cluster = await openCluster();
  const replicas = await Promise.all([1, 2].map(() => start(cluster, ...days(15))));
  await Promise.all(replicas.map((replica) => replica.ready()));
  const first = cluster.secret('ca.crt');
  const open = new Caller(replicas[0]!.port, cluster.trusted);
  onTestFinished(() => open.close());
  await open.review(pod());
  let admitted = 0;
  let isDone = false;
  // API servers hear of a bundle a little later, and call whichever replica they meet.
  const calling = replicas.map(async (replica) => {
    while (!isDone) {
      const known = cluster.trusted;
      await pause(100);
      expect(await admits(replica, known)).toBe(true);
      admitted += 1;
    }
  });
  await until(() => cluster.secret('ca.crt') !== first, 'a second certificate');
  const second = cluster.secret('ca.crt');
  await until(() => ![first, second].includes(cluster.secret('ca.crt')), 'a third certificate');
  isDone = true;
  await Promise.all(calling);
  expect(admitted).toBeGreaterThan(50);
  expect(await open.post(JSON.stringify(review(pod())))).toMatchObject({ status: 200, reused: true });
  // Each authority stood beside the one before it, at first and again while it was served.
  const overlaps = cluster.bundles.filter((bundle) => bundle.includes(first) && bundle.includes(second));
  expect(overlaps.length).toBeGreaterThan(0);
  for (const bundle of cluster.bundles) expect(certificates(bundle).length).toBeLessThanOrEqual(3);
});

test('a bundle that somebody took away comes back', async () => {
  const cluster = await openCluster();
  const webhook = await start(cluster, ...days(30));
  await webhook.ready();
  const before = cluster.trusted;
  for (const { clientConfig } of cluster.objects.get(WEBHOOK_PATH)!.webhooks!) delete clientConfig.caBundle;
  await until(() => cluster.trusted === before, 'the bundle');
});

test('a Secret with broken contents is replaced, and one for another name', async () => {
  const cluster = await openCluster();
  const foreign = await makeServingIdentity('other.secretless.svc', 86_400_000, new Date());
  const data = {
    'ca.crt': foreign.authority,
    'tls.crt': foreign.certificate,
    'tls.key': foreign.key.export({ type: 'pkcs8', format: 'pem' }).toString(),
  };
  const encoded = Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')] as const);
  cluster.objects.get(SECRET_PATH)!.data = { ...Object.fromEntries(encoded), 'before-ca.crt': 'bm9uZQ==' };
  const webhook = await start(cluster);
  await webhook.ready();
  expect(cluster.secret('ca.crt')).not.toBe(foreign.authority);
  expect(await admits(webhook, cluster.trusted)).toBe(true);
});

test('the token is read anew for each call', async () => {
  const cluster = await openCluster();
  const webhook = await start(cluster, ...days(30));
  await webhook.ready();
  cluster.changeToken();
  const from = cluster.calls.length;
  await until(() => cluster.calls.length > from + 4, 'more calls');
  // One call may have been on its way.
  expect(cluster.calls.slice(from + 1).every(({ status }) => status === 200)).toBe(true);
});

test('without the right to make a Secret it says so, is alive and not ready, and comes when there is one', async () => {
  const cluster = await openCluster();
  const secret = cluster.objects.get(SECRET_PATH)!;
  cluster.objects.delete(SECRET_PATH);
  const webhook = await start(cluster);
  await until(() => webhook.log().includes('secrets is forbidden'), 'the reason');
  expect((await fetch(`${webhook.telemetry}/livez`)).status).toBe(200);
  expect((await fetch(`${webhook.telemetry}/readyz`)).status).toBe(503);
  cluster.objects.set(SECRET_PATH, secret);
  await webhook.ready();
});

test('with the right to make it the Secret is made, by one of two', async () => {
  const cluster = await openCluster();
  cluster.objects.delete(SECRET_PATH);
  cluster.mayCreate = true;
  const replicas = await Promise.all([1, 2].map(() => start(cluster)));
  await Promise.all(replicas.map((replica) => replica.ready()));
  expect(cluster.statuses('POST').filter((status) => status === 201)).toHaveLength(1);
});

test('an API server that cannot be reached later leaves the webhook as it is', { timeout: 60_000 }, async () => {
  const cluster = await openCluster();
  const webhook = await start(cluster, ...days(30));
  await webhook.ready();
  const known = cluster.trusted;
  cluster.before = () => new Promise(() => undefined);
  await pause(1000);
  expect(await admits(webhook, known)).toBe(true);
  expect(await webhook.end('SIGTERM').then((code) => code)).toBe(0);
});

describe.each([
  ['28', false],
  ['29', true],
  ['33+', true],
])('in a cluster of version 1.%s', (minor, native) => {
  test(`the sidecar is ${native ? 'native' : 'a plain container'}`, async () => {
    const cluster = await openCluster();
    cluster.version = { major: '1', minor };
    const webhook = await start(cluster);
    await webhook.ready();
    const caller = new Caller(webhook.port, cluster.trusted);
    onTestFinished(() => caller.close());
    const { pod: after } = await caller.review(pod());
    expect(after.spec!.initContainers?.length ?? 0).toBe(native ? 1 : 0);
  });
});

describe('what is due', async () => {
  const times = timesOf(30 * 86_400_000);
  const now = new Date('2026-01-01T00:00:00Z');
  const later = (ms: number): Date => new Date(now.getTime() + ms);
  const current = await makeServingIdentity(HOST, times.lifeMs, now);
  const next = await makeServingIdentity(HOST, times.lifeMs, later((times.lifeMs * 2) / 3));
  const kept: Kept = { current };
  const both: Kept = { current, next };

  test('of nothing, or of what has ended, is a beginning', () => {
    expect(nextStep(undefined, undefined, now, times)).toBe('begin');
    expect(nextStep(kept, undefined, later(times.lifeMs), times)).toBe('begin');
  });

  test('a successor comes at two thirds of its life', () => {
    expect(nextStep(kept, undefined, later((times.lifeMs * 2) / 3 - 1000), times)).toBe('none');
    expect(nextStep(kept, undefined, later((times.lifeMs * 2) / 3), times)).toBe('prepare');
  });

  test('it is served ten minutes after API servers heard of it, and not before they did', () => {
    const at = later((times.lifeMs * 2) / 3 + 1000);
    expect(nextStep(both, undefined, at, times)).toBe('none');
    expect(nextStep(both, 599_999, at, times)).toBe('none');
    expect(nextStep(both, 600_000, at, times)).toBe('promote');
  });
});
