import { Type, type Static } from '../../schema.ts';
import type { Fetched, SecretStore } from '../../credential/store.ts';
import { SidecarError } from '../../error.ts';
import { defineProvider } from '../provider.ts';
import { readSeconds, Seconds } from '../quantity.ts';
import { runTool, toolEnvironment, type ToolResult } from '../tool.ts';
import { keychainTool } from './keychain-tool.ts';

const Options = Type.Object({ timeout: Type.Optional(Seconds) }, { additionalProperties: false });

/** Long enough for a person to unlock the keychain. */
const TIMEOUT_DEFAULT = '30s';
const OUTPUT_BYTES_MAX = 64 * 1024;

/** The keychain of whoever runs the sidecar. */
export const keychain = defineProvider({
  name: 'keychain',
  config: Options,
  checkId(id) {
    const parts = splitId(id);
    return 'problem' in parts ? parts.problem : undefined;
  },
  open: (options) => openKeychain(options, process.platform),
});

/** `platform` as Node names it. */
export function openKeychain(options: Static<typeof Options>, platform: string): SecretStore {
  return new KeychainStore(readSeconds(options.timeout ?? TIMEOUT_DEFAULT), platform);
}

type Id = { readonly service: string; readonly account: string } | { readonly problem: string };

function splitId(id: string): Id {
  const [service, account, ...more] = id.split('#');
  if (!service || !account || more.length > 0) return { problem: 'an id is written service#account, with one "#"' };
  if (service.startsWith('-') || account.startsWith('-')) return { problem: 'neither part may begin with "-"' };
  if (id.includes('\0')) return { problem: 'an id has no NUL' };
  return { service, account };
}

class KeychainStore implements SecretStore {
  readonly #timeoutSeconds: number;
  readonly #platform: string;

  constructor(timeoutSeconds: number, platform: string) {
    this.#timeoutSeconds = timeoutSeconds;
    this.#platform = platform;
  }

  async fetch(id: string, signal: AbortSignal): Promise<Fetched> {
    signal.throwIfAborted();
    const parts = splitId(id);
    if ('problem' in parts) throw new SidecarError('credential-missing', { detail: parts.problem });
    const tool = keychainTool(this.#platform);
    const call = {
      argv: tool.argv(parts.service, parts.account),
      environment: toolEnvironment(tool.environment),
      timeoutSeconds: this.#timeoutSeconds,
      outputBytes: OUTPUT_BYTES_MAX,
      install: tool.install,
    };
    const result = await runTool(call, signal);
    if (result.exitCode === 0 && result.output.length > 0) return { secret: result.output };
    result.output.wipe();
    throw refusal(result, tool.isMissing(result));
  }

  async close(): Promise<void> {}
}

function refusal({ exitCode, complaint }: ToolResult, missing: boolean): SidecarError {
  if (missing || exitCode === 0) {
    return new SidecarError('credential-missing', {
      detail: 'the keychain holds nothing under this service and account',
    });
  }
  const end = exitCode === undefined ? 'ended by a signal' : `ended with code ${exitCode}`;
  return new SidecarError('credential-unavailable', { detail: `the keychain tool ${end}: ${complaint}` });
}
