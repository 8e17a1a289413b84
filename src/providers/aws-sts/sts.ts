import type * as Sdk from '@aws-sdk/client-sts';
import type { Secret } from '../../credential/secret.ts';
import type { Fetched } from '../../credential/store.ts';
import { SidecarError } from '../../error.ts';
import type { Minted } from '../aws-credentials/kept.ts';
import { SILENT, textOf, toIdentity, toMinted } from '../aws-credentials/sdk.ts';

/** Where STS is and how long it may take. */
export interface Sts {
  readonly region: string;
  readonly endpoint?: string;
  readonly timeoutSeconds: number;
}

/** AssumeRole, signed with `base`. Throws what the SDK throws. */
export function assumeRole(
  sts: Sts,
  input: Sdk.AssumeRoleCommandInput,
  base: Fetched,
  signal: AbortSignal,
): Promise<Minted> {
  return withClient(sts, signal, base, async ({ client, AssumeRoleCommand }) =>
    toSession(await client.send(new AssumeRoleCommand(input))),
  );
}

/** AssumeRoleWithWebIdentity, which nobody signs: the token is the proof. Throws what the SDK throws. */
export function assumeRoleWithWebIdentity(
  sts: Sts,
  input: Omit<Sdk.AssumeRoleWithWebIdentityCommandInput, 'WebIdentityToken'>,
  token: Secret,
  signal: AbortSignal,
): Promise<Minted> {
  return withClient(sts, signal, undefined, async ({ client, AssumeRoleWithWebIdentityCommand }) => {
    const WebIdentityToken = textOf(token);
    return toSession(await client.send(new AssumeRoleWithWebIdentityCommand({ ...input, WebIdentityToken })));
  });
}

type Tools = typeof Sdk & { readonly client: Sdk.STSClient };

async function withClient(
  { region, endpoint, timeoutSeconds }: Sts,
  signal: AbortSignal,
  base: Fetched | undefined,
  work: (tools: Tools) => Promise<Minted>,
): Promise<Minted> {
  const [sdk, { UndiciHandler }] = await Promise.all([
    import('@aws-sdk/client-sts'),
    import('../aws-credentials/undici-handler.ts'),
  ]);
  const requestHandler = new UndiciHandler(timeoutSeconds, signal);
  const client = new sdk.STSClient({
    region,
    requestHandler,
    logger: SILENT,
    maxAttempts: 2,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(base === undefined ? {} : { credentials: () => Promise.resolve(toIdentity(base)) }),
  });
  try {
    return await work({ ...sdk, client });
  } finally {
    client.destroy();
    requestHandler.destroy();
  }
}

function toSession({ Credentials: found }: { readonly Credentials?: Sdk.Credentials | undefined }): Minted {
  const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = found ?? {};
  if (
    AccessKeyId === undefined ||
    SecretAccessKey === undefined ||
    SessionToken === undefined ||
    Expiration === undefined
  ) {
    throw new SidecarError('credential-unavailable', { detail: 'STS answered without credentials' });
  }
  return toMinted({
    accessKeyId: AccessKeyId,
    secretAccessKey: SecretAccessKey,
    sessionToken: SessionToken,
    expiration: Expiration,
  });
}
