import type { KeyObject } from 'node:crypto';
import type { AdmissionContext } from '../admission/admission.ts';
import type { RelayService } from '../connector/relay.ts';
import type { CredentialSource } from '../credential/lease.ts';
import type { AccessRequest, Principal } from '../policy/request.ts';
import type { Log } from '../telemetry/log.ts';
import type { ServiceMetrics } from '../telemetry/metrics.ts';
import type { Tally } from '../upstream/tally.ts';

/** One service as its listeners serve it. */
export interface RelayBinding {
  readonly service: string;
  readonly connector: string;
  readonly principal: Principal;
  readonly instance: RelayService;
  readonly source: CredentialSource;
  /** Service whose upstream is the way to this one's. */
  readonly via: string | undefined;
  /** TCP. */
  readonly connectSeconds: number;
  /** All that the upstream says during one login. */
  readonly loginSeconds: number;
  /** Neither side says anything; 0: no limit. */
  readonly idleSeconds: number;
  readonly upstreamConnections: number;
  readonly metrics: ServiceMetrics;
}

/** The parts every relay connection uses. */
export interface RelayParts extends AdmissionContext {
  readonly policy: AdmissionContext['policy'] & { permits(request: AccessRequest): boolean };
  readonly log: Log;
  /** Connections to upstreams by service. */
  readonly upstreams: Tally;
  /** Questions that wait for a person, by service. */
  readonly confirmations: Tally;
  /** The sidecar's own host key, read or made at the first use. */
  readonly hostKey: () => Promise<KeyObject>;
}

/** What a front serves just now. */
export interface RelayHandler {
  readonly parts: RelayParts;
  /** Services of the address in alphabetical order; never empty. */
  readonly bindings: readonly RelayBinding[];
  /** All relay services of the configuration by name: ways to others. */
  readonly relays: ReadonlyMap<string, RelayBinding>;
  /** Counts connections, so that what they use is closed only after the last. */
  enter(): void;
  leave(): void;
}
