import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startVerifyingServer } from '../../test/aws/verifying-server.ts';
import { canary } from '../../test/canary.ts';
import { freePort } from './demo/ports.ts';
import { runCli } from './dispatch.ts';
import { recordedIo } from './testdata/recorded-io.ts';
import { startRig } from '../../test/rig.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const run = promisify(execFile);
/** Everything that a shell could make something else of. */
const ODD = `it's$HOME\`id\`"\\!#;&|*~<(x)>`;

/** Whoever fetched them would make the file `touched`. */
const credentials = (touched: string, secret: string) => ({
  accessKeyId: { from: 'exec', get: `touch ${touched}` },
  secretAccessKey: secret,
});

interface Printed {
  readonly code: number;
  readonly out: string;
  readonly err: string;
  readonly secret: string;
  readonly touched: string;
}

async function printed(...words: string[]): Promise<Printed> {
  const folder = mkdtempSync(join(tmpdir(), 'env-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [file, touched, secret] = [join(folder, 's.yml'), join(folder, 'touched'), canary('/+=')];
  const aws = (more: object) => ({ connector: 'aws', credentials: credentials(touched, secret), ...more });
  const reviewer = { accessKeyId: 'SECRETLESSREVIEWER', secretAccessKey: ODD };
  const builder = { accessKeyId: 'SECRETLESSBUILDER1', secretAccessKey: 'made-up-for-the-builder' };
  const s3 = { service: 's3', region: 'auto' };
  const services = {
    cloud: aws({ listenOn: 'tcp://127.0.0.1:8009', config: { region: 'eu-central-1' } }),
    everywhere: aws({ listenOn: ['unix:///run/aws.sock', 'tcp://0.0.0.0:8010'] }),
    six: aws({ listenOn: 'tcp://[::1]:8011', config: { region: 'eu-central-1' } }),
    team: aws({
      listenOn: 'tcp://127.0.0.1:8012',
      agent: 'reviewer',
      config: { region: 'eu-west-1', agents: { reviewer, builder } },
    }),
    store: aws({ listenOn: 'tcp://127.0.0.1:8013', target: 'https://minio.internal:9000', config: s3 }),
    bare: aws({ listenOn: 'tcp://127.0.0.1:8014', target: 'https://minio.internal:9000', config: { region: 'auto' } }),
    agents: aws({
      listenOn: 'tcp://127.0.0.1:8015',
      target: 'https://bedrock.internal',
      config: { service: 'bedrock-agentcore', region: 'eu-west-1' },
    }),
    socket: aws({ listenOn: 'unix:///run/aws2.sock', config: { region: 'eu-central-1' } }),
    signer: {
      connector: 'ssh-agent',
      listenOn: ['tcp://127.0.0.1:8017', `unix://${folder}/it's an agent.sock`],
      credentials: { privateKey: { from: 'exec', get: `touch ${touched}` } },
    },
    'signer-tcp': {
      connector: 'ssh-agent',
      listenOn: 'tcp://127.0.0.1:8018',
      credentials: { privateKey: { from: 'exec', get: `touch ${touched}` } },
    },
    api: {
      connector: 'http',
      listenOn: 'tcp://127.0.0.1:8016',
      target: 'https://api.example.com',
      credentials: { token: secret },
      config: { headers: { A: '{{ .token }}' } },
    },
  };
  writeFileSync(file, JSON.stringify({ version: '2', services }), { mode: 0o600 });
  const io = recordedIo({ env: { SECRETLESS_HOME: folder } });
  const code = await runCli(['env', '-f', file, ...words], io);
  return { code, out: io.out(), err: io.err(), secret, touched };
}

/** What a program sees that a shell starts after it has taken the text in. */
async function inShell(text: string, before: Record<string, string> = {}): Promise<Record<string, string>> {
  const { stdout } = await run('sh', ['-c', 'eval "$TAKEN"; env -0'], {
    env: { TAKEN: text, PATH: process.env['PATH'], ...before },
  });
  const lines = stdout.split('\0').filter((line) => line !== '' && !line.startsWith('TAKEN='));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

async function variables(...words: string[]): Promise<Record<string, string | null>> {
  const { code, out, err } = await printed('--json', ...words);
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return JSON.parse(out) as Record<string, string | null>;
}

describe('the environment', () => {
  test('of an agent that signs is its socket, and no agent of the user', async () => {
    const { out } = await printed('signer');
    const seen = await inShell(out, { SSH_AGENT_PID: '1', SSH_AUTH_SOCK: '/run/real.sock' });
    expect(seen['SSH_AUTH_SOCK']).toMatch(/^\/.*\/it's an agent\.sock$/);
    expect(seen).not.toHaveProperty('SSH_AGENT_PID');
    const { code, err } = await printed('signer-tcp');
    expect([code, err]).toEqual([64, expect.stringContaining('listens on no Unix socket')]);
  });

  test('has a made-up key, the region twice, endpoints at the sidecar, and no way to other credentials', async () => {
    expect(await variables('cloud')).toMatchObject({
      AWS_ACCESS_KEY_ID: 'SECRETLESSSIDECAR',
      AWS_REGION: 'eu-central-1',
      AWS_DEFAULT_REGION: 'eu-central-1',
      AWS_ENDPOINT_URL: 'http://127.0.0.1:8009',
      AWS_ENDPOINT_URL_BEDROCK_RUNTIME: 'http://127.0.0.1:8009/_aws/bedrock-runtime',
      AWS_EC2_METADATA_DISABLED: 'true',
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
      AWS_SESSION_TOKEN: null,
      AWS_PROFILE: null,
    });
  });

  test('is the same to a shell as in JSON, whatever stands in it and stood there before', async () => {
    for (const words of [['cloud'], ['team'], ['store']]) {
      const expected = await variables(...words);
      const before = { AWS_PROFILE: 'real', AWS_SESSION_TOKEN: 'old', AWS_REGION: 'other', KEPT: 'yes' };
      const { out } = await printed(...words);
      const seen = await inShell(out, before);
      for (const [name, value] of Object.entries(expected)) expect(seen[name] ?? null, name).toBe(value);
      expect(seen['KEPT']).toBe('yes');
    }
    expect((await variables('team'))['AWS_SECRET_ACCESS_KEY']).toBe(ODD);
  });

  test('holds no credential of an upstream, and none is fetched for it', async () => {
    for (const words of [['cloud'], ['cloud', '--json'], ['team'], ['store']]) {
      const { out, err, secret, touched } = await printed(...words);
      expect(`${out}${err}`.includes(secret)).toBe(false);
      expect(`${out}${err}`).not.toContain('AKIAREALONE');
      await expect(run('ls', [touched])).rejects.toThrow();
    }
  });

  test('is that of the agent that is asked for, else of whoever the listener belongs to', async () => {
    expect((await variables('team'))['AWS_ACCESS_KEY_ID']).toBe('SECRETLESSREVIEWER');
    expect((await variables('team', '--agent', 'builder'))['AWS_ACCESS_KEY_ID']).toBe('SECRETLESSBUILDER1');
    const { code, out, err } = await printed('team', '--agent', 'nobody');
    expect([code, out, err]).toEqual([64, '', expect.stringContaining('reviewer or builder')]);
    // A name that every object has is that of no agent.
    const { code: other, out: nothing } = await printed('team', '--agent', 'constructor');
    expect([other, nothing]).toEqual([64, '']);
  });

  test('is for the region that is asked for, else for that of the service, never for a guess', async () => {
    expect((await variables('cloud', '--region', 'us-east-1'))['AWS_DEFAULT_REGION']).toBe('us-east-1');
    expect((await variables('everywhere', '--region', 'us-east-1'))['AWS_REGION']).toBe('us-east-1');
    const { code, out, err } = await printed('everywhere');
    expect([code, out, err]).toEqual([64, '', expect.stringContaining('--region')]);
  });

  test('leads to an address that can be connected to', async () => {
    expect((await variables('everywhere', '--region', 'x'))['AWS_ENDPOINT_URL']).toBe('http://127.0.0.1:8010');
    expect((await variables('six'))['AWS_ENDPOINT_URL']).toBe('http://[::1]:8011');
    const { code, out, err } = await printed('socket');
    expect([code, out, err]).toEqual([64, '', expect.stringContaining('listens on no TCP address')]);
  });

  test('of a service with a target leads its own clients there and nobody else', async () => {
    const endpoints = async (...words: string[]) =>
      Object.entries(await variables(...words)).filter(([name]) => name.startsWith('AWS_ENDPOINT_URL'));
    expect(await endpoints('store')).toEqual([['AWS_ENDPOINT_URL_S3', 'http://127.0.0.1:8013']]);
    expect(await endpoints('agents')).toEqual([['AWS_ENDPOINT_URL_BEDROCK_AGENTCORE', 'http://127.0.0.1:8015']]);
    expect(await endpoints('bare')).toEqual([['AWS_ENDPOINT_URL', 'http://127.0.0.1:8014']]);
  });
});

describe('a word that names no one service', () => {
  test.each([
    [['nothing'], 'no service and no connector of a service is called nothing'],
    [['aws'], 'several services have this connector: name agents or bare or cloud'],
    [['postgres'], 'no service and no connector'],
    [['api'], 'nothing but the address'],
    [['http'], 'nothing but the address'],
    [['cloud', 'store'], ''],
  ])('%j is refused', async (words, text) => {
    const { code, out, err } = await printed(...words);
    expect([code, out]).toEqual([64, '']);
    expect(err).toContain(text);
  });
});

test('no word is for the sidecar that runs, and says what to do where none does', async () => {
  const { code, out, err } = await printed();
  expect([code, out]).toEqual([70, '']);
  expect(err).toContain('secretless env aws');
});

test('the word of the connector names its only service', async () => {
  const port = await freePort();
  const rig = await startRig(`services:
  one:
    connector: aws
    listenOn: tcp://127.0.0.1:${port}
    credentials: { accessKeyId: AKIAREALONE, secretAccessKey: ${canary()} }
    config: { region: eu-west-1 }
`);
  const io = recordedIo({ env: { SECRETLESS_HOME: rig.folder } });
  expect(await runCli(['env', '-f', rig.file, 'aws'], io)).toBe(0);
  expect(io.out()).toContain(`export AWS_ENDPOINT_URL='http://127.0.0.1:${port}'\n`);
});

/** As anybody writes it: nothing but the environment says where and who. */
const PROGRAM = `
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
const s3 = new S3Client({ forcePathStyle: true, maxAttempts: 1 });
await s3.send(new PutObjectCommand({ Bucket: 'bucket', Key: 'key', Body: 'through the sidecar' }));
`;

test.each([
  ['with the well-known key', {}],
  ['with a key of its own', { agents: { local: { accessKeyId: 'SECRETLESSREVIEWER', secretAccessKey: ODD } } }],
])('a program that holds nothing but this environment stores an object, %s', async (_, more) => {
  const real = { accessKeyId: 'AKIAREALONE', secretAccessKey: canary('/+=') };
  const server = await startVerifyingServer({ accounts: [real], region: 'eu-west-1', buckets: ['bucket'] });
  onTestFinished(() => server.close());
  const service = {
    connector: 'aws',
    listenOn: `tcp://127.0.0.1:${await freePort()}`,
    target: server.url,
    credentials: { accessKeyId: real.accessKeyId, secretAccessKey: { from: 'env', get: 'ENV_TEST_SECRET' } },
    config: { service: 's3', region: 'eu-west-1', ...more },
  };
  const rig = await startRig(`services: ${JSON.stringify({ s3: service })}`, { ENV_TEST_SECRET: real.secretAccessKey });
  const io = recordedIo({ env: { SECRETLESS_HOME: rig.folder } });
  expect(await runCli(['env', '-f', rig.file, 's3'], io)).toBe(0);
  const words = ['-c', 'eval "$TAKEN"; unset TAKEN; exec "$0" --input-type=module -e "$1"', process.execPath, PROGRAM];
  const env = { TAKEN: io.out(), HOME: rig.folder, AWS_SESSION_TOKEN: 'left-behind', AWS_PROFILE: 'left-behind' };
  await run('sh', words, { cwd: ROOT, env });
  expect(server.store.bucket('bucket').get('key')?.body?.toString()).toBe('through the sidecar');
  expect(server.requests.map(({ signer, status }) => [signer?.claim.accessKeyId, status])).toEqual([
    ['AKIAREALONE', 200],
  ]);
});
