import type { CredentialReference } from '../config/config.ts';
import type { Secret } from '../credential/secret.ts';
import type { Fetched, SecretStore } from '../credential/store.ts';
import { SidecarError } from '../error.ts';

/** For what is fetched where no service says how long it may take. */
const FETCH_SECONDS = 10;

/** What no service is lent, but the sidecar itself needs. Errors: those of `SecretStore.fetch`. */
export async function fetchOwn(
  { from, get, field }: CredentialReference,
  store: (from: string) => SecretStore,
): Promise<{ readonly secret: Secret; readonly fetched: Fetched }> {
  const fetched = await store(from).fetch(get, AbortSignal.timeout(FETCH_SECONDS * 1000));
  const secret = field === undefined ? fetched.secret : fetched.fields?.[field];
  if (secret === undefined) throw new SidecarError('credential-missing', { detail: `no field ${field}` });
  return { secret, fetched };
}

/** Overwrites what was fetched, where the store does not keep it itself. */
export function wipeOwn({ secret, fields, retained }: Fetched): void {
  if (retained === true) return;
  for (const one of [secret, ...Object.values(fields ?? {})]) one.wipe();
}
