import { Secret } from '../../credential/secret.ts';
import type { Fetched } from '../../credential/store.ts';
import { SidecarError } from '../../error.ts';
import type { ChainId } from './chain-id.ts';
import { fromSdk } from './failure.ts';
import type { Minted } from './kept.ts';

/** Names of what one fetch of AWS credentials brings; those that do not end have no session token. */
export const FIELDS = ['accessKeyId', 'secretAccessKey', 'sessionToken'] as const;

/** Credentials as the SDK has them: in the clear, as text. */
interface Identity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}

export interface ChainOptions {
  readonly region?: string;
  readonly configFile?: string;
  readonly credentialsFile?: string;
  readonly timeoutSeconds: number;
}

/** Longest of the three; AWS says session tokens may grow, and they are below 4 KB so far. */
const FIELD_CHARACTERS_MAX = 16 * 1024;
/** Stable over refreshes: some services tie connections to it. */
const SESSION_NAME = 'secretless-sidecar';

/** Without a logger, and with one that is called `NoOpLogger`, the SDK prints warnings to the console. */
class SilentLogger {
  trace(): void {}
  debug(): void {}
  info(): void {}
  warn(): void {}
  error(): void {}
}
export const SILENT = new SilentLogger();

/** Credentials from one source of the SDK. Loads the SDK at the first call. Errors: `credential-*`. */
export async function fetchFromChain(id: ChainId, options: ChainOptions, signal: AbortSignal): Promise<Minted> {
  const { UndiciHandler } = await import('./undici-handler.ts');
  const handler = new UndiciHandler(options.timeoutSeconds, signal);
  try {
    const provide = await providerOf(id, options, handler);
    return toMinted(await provide());
  } catch (thrown) {
    throw fromSdk(thrown, `AWS credentials "${id.kind}"`);
  } finally {
    handler.destroy();
  }
}

/** A provider of its own for each call, so that it keeps nothing; files are read again each time. */
async function providerOf(
  id: ChainId,
  options: ChainOptions,
  requestHandler: object,
): Promise<() => Promise<Identity>> {
  const sdk = await import('@aws-sdk/credential-providers');
  const region = options.region ?? process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'];
  const clientConfig = { requestHandler, logger: SILENT, maxAttempts: 2, ...(region === undefined ? {} : { region }) };
  const shared = {
    ignoreCache: true,
    logger: SILENT,
    clientConfig,
    roleSessionName: process.env['AWS_ROLE_SESSION_NAME'] ?? SESSION_NAME,
    // Version 1 of the metadata service hands credentials to whoever can make an instance send a GET.
    ec2MetadataV1Disabled: true,
    ...(options.configFile === undefined ? {} : { configFilepath: options.configFile }),
    ...(options.credentialsFile === undefined ? {} : { filepath: options.credentialsFile }),
  };
  switch (id.kind) {
    case 'default':
      return sdk.fromNodeProviderChain(shared);
    case 'environment':
      return sdk.fromEnv(shared);
    case 'profile':
      return sdk.fromIni({ ...shared, profile: id.name });
    case 'web-identity':
      return sdk.fromTokenFile(shared);
    case 'container':
      return sdk.fromHttp(shared);
    case 'instance':
      return sdk.fromInstanceMetadata(shared);
    default:
      return id satisfies never;
  }
}

/** The one place where what the SDK hands out, which is text, becomes secrets. */
export function toMinted({ accessKeyId, secretAccessKey, sessionToken, expiration }: Identity): Minted {
  const values = [accessKeyId, secretAccessKey, ...(sessionToken === undefined ? [] : [sessionToken])];
  const fit = values.every(
    (value) => typeof value === 'string' && value !== '' && value.length <= FIELD_CHARACTERS_MAX,
  );
  if (!fit || (expiration !== undefined && Number.isNaN(+expiration))) {
    throw new SidecarError('credential-unavailable', { detail: 'what came are not AWS credentials' });
  }
  const secret = new Secret(accessKeyId);
  return {
    secret,
    fields: {
      accessKeyId: secret,
      secretAccessKey: new Secret(secretAccessKey),
      ...(sessionToken === undefined ? {} : { sessionToken: new Secret(sessionToken) }),
    },
    ...(expiration === undefined ? {} : { expiresAt: expiration }),
  };
}

/** And the one place where secrets become text again: clients of the SDK and URLs are made of nothing else. */
export function textOf(secret: Secret): string {
  return secret.expose((bytes) => bytes.toString());
}

export function toIdentity({ fields, expiresAt }: Fetched): Identity {
  const { accessKeyId, secretAccessKey, sessionToken } = fields ?? {};
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw new SidecarError('credential-unavailable', { detail: 'there are no AWS credentials to sign with' });
  }
  return {
    accessKeyId: textOf(accessKeyId),
    secretAccessKey: textOf(secretAccessKey),
    ...(sessionToken === undefined ? {} : { sessionToken: textOf(sessionToken) }),
    ...(expiresAt === undefined ? {} : { expiration: expiresAt }),
  };
}
