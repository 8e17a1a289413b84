import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AwsKey } from './aws-signature.ts';
import type { AwsUpstream } from './aws-upstream.ts';
import type { DemoDatabase } from './database.ts';
import { findProgram, type GitUpstream } from './git-upstream.ts';
import { freePorts } from './ports.ts';
import type { TlsUpstream } from './tls-upstream.ts';
import type { DemoCredentials, DemoUpstream } from './upstream.ts';

/** Made anew for each run. */
export interface AllCredentials extends DemoCredentials {
  readonly awsKey: AwsKey;
}

export function makeCredentials(): AllCredentials {
  const make = (): string => randomBytes(24).toString('base64url');
  return {
    token: make(),
    password: make(),
    key: make(),
    consumerSecret: make(),
    accessSecret: make(),
    awsKey: makeAwsKey(),
  };
}

/** Of the form that AWS gives out. */
function makeAwsKey(): AwsKey {
  const [id, secret] = [randomBytes(8).toString('hex').toUpperCase(), randomBytes(30).toString('base64')];
  return { accessKeyId: `AKIA${id}`, secretAccessKey: secret };
}

/** All that nobody but the sidecar may have. */
export function secretsOf({ awsKey, ...others }: AllCredentials, { database, git }: Upstreams): string[] {
  const kept = [...Object.values<string>(others), awsKey.secretAccessKey, database?.password, git?.privateKey];
  return kept.filter((secret) => secret !== undefined);
}

/** Of nobody: where there is no git, its service has an upstream that cannot be reached. */
const NO_HOST_KEY = `SHA256:${'A'.repeat(43)}`;

/** Prints a file where there is no `cat`, as in the image: for the service whose secret a command prints. */
const PRINT = `"${process.execPath}" -e "process.stdout.write(require('node:fs').readFileSync(process.argv[1]))"`;

/** What the sidecar lends credentials for. */
export interface Upstreams {
  readonly upstream: DemoUpstream;
  readonly tls: TlsUpstream;
  readonly aws: AwsUpstream;
  readonly database: DemoDatabase | undefined;
  readonly git: GitUpstream | undefined;
}

/** Only the sidecar gets these; what they point at is in a folder that only this user can enter. */
export async function sidecarEnvironment(
  folder: string,
  { token, password, key, consumerSecret, accessSecret, awsKey }: AllCredentials,
  { upstream, tls, aws, database, git }: Upstreams,
  env: NodeJS.ProcessEnv,
): Promise<NodeJS.ProcessEnv> {
  const [passwordFile, keyFile] = [join(folder, 'password'), join(folder, 'key')];
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  await writeFile(keyFile, `${key}\n`, { mode: 0o600 });
  const [header, basic, oauth, orders, awsPort, gitPort, egress] = await freePorts(7);
  return {
    PATH: env['PATH'],
    SECRETLESS_HOME: folder,
    DEMO_HEADER_PORT: String(header),
    DEMO_BASIC_PORT: String(basic),
    DEMO_OAUTH_PORT: String(oauth),
    DEMO_ORDERS_PORT: String(orders),
    DEMO_AWS_PORT: String(awsPort),
    DEMO_UPSTREAM_PORT: String(upstream.port),
    DEMO_EGRESS_PORT: String(egress),
    DEMO_TLS_UPSTREAM_PORT: String(tls.port),
    DEMO_TLS_UPSTREAM_CA: tls.caFile,
    DEMO_AWS_UPSTREAM_PORT: String(aws.port),
    DEMO_GIT_PORT: String(gitPort),
    DEMO_GIT_UPSTREAM_PORT: String(git?.port ?? 1),
    DEMO_GIT_HOST_KEY: git?.hostKey ?? NO_HOST_KEY,
    DEMO_GIT_KEY: git?.privateKey ?? 'none',
    DEMO_DATABASE_PORT: String(database?.port ?? 1),
    DEMO_DATABASE_CA: database?.caFile ?? '/',
    DEMO_DATABASE_PASSWORD: database?.password ?? 'none',
    DEMO_SOCKET: join(folder, 'query.sock'),
    DEMO_PASSWORD_FILE: passwordFile,
    DEMO_KEY_FILE: keyFile,
    DEMO_PRINT: (await findProgram('cat', env)) === undefined ? PRINT : 'cat',
    DEMO_AWS_ACCESS_KEY_ID: awsKey.accessKeyId,
    DEMO_AWS_SECRET_ACCESS_KEY: awsKey.secretAccessKey,
    DEMO_TOKEN: token,
    DEMO_CONSUMER_SECRET: consumerSecret,
    DEMO_ACCESS_SECRET: accessSecret,
  };
}
