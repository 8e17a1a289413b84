import { SidecarError } from '../../error.ts';

/** Words of a `CredentialsProviderError` that say: there is nothing there. They are read and never shown. */
const NOTHING_THERE = /^(Could not (load|resolve)|Unable to find|Web identity configuration not|No HTTP credential)/;
const TIMEOUTS = new Set([
  'AbortError',
  'TimeoutError',
  'HeadersTimeoutError',
  'BodyTimeoutError',
  'ConnectTimeoutError',
]);

/**
 * What an error of the SDK means. Its message may quote a file, a command or an answer, so only its name, its code, the
 * HTTP status and the id of the request are kept.
 */
export function fromSdk(thrown: unknown, what: string): SidecarError {
  if (thrown instanceof SidecarError) return thrown;
  if (!(thrown instanceof Error)) return new SidecarError('credential-unavailable', { detail: what });
  const words = [word(thrown.name)];
  const { code, Code, $metadata: metadata } = thrown as SdkError;
  for (const found of [code, Code]) if (found !== undefined && found !== thrown.name) words.push(word(found));
  if (typeof metadata?.httpStatusCode === 'number') words.push(`HTTP ${metadata.httpStatusCode}`);
  if (metadata?.requestId !== undefined) words.push(`request ${word(metadata.requestId)}`);
  const detail = `${what}: ${words.join(', ')}`;
  if (TIMEOUTS.has(thrown.name)) return new SidecarError('credential-timeout', { detail });
  const isMissing = thrown.name === 'CredentialsProviderError' && NOTHING_THERE.test(thrown.message);
  return new SidecarError(isMissing ? 'credential-missing' : 'credential-unavailable', { detail });
}

/** The name by which AWS calls what went wrong; undefined where it did not say. */
export function awsErrorName(thrown: unknown): string | undefined {
  return thrown instanceof Error && '$metadata' in thrown ? thrown.name : undefined;
}

interface SdkError extends Error {
  readonly code?: unknown;
  readonly Code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
}

/** Names and codes may come from an answer. */
function word(found: unknown): string {
  return typeof found === 'string' && /^[\w.:-]{1,64}$/.test(found) ? found : 'unnamed';
}
