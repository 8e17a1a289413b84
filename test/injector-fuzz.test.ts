import { afterAll, beforeAll, expect, test } from 'vitest';
import { ASKING, pod, SIDECAR } from './injector/pods.ts';
import { type Caller, openStage, readReview, review, type Stage, type Webhook } from './injector/webhook.ts';

/* 10,000 bodies that no API server sends, or none in its right mind. */

const BODIES = 10_000;
const AT_ONCE = 4;
const SEED = Number(process.env['SECRETLESS_FUZZ_SEED'] ?? 20_261_122);

let stage: Stage;
let webhook: Webhook;
let api: Caller;

beforeAll(async () => {
  stage = await openStage();
  ({ api, webhook } = stage);
});

afterAll(() => stage.close());

/** mulberry32: the same bodies for the same seed. */
function randoms(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

type Random = (below: number) => number;

const ODD: readonly unknown[] = [
  ...[null, true, false, 0, -1, 65532, 1e308, '', 'true', 'secretless-sidecar', '\u0000', '../..', '__proto__'],
  ...[
    'x'.repeat(5000),
    [],
    {},
    [null],
    [[]],
    [{}],
    { name: 1 },
    { name: 'secretless-state' },
    ['SYS_PTRACE'],
    'Always',
  ],
];
const KEYS = [
  ...[
    'metadata',
    'annotations',
    'spec',
    'containers',
    'initContainers',
    'volumes',
    'name',
    'env',
    'envFrom',
    'request',
  ],
  ...['volumeMounts', 'securityContext', 'capabilities', 'add', 'hostNetwork', 'uid', 'object', 'kind', 'operation'],
  ...['secretless.dev/inject', 'secretless.dev/config', 'secretless.dev/egress', 'conjur.org/inject', '__proto__'],
  ...['constructor', 'toString', 'hasOwnProperty', 'projected', 'sources', 'hostAliases', 'dnsConfig', 'ports'],
];

/** Changes one place somewhere below `value`. */
function damaged(value: unknown, random: Random): unknown {
  if (typeof value !== 'object' || value === null || random(6) === 0) return ODD[random(ODD.length)];
  if (Array.isArray(value)) {
    const copy = [...(value as unknown[])];
    const at = random(copy.length + 1);
    if (random(3) === 0) copy.splice(at, 1);
    else copy[at] = damaged(copy[at], random);
    return copy;
  }
  const keys = Object.keys(value);
  const key = keys.length > 0 && random(4) > 0 ? keys[random(keys.length)]! : KEYS[random(KEYS.length)]!;
  if (random(8) === 0) return Object.fromEntries(Object.entries(value).filter(([each]) => each !== key));
  const part = Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
  // Through entries, so that __proto__ becomes a key.
  return Object.fromEntries([...Object.entries(value).filter(([each]) => each !== key), [key, damaged(part, random)]]);
}

const PODS = [
  pod(),
  pod({}),
  pod({ ...ASKING, 'secretless.dev/egress': '3128', 'secretless.dev/env-secret': 'keys' }),
  pod({ ...ASKING, 'secretless.dev/native': 'false' }, { initContainers: [{ name: 'i', image: 'i' }] }),
  pod({ 'conjur.org/inject': 'true', 'conjur.org/inject-type': 'secretless', 'conjur.org/secretless-config': 'c' }),
  pod(ASKING, {
    hostAliases: [{ ip: '10.0.0.1', hostnames: ['a'] }],
    volumes: [{ name: 'v', projected: { sources: [{ secret: { name: 's' } }] } }],
    containers: [{ name: 'agent', image: 'a', env: [{ name: 'A', value: 'b' }], ports: [{ containerPort: 80 }] }],
  }),
];

function bodyOf(random: Random): string | Buffer {
  const whole = PODS[random(PODS.length)]!;
  const part = ['review', 'spec', 'annotations'][random(3)];
  let value: unknown =
    part === 'spec' ? whole.spec : part === 'annotations' ? whole.metadata.annotations : review(whole);
  for (let times = random(3); times >= 0; times -= 1) value = damaged(value, random);
  if (part === 'spec') value = review({ ...whole, spec: value });
  if (part === 'annotations') value = review({ ...whole, metadata: { name: 'agent', annotations: value } });
  const text = JSON.stringify(value) ?? '';
  if (random(10) > 0) return text;
  const bytes = Buffer.from(text);
  for (let times = random(5); times >= 0 && bytes.length > 0; times -= 1) bytes[random(bytes.length)] = random(256);
  return random(3) === 0 ? bytes.subarray(0, random(bytes.length + 1)) : bytes;
}

/** Whether a body asks for a sidecar, told without the code under test. */
function asks(body: string): boolean {
  const { request } = JSON.parse(body) as {
    request: { object?: { metadata?: { annotations?: object } } } & Record<string, unknown>;
  };
  const entries = new Map(Object.entries(request.object?.metadata?.annotations ?? {}));
  const own = entries.get('secretless.dev/inject');
  const asked =
    own === 'true' || (own === undefined && /^(y|yes|true|on)$/i.test(String(entries.get('conjur.org/inject'))));
  return asked && request['operation'] === 'CREATE' && JSON.stringify(request['kind']).includes('"Pod"');
}

test(`${BODIES} bodies: never a crash, never a patch for what was not asked`, { timeout: 180_000 }, async () => {
  const random = randoms(SEED);
  const seen = { status200: 0, status400: 0, patched: 0, denied: 0 };
  async function one(): Promise<void> {
    const body = bodyOf(random);
    const { status, body: answer } = await api.post(body);
    expect([200, 400]).toContain(status);
    if (status === 400) return void (seen.status400 += 1);
    seen.status200 += 1;
    const text = body.toString();
    const { object } = (JSON.parse(text) as { request: { object?: unknown } }).request;
    const reviewed = readReview(object, answer);
    if (!reviewed.allowed) return void (seen.denied += 1);
    if (reviewed.steps === undefined) return;
    seen.patched += 1;
    expect(asks(text), text).toBe(true);
    const { spec } = reviewed.pod;
    expect([...spec!.containers, ...(spec!.initContainers ?? [])].map(({ name }) => name)).toContain(SIDECAR);
  }
  for (let done = 0; done < BODIES; done += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, one));
  // Blind where all bodies were refused at the door.
  expect(Math.min(seen.status400, seen.denied, seen.patched)).toBeGreaterThan(BODIES / 100);
  expect(webhook.log()).not.toContain('review failed');
  expect(webhook.child.exitCode).toBeNull();
  expect((await api.review(pod())).allowed).toBe(true);
});

test('bodies nested a hundred thousand deep, and a million of keys, are answered', { timeout: 60_000 }, async () => {
  const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
  const text = (part: string): string =>
    JSON.stringify(review(pod())).replace('"agent:1"', `"agent:1","securityContext":${part}`);
  expect([200, 400]).toContain((await api.post(text(deep))).status);
  expect([200, 400]).toContain((await api.post(deep)).status);
  const wide = `{${Array.from({ length: 200_000 }, (_, at) => `"k${at}":1`).join()}}`;
  expect((await api.post(text(wide))).status).toBe(200);
  expect((await api.review(pod())).allowed).toBe(true);
});
