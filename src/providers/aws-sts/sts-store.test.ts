import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { StsServer, type StsServerOptions } from '../../../test/aws/sts-server.ts';
import { systemClock, type Clock } from '../../credential/clock.ts';
import { openSource } from '../../credential/source.ts';
import type { Fetched, FetchContext } from '../../credential/store.ts';
import { errorOf, grantFor, never, textOf } from '../../credential/testdata/source-fixture.ts';
import { VirtualClock } from '../../credential/testdata/virtual-clock.ts';
import { Grant } from '../../policy/request.ts';
import { awsSts } from './index.ts';
import type { StsOptions } from './options.ts';
import { StsStore } from './sts-store.ts';

const ROLE = 'arn:aws:iam::123456789012:role/agent';
const REVIEWER: FetchContext = { service: 'api', agent: 'reviewer' };
const BASE = { AKIABASE: 'base-secret/with+signs' };
const folder = mkdtempSync(join(tmpdir(), 'aws-sts-'));

const issue = (n: number) => ({
  accessKeyId: `ASIA${n}`,
  secretAccessKey: `canary-secret-${n}`,
  sessionToken: `canary-token-${n}`,
});

let sts: StsServer;
let stores: StsStore[];

async function start(options: Partial<StsServerOptions> = {}): Promise<void> {
  sts = new StsServer({ secrets: BASE, issue, ...options });
  await sts.listen();
}

function open(options: StsOptions = {}, clock: Clock = systemClock): StsStore {
  const all = { endpoint: sts.endpoint, region: 'eu-west-1', base: 'environment', ...options };
  const store = new StsStore(all, { clock, random: () => 0 });
  stores.push(store);
  return store;
}

function keysOf({ fields }: Fetched): Record<string, string> {
  return Object.fromEntries(Object.entries(fields!).map(([name, secret]) => [name, textOf(secret)]));
}

beforeEach(() => {
  stores = [];
  process.env['AWS_ACCESS_KEY_ID'] = 'AKIABASE';
  process.env['AWS_SECRET_ACCESS_KEY'] = BASE.AKIABASE;
});
afterEach(async () => {
  await Promise.all(stores.map((store) => store.close()));
  await sts.close();
  for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN']) delete process.env[name];
});

describe('a session', () => {
  it('is asked for with the base credentials, in the region, for the agent, and ends', async () => {
    const clock = new VirtualClock();
    await start({ now: () => clock.wall() });
    const fetched = await open({}, clock).fetch(ROLE, never, REVIEWER);
    expect(keysOf(fetched)).toEqual(issue(1));
    expect(fetched).toMatchObject({ retained: true, expiresAt: new Date('2030-01-01T01:00:00Z') });
    expect(fetched.cached).toBeUndefined();
    expect(sts.calls).toMatchObject([
      {
        signedBy: 'AKIABASE',
        region: 'eu-west-1',
        parameters: { RoleArn: ROLE, RoleSessionName: 'reviewer', DurationSeconds: '3600' },
      },
    ]);
    expect(inspect(fetched, { depth: null, showHidden: true })).not.toContain('canary');
  });

  it('carries tags, policy, external id and source identity', async () => {
    await start();
    const policy = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: 's3:GetObject', Resource: '*' }] };
    const store = open({
      duration: '15m',
      sessionName: '{service}-{agent}',
      sourceIdentity: '{agent}',
      externalId: 'partner:7',
      tags: { agent: '{agent}', team: 'data' },
      transitiveTags: ['agent'],
      policy: JSON.stringify(policy, undefined, 8),
      policyArns: ['arn:aws:iam::aws:policy/ReadOnlyAccess'],
    });
    await store.fetch(ROLE, never, REVIEWER);
    expect(sts.calls[0]!.parameters).toMatchObject({
      RoleSessionName: 'api-reviewer',
      DurationSeconds: '900',
      SourceIdentity: 'reviewer',
      ExternalId: 'partner:7',
      'Tags.member.1.Key': 'agent',
      'Tags.member.1.Value': 'reviewer',
      'Tags.member.2.Value': 'data',
      'TransitiveTagKeys.member.1': 'agent',
      Policy: JSON.stringify(policy),
      'PolicyArns.member.1.arn': 'arn:aws:iam::aws:policy/ReadOnlyAccess',
    });
  });

  it('is refused where the base credentials are wrong: the server does verify', async () => {
    await start({ secrets: { AKIABASE: 'another' } });
    const error = await errorOf(open().fetch(ROLE, never, REVIEWER));
    expect(error).toMatchObject({ code: 'credential-unavailable' });
    expect(error.detail).toBe('STS: SignatureDoesNotMatch, HTTP 403, request test');
  });

  it('says of a refusal its name and its status, and no secret', async () => {
    await start();
    sts.refusal = { status: 403, code: 'AccessDenied' };
    const error = await errorOf(open().fetch(ROLE, never, REVIEWER));
    expect(error.detail).toBe('STS: AccessDenied, HTTP 403, request test');
    expect(inspect(error, { depth: null, showHidden: true })).not.toContain(BASE.AKIABASE);
  });

  it('is asked for with a base that has a session token of its own', async () => {
    process.env['AWS_SESSION_TOKEN'] = 'of-the-base';
    await start({ sessionTokens: { AKIABASE: 'of-the-base' } });
    expect(keysOf(await open().fetch(ROLE, never, REVIEWER))).toEqual(issue(1));
  });

  it('is asked for with a fresh base once STS has refused the kept one', async () => {
    const secrets: Record<string, string> = { ...BASE };
    const clock = new VirtualClock();
    await start({ secrets, now: () => clock.wall() });
    const store = open({}, clock);
    await store.fetch(ROLE, never, REVIEWER);
    delete secrets['AKIABASE'];
    secrets['AKIANEW'] = 'new-secret';
    process.env['AWS_ACCESS_KEY_ID'] = 'AKIANEW';
    process.env['AWS_SECRET_ACCESS_KEY'] = 'new-secret';
    clock.advance(60);
    await errorOf(store.fetch('arn:aws:iam::123456789012:role/other', never, REVIEWER));
    await store.fetch('arn:aws:iam::123456789012:role/third', never, REVIEWER);
    expect(sts.calls.map(({ signedBy }) => signedBy)).toEqual(['AKIABASE', 'AKIABASE', 'AKIANEW']);
  });
});

describe('many at once', () => {
  it('a hundred first leases cost one call', async () => {
    await start();
    const store = open();
    const source = openSource({
      service: 'api',
      references: Object.fromEntries(awsSts.fields!.map((field) => [field, { from: 'aws-sts', get: ROLE, field }])),
      store: () => store,
      cacheSeconds: 0,
      timeoutSeconds: 5,
    });
    const grant = grantFor('api');
    const leases = await Promise.all(Array.from({ length: 100 }, () => source.lease(grant, never)));
    expect(sts.calls).toHaveLength(1);
    expect(new Set(leases.map(({ version }) => version)).size).toBe(1);
    expect(leases[0]!.credentials.names).toEqual(['accessKeyId', 'secretAccessKey', 'sessionToken']);
    await source.close();
  });

  it('a lease on what is kept costs no timer: the store answers promptly', async () => {
    const clock = new VirtualClock();
    await start({ now: () => clock.wall() });
    const store = open({}, clock);
    const references = { key: { from: 'aws-sts', get: ROLE, field: 'accessKeyId' } };
    const parts = { service: 'api', store: () => store, cacheSeconds: 0, timeoutSeconds: 5, clock };
    const source = openSource({ ...parts, references });
    const grant = grantFor('api');
    (await source.lease(grant, never)).release();
    const after = vi.spyOn(clock, 'after');
    for (let use = 0; use < 10; use += 1) {
      const lease = await source.lease(grant, never);
      expect(lease).toMatchObject({ cached: true, expiresAt: new Date('2030-01-01T01:00:00Z') });
      lease.release();
    }
    expect(after).not.toHaveBeenCalled();
    await source.close();
  });

  it('two agents never share a session, and two services do', async () => {
    await start();
    const store = open();
    const lease = async (service: string, agent: string) => {
      const references = { key: { from: 'aws-sts', get: ROLE, field: 'accessKeyId' } };
      const source = openSource({ service, references, store: () => store, cacheSeconds: 60, timeoutSeconds: 5 });
      const principal = { agent, attested: 'listener' } as const;
      const grant = Grant.issue({ service, connector: 'aws', principal, facts: {} }, undefined);
      const { credentials } = await source.lease(grant, never);
      return textOf(credentials.get('key'));
    };
    expect(store.perAgent).toBe(true);
    expect(await lease('a', 'one')).toBe('ASIA1');
    expect(await lease('a', 'two')).toBe('ASIA2');
    expect(await lease('b', 'one')).toBe('ASIA1');
    expect(sts.calls.map(({ parameters }) => parameters['RoleSessionName'])).toEqual(['one', 'two']);
  });

  it('agents share a session where no template names them', async () => {
    await start();
    const store = open({ sessionName: 'sidecar-{service}' });
    expect(store.perAgent).toBe(false);
    await store.fetch(ROLE, never, { service: 'api' });
    await store.fetch(ROLE, never, { service: 'api' });
    await store.fetch(ROLE, never, { service: 'other' });
    expect(sts.calls.map(({ parameters }) => parameters['RoleSessionName'])).toEqual(['sidecar-api', 'sidecar-other']);
  });
});

describe('a tag', () => {
  it('that STS would refuse is refused, since a changed one could be that of another agent', async () => {
    await start();
    const error = await errorOf(
      open({ tags: { agent: '{agent}' } }).fetch(ROLE, never, { service: 'a', agent: 'a*b' }),
    );
    expect(error.detail).toContain('session tag');
    expect(sts.calls).toHaveLength(0);
  });
});

describe('with a web identity', () => {
  const path = join(folder, 'token');
  const tokens = ['token-one', 'token-two'];

  it('the file is read again at each refresh, and nothing is signed', async () => {
    const clock = new VirtualClock();
    await start({ isToken: (token) => tokens.includes(token), now: () => clock.wall() });
    const { base: _, ...options } = { base: undefined, webIdentityTokenFile: path };
    const all = { endpoint: sts.endpoint, region: 'eu-west-1', ...options };
    const store = new StsStore(all, { clock, random: () => 0 });
    stores.push(store);
    writeFileSync(path, 'token-one\n');
    await store.fetch(ROLE, never, REVIEWER);
    writeFileSync(path, 'token-two');
    clock.advance(3600);
    expect(keysOf(await store.fetch(ROLE, never, REVIEWER))).toEqual(issue(2));
    expect(sts.calls).toMatchObject([
      { action: 'AssumeRoleWithWebIdentity', signedBy: undefined, parameters: { WebIdentityToken: 'token-one' } },
      { action: 'AssumeRoleWithWebIdentity', signedBy: undefined, parameters: { WebIdentityToken: 'token-two' } },
    ]);
    rmSync(path);
    clock.advance(3600);
    expect((await errorOf(store.fetch(ROLE, never, REVIEWER))).code).toBe('credential-missing');
    writeFileSync(path, 'x'.repeat(20_001));
    expect((await errorOf(store.fetch(ROLE, never, REVIEWER))).detail).toContain('20000 bytes');
    expect(sts.calls).toHaveLength(2);
  });
});

describe('in time', () => {
  it('a new session is asked for in the background, and the old one is served until it is there', async () => {
    const clock = new VirtualClock();
    await start({ now: () => clock.wall() });
    const store = open({}, clock);
    await store.fetch(ROLE, never, REVIEWER);
    clock.advance(2699);
    expect(await store.fetch(ROLE, never, REVIEWER)).toMatchObject({ cached: true });
    expect(sts.calls).toHaveLength(1);
    clock.advance(2);
    expect(keysOf(await store.fetch(ROLE, never, REVIEWER))).toEqual(issue(1));
    await expect.poll(() => sts.calls.length).toBe(2);
    await expect.poll(async () => keysOf(await store.fetch(ROLE, never, REVIEWER))['accessKeyId']).toBe('ASIA2');
    expect(sts.calls.map(({ parameters }) => parameters['RoleSessionName'])).toEqual(['reviewer', 'reviewer']);
  });

  it('an STS that fails leaves the old session in use while it is valid', async () => {
    const clock = new VirtualClock();
    await start({ now: () => clock.wall() });
    const store = open({}, clock);
    await store.fetch(ROLE, never, REVIEWER);
    sts.refusal = { status: 403, code: 'AccessDenied' };
    clock.advance(3590);
    expect(keysOf(await store.fetch(ROLE, never, REVIEWER))).toEqual(issue(1));
    clock.advance(10);
    expect((await errorOf(store.fetch(ROLE, never, REVIEWER))).detail).toContain('AccessDenied');
    sts.refusal = undefined;
    expect(keysOf(await store.fetch(ROLE, never, REVIEWER))).toEqual(issue(2));
  });
});
