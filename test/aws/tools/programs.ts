import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { HARD_KEYS } from '../door.ts';
import { programPath, type ToolPlace } from './place.ts';

/** What is asked of every program that stores objects, one after the other in one place. */
export const STEPS = ['put and get', 'put and get in parts', 'list', 'a hard name', 'presign'] as const;
export type Step = (typeof STEPS)[number];

export interface Program {
  readonly name: string;
  /** Why it cannot run here. */
  readonly missing: string | undefined;
  readonly steps: Readonly<Partial<Record<Step, (place: ToolPlace) => Promise<void>>>>;
  /** For one that signs URLs in version 2, which the sidecar takes, and the store behind it need not. */
  readonly presignsV2?: (place: ToolPlace) => Promise<void>;
}

const SMALL = randomBytes(200_000);
const LARGE = randomBytes(12 * 1024 * 1024);
const HARD_KEY = HARD_KEYS[0];

function missing(program: string): string | undefined {
  return programPath(program) === undefined ? `${program} is not installed` : undefined;
}

/** The bytes that `fetch` leaves in the file `back` must be those that `put` was given. */
async function roundTrip(
  place: ToolPlace,
  body: Uint8Array,
  put: (file: string) => Promise<string>,
  fetch: (file: string) => Promise<string>,
): Promise<void> {
  await put(place.file('there', body));
  const back = join(place.folder, `back-${randomBytes(4).toString('hex')}`);
  await fetch(back);
  expect(readFileSync(back).equals(body)).toBe(true);
}

function awscli(place: ToolPlace, ...args: string[]): Promise<string> {
  return place.run(programPath('aws')!, ['--endpoint-url', place.door.endpoints.s3, ...args]);
}

const AWSCLI: Program = {
  name: 'awscli',
  missing: missing('aws'),
  steps: {
    'put and get': (place) => {
      const url = `s3://${place.door.bucket}/awscli/one`;
      const copy = (from: string, to: string): Promise<string> => awscli(place, 's3', 'cp', '--quiet', from, to);
      return roundTrip(
        place,
        SMALL,
        (file) => copy(file, url),
        (file) => copy(url, file),
      );
    },
    'put and get in parts': (place) => {
      const url = `s3://${place.door.bucket}/awscli/parts`;
      const copy = (from: string, to: string): Promise<string> => awscli(place, 's3', 'cp', '--quiet', from, to);
      return roundTrip(
        place,
        LARGE,
        (file) => copy(file, url),
        (file) => copy(url, file),
      );
    },
    list: async (place) => {
      expect(await awscli(place, 's3', 'ls', `s3://${place.door.bucket}/awscli/`)).toMatch(/ 200000 one\n/);
    },
    'a hard name': (place) => {
      const words = ['--bucket', place.door.bucket, '--key', HARD_KEY];
      return roundTrip(
        place,
        SMALL,
        (file) => awscli(place, 's3api', 'put-object', ...words, '--body', file),
        (file) => awscli(place, 's3api', 'get-object', ...words, file),
      );
    },
    presign: async (place) => {
      const url = await awscli(place, 's3', 'presign', `s3://${place.door.bucket}/awscli/one`);
      const fetched = await fetch(url.trim());
      expect(Buffer.from(await fetched.arrayBuffer()).equals(SMALL)).toBe(true);
    },
  },
};

function rclone(place: ToolPlace, ...args: string[]): Promise<string> {
  const { endpoints, region } = place.door;
  const remote = [
    ':s3,env_auth',
    'provider=Other',
    'force_path_style',
    `region=${region}`,
    `endpoint="${endpoints.s3}"`,
  ];
  const words = args.map((word) => word.replace(/^remote:/, `${remote.join()}:${place.door.bucket}/`));
  return place.run(programPath('rclone')!, ['--retries', '1', '--low-level-retries', '1', ...words]);
}

const RCLONE: Program = {
  name: 'rclone',
  missing: missing('rclone'),
  steps: {
    'put and get': (place) =>
      roundTrip(
        place,
        SMALL,
        (file) => rclone(place, 'copyto', file, 'remote:rclone/one'),
        (file) => rclone(place, 'copyto', 'remote:rclone/one', file),
      ),
    'put and get in parts': (place) =>
      roundTrip(
        place,
        LARGE,
        (file) =>
          rclone(place, 'copyto', '--s3-upload-cutoff', '5M', '--s3-chunk-size', '5M', file, 'remote:rclone/parts'),
        (file) => rclone(place, 'copyto', 'remote:rclone/parts', file),
      ),
    list: async (place) => {
      expect(await rclone(place, 'lsf', '--format', 'sp', 'remote:rclone/')).toContain('200000;one\n');
    },
    'a hard name': (place) =>
      roundTrip(
        place,
        SMALL,
        (file) => rclone(place, 'copyto', file, `remote:rclone/${HARD_KEY}`),
        (file) => rclone(place, 'copyto', `remote:rclone/${HARD_KEY}`, file),
      ),
    presign: async (place) => {
      const url = await rclone(place, 'link', '--expire', '1m', 'remote:rclone/one');
      const fetched = await fetch(url.trim());
      expect(Buffer.from(await fetched.arrayBuffer()).equals(SMALL)).toBe(true);
    },
  },
};

function s3cmd(place: ToolPlace, ...args: string[]): Promise<string> {
  const { endpoints, region, credentials } = place.door;
  const { host } = new URL(endpoints.s3);
  const settings = [
    '[default]',
    `access_key = ${credentials.accessKeyId}`,
    `secret_key = ${credentials.secretAccessKey}`,
    ...(credentials.sessionToken === undefined ? [] : [`access_token = ${credentials.sessionToken}`]),
    ...[`host_base = ${host}`, `host_bucket = ${host}`, `bucket_location = ${region}`, 'use_https = False'],
    ...['max_retries = 1', 'signature_v2 = False'],
  ];
  return place.run(programPath('s3cmd')!, ['-c', place.file('s3cfg', settings.join('\n')), '--no-progress', ...args]);
}

const S3CMD: Program = {
  name: 's3cmd',
  missing: missing('s3cmd'),
  steps: {
    'put and get': (place) => s3cmdTrip(place, SMALL, 's3cmd/one'),
    'put and get in parts': (place) => s3cmdTrip(place, LARGE, 's3cmd/parts', '--multipart-chunk-size-mb=5'),
    list: async (place) => {
      expect(await s3cmd(place, 'ls', `s3://${place.door.bucket}/s3cmd/`)).toMatch(/ 200000 +s3:\/\/\S+\/s3cmd\/one\n/);
    },
    'a hard name': (place) => s3cmdTrip(place, SMALL, `s3cmd/${HARD_KEY}`),
  },
  presignsV2: async (place) => {
    const url = await s3cmd(place, 'signurl', `s3://${place.door.bucket}/s3cmd/one`, '+60');
    expect(url).toContain('AWSAccessKeyId=');
    const fetched = await fetch(url.trim());
    expect(Buffer.from(await fetched.arrayBuffer()).equals(SMALL)).toBe(true);
  },
};

function s3cmdTrip(place: ToolPlace, body: Uint8Array, key: string, ...options: string[]): Promise<void> {
  const url = `s3://${place.door.bucket}/${key}`;
  return roundTrip(
    place,
    body,
    (file) => s3cmd(place, 'put', ...options, file, url),
    (file) => s3cmd(place, 'get', url, file),
  );
}

function curl(place: ToolPlace, key: string, ...args: string[]): Promise<string> {
  const { endpoints, region, credentials, bucket } = place.door;
  const { accessKeyId, secretAccessKey, sessionToken } = credentials;
  const token = sessionToken === undefined ? [] : ['-H', `x-amz-security-token: ${sessionToken}`];
  const signed = ['--aws-sigv4', `aws:amz:${region}:s3`, '--user', `${accessKeyId}:${secretAccessKey}`, ...token];
  const url = `${endpoints.s3}/${bucket}/${key}`;
  return place.run(programPath('curl')!, ['-sS', '--fail-with-body', '--path-as-is', ...signed, ...args, url]);
}

const CURL: Program = {
  name: 'curl',
  missing: missing('curl'),
  steps: {
    // Of this age, curl names the hash only where it is told to.
    'put and get': (place) => {
      const unsigned = ['-H', 'x-amz-content-sha256: UNSIGNED-PAYLOAD'];
      return roundTrip(
        place,
        SMALL,
        (file) => curl(place, 'curl-one', ...unsigned, '-T', file),
        (file) => curl(place, 'curl-one', ...unsigned, '-o', file),
      );
    },
  },
};

export const PROGRAMS: readonly Program[] = [AWSCLI, RCLONE, S3CMD, CURL];
