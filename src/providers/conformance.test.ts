import { existsSync, readdirSync, readFileSync, rmSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { StsServer } from '../../test/aws/sts-server.ts';
import type { SecretStore } from '../credential/store.ts';
import { errorOf, open as openTestSource } from '../credential/testdata/source-fixture.ts';
import { awsSts } from './aws-sts/index.ts';
import { openKeychain } from './keychain/index.ts';
import { providers } from './index.ts';
import type { Provider } from './provider.ts';

const here = import.meta.dirname;
const never = new AbortController().signal;
const CANARY = 'canary-5f1c9e';
const folder = mkdtempSync(join(tmpdir(), 'providers-'));
const originalPath = process.env['PATH'];

/** An id that yields the canary, one that yields nothing, and ids that are wrong on sight. */
interface Sample {
  readonly good: string;
  readonly unknown?: string;
  readonly wrong: readonly string[];
  /** What the good one yields, where it is not the canary. */
  readonly value?: RegExp;
  /** Opened where the plain one depends on the platform. */
  readonly open?: () => SecretStore;
}

const samples: Readonly<Record<string, Sample>> = {
  literal: { good: CANARY, wrong: [] },
  env: { good: 'SECRETLESS_TEST_CANARY', unknown: 'SECRETLESS_TEST_NONE', wrong: ['', 'a=b'] },
  file: { good: join(folder, 'canary'), unknown: join(folder, 'none'), wrong: ['', 'a\0b'] },
  exec: { good: `printf ${CANARY}`, unknown: 'false', wrong: ['', 'a "b', 'a | b'] },
  keychain: { good: 'a#b', unknown: 'a#none', wrong: ['', 'a', 'a#b#c'], open: () => openKeychain({}, 'linux') },
  'aws-credentials': { good: 'environment', unknown: 'profile:none', wrong: ['', 'vault', 'my/secret'] },
  'aws-sts': {
    good: 'arn:aws:iam::123456789012:role/agent',
    unknown: 'arn:aws:iam::123456789012:role/none',
    wrong: ['', 'agent', 'arn:aws:iam::123456789012:user/agent'],
    open: () => awsSts.open({ region: 'eu-west-1', base: 'environment', endpoint: sts.endpoint }),
  },
  'rds-iam': {
    good: 'app@db.internal:5432?region=eu-west-1',
    unknown: 'app@db.internal:5432',
    wrong: ['', 'app', 'app@db.internal'],
    value: /^db\.internal:5432\/\?Action=connect&DBUser=app&/,
  },
};

/** Of the base credentials too, so that no part of AWS is asked. */
const sts = new StsServer({
  secrets: { [CANARY]: `${CANARY}-key` },
  issue: () => ({ accessKeyId: CANARY, secretAccessKey: `${CANARY}-issued`, sessionToken: `${CANARY}-token` }),
  isOpen: (role) => !role.endsWith('/none'),
});

beforeAll(async () => {
  await sts.listen();
  vi.stubEnv('AWS_ACCESS_KEY_ID', CANARY);
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', `${CANARY}-key`);
  for (const name of ['AWS_SESSION_TOKEN', 'AWS_REGION', 'AWS_DEFAULT_REGION']) vi.stubEnv(name, undefined);
  process.env['SECRETLESS_TEST_CANARY'] = CANARY;
  process.env['PATH'] = `${folder}:${originalPath}`;
  writeFileSync(join(folder, 'canary'), CANARY);
  writeFileSync(join(folder, 'secret-tool'), `#!/bin/sh\n[ "$5" = b ] || exit 1\nprintf ${CANARY}\n`, { mode: 0o755 });
});
afterAll(async () => {
  await sts.close();
  vi.unstubAllEnvs();
  delete process.env['SECRETLESS_TEST_CANARY'];
  process.env['PATH'] = originalPath;
  rmSync(folder, { recursive: true });
});

it('every folder is a provider of the catalog and every provider has a folder', () => {
  const folders = readdirSync(here, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  expect(folders.map(({ name }) => name).sort()).toEqual(providers.map(({ name }) => name).sort());
  expect(Object.keys(samples).sort()).toEqual(providers.map(({ name }) => name).sort());
});

describe.each(providers.map((provider) => [provider.name, provider] as const))('%s', (name, provider: Provider) => {
  const sample = samples[name]!;
  const openStore = () => sample.open?.() ?? provider.open({});

  it('has a README that says what it is, its options, errors and limits', () => {
    const path = join(here, name, 'README.md');
    expect(existsSync(path)).toBe(true);
    const text = readFileSync(path, 'utf8');
    expect(text).toMatch(new RegExp(`^# ${name}\n`));
    for (const heading of ['## Options', '## Example', '## Errors', '## Limits']) expect(text).toContain(heading);
    const { properties } = provider.config as { properties?: Record<string, unknown> };
    for (const option of Object.keys(properties ?? {})) expect(text).toContain(`\n| \`${option}\` `);
  });

  it('has a strict schema of its options, all of them optional', () => {
    const validate = new Ajv({ strict: true, allowUnionTypes: true }).compile(provider.config);
    expect(validate({})).toBe(true);
    expect(validate({ noSuchOption: 1 })).toBe(false);
  });

  it('finds what is wrong with an id on sight', () => {
    for (const id of sample.wrong) expect(provider.checkId!(id), id).toMatch(/^\S.*[^.\s]$/);
    expect(provider.checkId?.(sample.good)).toBeUndefined();
  });

  it('hands over the value as a secret that does not print', async () => {
    const store = openStore();
    const fetched = await store.fetch(sample.good, never);
    expect(fetched.secret.expose((bytes) => bytes.toString())).toMatch(sample.value ?? new RegExp(`^${CANARY}$`));
    expect(inspect(fetched, { depth: null, showHidden: true })).not.toContain(CANARY);
    expect(JSON.stringify(fetched)).not.toContain(CANARY);
    await store.close();
  });

  it('refuses an id that it does not hold with an error of the table, and works on', async () => {
    const store = openStore();
    for (const id of [...sample.wrong, ...(sample.unknown === undefined ? [] : [sample.unknown])]) {
      const error = await errorOf(store.fetch(id, never));
      expect(error.fault).toBe('provider');
      expect(error.detail).toBeTypeOf('string');
    }
    const { secret } = await store.fetch(sample.good, never);
    expect(secret.length).toBeGreaterThanOrEqual(CANARY.length);
    await store.close();
  });

  it('stops where the signal has aborted, with its reason', async () => {
    const reason = new Error('gone');
    await expect(openStore().fetch(sample.good, AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it('can be closed twice, used or not', async () => {
    const [used, unused] = [openStore(), openStore()];
    await used.fetch(sample.good, never);
    for (const store of [used, unused, used, unused]) await expect(store.close()).resolves.toBeUndefined();
  });

  it.skipIf(sample.unknown === undefined)('a failure fails that use alone and leaves nothing unhandled', async () => {
    const unhandled: unknown[] = [];
    const listen = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', listen);
    const store = openStore();
    const references = { bad: { from: name, get: sample.unknown! }, good: { from: name, get: sample.good } };
    const { lease, source } = openTestSource({ references, store: () => store });
    const error = await errorOf(lease());
    expect(error.fault).toBe('provider');
    expect(error.detail).toContain(`credential "bad" (provider "${name}", id `);
    expect(inspect(error, { depth: null })).not.toContain(CANARY);
    await source.close();
    await store.close();
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', listen);
    expect(unhandled).toEqual([]);
  });
});
