import { randomUUID } from 'node:crypto';
import { decide, lend, type AdmissionContext, type Use } from '../admission/admission.ts';
import type { ServiceConfig } from '../config/config.ts';
import type { Lease } from '../credential/lease.ts';
import { openSource } from '../credential/source.ts';
import type { SecretStore } from '../credential/store.ts';
import type { AccessRequest, Principal } from '../policy/request.ts';

/** Credentials of one service that are handed over as they are. */
export interface ValueRequest {
  readonly service: ServiceConfig;
  /** Names; no others are fetched. */
  readonly credentials: readonly string[];
  /** Default: whoever the listener belongs to. */
  readonly agent?: string;
}

export interface ValueParts {
  readonly context: AdmissionContext;
  readonly store: (from: string) => SecretStore;
  readonly signal: AbortSignal;
}

/** The values, until they are released. */
export interface LentValues {
  readonly lease: Lease;
  /** Wipes them. */
  release(): Promise<void>;
}

/**
 * Lends credentials themselves, for programs that cannot be led through a listener: where a rule says `deliver: [value]`,
 * and after the ledger has it. Errors: `policy-denied`, `rate-limited`, `ledger-unavailable`, those of the providers.
 */
export async function lendValues(
  { service, credentials, agent = service.agent }: ValueRequest,
  { context, store, signal }: ValueParts,
): Promise<LentValues> {
  const principal: Principal = { agent, attested: 'listener' };
  const { name, connector } = service;
  const request: AccessRequest = { service: name, connector, principal, facts: { delivery: 'value' } };
  const use: Use = { id: randomUUID(), service: name, connector, principal, delivery: 'value' };
  const grant = await decide(
    context,
    () => request,
    () => use,
  );
  const source = openSource({
    service: name,
    references: Object.fromEntries(credentials.map((each) => [each, service.credentials[each]!])),
    store,
    cacheSeconds: 0,
    timeoutSeconds: service.timeouts.credentialSeconds,
  });
  try {
    const lease = await lend(context, source, grant, () => use, signal);
    return {
      lease,
      release: async () => {
        lease.release();
        await source.close();
      },
    };
  } catch (thrown) {
    await source.close();
    throw thrown;
  }
}
