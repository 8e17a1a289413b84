import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { StsServer } from '../../../test/aws/sts-server.ts';
import type { Fetched } from '../../credential/store.ts';
import { errorOf, never, textOf } from '../../credential/testdata/source-fixture.ts';
import { VirtualClock } from '../../credential/testdata/virtual-clock.ts';
import { AwsStore } from './aws-store.ts';
import { awsCredentials, type AwsOptions } from './index.ts';
import { serveContainer, serveInstance, type Handed } from './testdata/metadata-servers.ts';

const folder = mkdtempSync(join(tmpdir(), 'aws-'));
const path = (name: string) => join(folder, name);
const closing: (() => Promise<void>)[] = [];
let clock: VirtualClock;

beforeEach(() => {
  clock = new VirtualClock();
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) vi.stubEnv(name, undefined);
  vi.stubEnv('AWS_CONFIG_FILE', path('none'));
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', path('none'));
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all(closing.splice(0).map((close) => close()));
});
afterAll(() => rmSync(folder, { recursive: true }));

function open(options: AwsOptions = {}): AwsStore {
  const store = new AwsStore(options, { clock, random: () => 0 });
  closing.push(() => store.close());
  return store;
}

function keysOf({ fields }: Fetched): Record<string, string> {
  return Object.fromEntries(Object.entries(fields!).map(([name, secret]) => [name, textOf(secret)]));
}

const hand = (n: number): Handed => ({
  accessKeyId: `ASIA${n}`,
  secretAccessKey: `canary-secret-${n}`,
  token: `canary-token-${n}`,
  expiration: '2030-01-01T06:00:00Z',
});
const handed = (n: number) => ({
  accessKeyId: `ASIA${n}`,
  secretAccessKey: `canary-secret-${n}`,
  sessionToken: `canary-token-${n}`,
});

describe('the environment', () => {
  it('brings keys without a session token and without an end', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIA1');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'canary-secret');
    for (const id of ['environment', 'default']) {
      const fetched = await open().fetch(id, never);
      expect(keysOf(fetched)).toEqual({ accessKeyId: 'AKIA1', secretAccessKey: 'canary-secret' });
      expect(fetched.expiresAt).toBeUndefined();
      expect(inspect(fetched, { depth: null, showHidden: true })).not.toContain('canary');
    }
  });

  it('without keys says that they are missing, and prints nothing', async () => {
    const printed = ['log', 'warn', 'error'].map((word) => vi.spyOn(console, word as 'log').mockReturnValue());
    for (const id of ['environment', 'default', 'profile:none', 'web-identity', 'container']) {
      expect(await errorOf(open().fetch(id, never))).toMatchObject({ code: 'credential-missing' });
    }
    vi.stubEnv('AWS_PROFILE', 'none');
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIA1');
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'canary-secret');
    await errorOf(open().fetch('default', never));
    for (const spy of printed) expect(spy).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });
});

describe('a profile', () => {
  it('is read from the files that the options name, and again when they change', async () => {
    const file = (secret: string) => `[work]\naws_access_key_id = AKIA1\naws_secret_access_key = ${secret}\n`;
    writeFileSync(path('credentials'), file('one'));
    const store = open({ credentialsFile: path('credentials') });
    expect(keysOf(await store.fetch('profile:work', never))['secretAccessKey']).toBe('one');
    writeFileSync(path('credentials'), file('two'));
    clock.advance(300);
    await store.fetch('profile:work', never);
    await expect.poll(async () => keysOf(await store.fetch('profile:work', never))['secretAccessKey']).toBe('two');
  });

  it('may run a program, whose failure is told without its command and its words', async () => {
    const answer = {
      Version: 1,
      AccessKeyId: 'ASIA7',
      SecretAccessKey: 's',
      SessionToken: 't',
      Expiration: hand(1).expiration,
    };
    writeFileSync(path('answer'), JSON.stringify(answer));
    const commands = { good: `cat ${path('answer')}`, bad: 'echo canary-stderr >&2; exit 3; : canary-argument' };
    const sections = Object.entries(commands).map(
      ([name, line]) => `[profile ${name}]\ncredential_process = ${line}\n`,
    );
    writeFileSync(path('config'), sections.join(''));
    const store = open({ configFile: path('config') });
    const fetched = await store.fetch('profile:good', never);
    expect(keysOf(fetched)).toEqual({ accessKeyId: 'ASIA7', secretAccessKey: 's', sessionToken: 't' });
    expect(fetched.expiresAt).toEqual(new Date('2030-01-01T06:00:00Z'));
    const error = await errorOf(store.fetch('profile:bad', never));
    expect(error).toMatchObject({ code: 'credential-unavailable' });
    expect(inspect(error, { depth: null, showHidden: true })).not.toContain('canary');
  });

  it('may assume a role with the keys of another', async () => {
    const sts = new StsServer({
      secrets: { AKIASOURCE: 'source-secret' },
      issue: (n) => handed(n),
      now: () => clock.wall(),
    });
    await sts.listen();
    closing.push(() => sts.close());
    vi.stubEnv('AWS_ENDPOINT_URL_STS', sts.endpoint);
    const role = 'arn:aws:iam::123456789012:role/agent';
    writeFileSync(
      path('config'),
      `[profile target]\nrole_arn = ${role}\nsource_profile = source\nrole_session_name = fixed\nregion = eu-west-1\n` +
        '[profile source]\naws_access_key_id = AKIASOURCE\naws_secret_access_key = source-secret\n',
    );
    expect(keysOf(await open({ configFile: path('config') }).fetch('profile:target', never))).toEqual(handed(1));
    expect(sts.calls).toMatchObject([
      { signedBy: 'AKIASOURCE', region: 'eu-west-1', parameters: { RoleArn: role, RoleSessionName: 'fixed' } },
    ]);
  });
});

describe('a container', () => {
  it('is asked with the token that stands in its file now', async () => {
    let issued = 0;
    let token = 'pod-one';
    const server = await serveContainer(
      () => token,
      () => hand((issued += 1)),
    );
    closing.push(() => server.close());
    writeFileSync(path('pod-token'), token);
    vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', `${server.origin}/v1/credentials`);
    vi.stubEnv('AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE', path('pod-token'));
    const store = open();
    const fetched = await store.fetch('container', never);
    expect(keysOf(fetched)).toEqual(handed(1));
    expect(fetched.expiresAt).toEqual(new Date('2030-01-01T06:00:00Z'));
    expect(await store.fetch('container', never)).toMatchObject({ cached: true });
    expect(server.requests).toHaveLength(1);
    token = 'pod-two';
    writeFileSync(path('pod-token'), token);
    clock.advance(10);
    store.forget('container');
    expect(keysOf(await store.fetch('container', never))).toEqual(handed(2));
    expect(keysOf(await open().fetch('default', never))).toEqual(handed(3));
  });
});

describe('an instance', () => {
  it('is asked by version 2 of its service', async () => {
    const server = await serveInstance(() => hand(1), [2]);
    closing.push(() => server.close());
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', undefined);
    vi.stubEnv('AWS_EC2_METADATA_SERVICE_ENDPOINT', server.origin);
    expect(keysOf(await open().fetch('instance', never))).toEqual(handed(1));
    expect(keysOf(await open().fetch('default', never))).toEqual(handed(1));
    expect(server.requests.slice(0, 3)).toEqual([
      'PUT /latest/api/token',
      'GET /latest/meta-data/iam/security-credentials/',
      'GET /latest/meta-data/iam/security-credentials/instance-role',
    ]);
  });

  it('is never asked by version 1, which hands out credentials without a proof', async () => {
    const server = await serveInstance(() => hand(1), [1]);
    closing.push(() => server.close());
    vi.stubEnv('AWS_EC2_METADATA_SERVICE_ENDPOINT', server.origin);
    expect((await errorOf(open().fetch('instance', never))).code).toBe('credential-unavailable');
    expect(server.requests).toEqual(['PUT /latest/api/token']);
  });
});

describe('a web identity', () => {
  it('of the environment assumes the role that the environment names, under a name that stays', async () => {
    const sts = new StsServer({ secrets: {}, issue: handed, isToken: (token) => token === 'jwt' });
    await sts.listen();
    closing.push(() => sts.close());
    writeFileSync(path('jwt'), 'jwt');
    vi.stubEnv('AWS_ENDPOINT_URL_STS', sts.endpoint);
    vi.stubEnv('AWS_REGION', 'eu-west-1');
    vi.stubEnv('AWS_ROLE_ARN', 'arn:aws:iam::123456789012:role/pod');
    vi.stubEnv('AWS_WEB_IDENTITY_TOKEN_FILE', path('jwt'));
    expect(keysOf(await open().fetch('web-identity', never))).toEqual(handed(1));
    expect(keysOf(await open().fetch('default', never))).toEqual(handed(2));
    const names = sts.calls.map(({ parameters }) => parameters['RoleSessionName']);
    expect(names).toEqual(['secretless-sidecar', 'secretless-sidecar']);
  });
});

describe('an id', () => {
  it.each([
    '',
    'vault',
    'profile:',
    'profile:a]',
    'my/secret',
    'arn:aws:secretsmanager:eu-west-1:1:secret:x',
    'Default',
  ])('%j is refused on sight', (id) => {
    expect(awsCredentials.checkId!(id)).toContain('profile:NAME');
  });
});
