import type { AdmissionContext } from '../admission/admission.ts';
import type { StreamService } from '../connector/connector.ts';
import type { CredentialSource } from '../credential/lease.ts';
import type { AccessRequest, Principal } from '../policy/request.ts';
import type { Log } from '../telemetry/log.ts';
import type { ServiceMetrics } from '../telemetry/metrics.ts';
import type { Recollections } from './recollections.ts';
import type { Tally } from '../upstream/tally.ts';

/** One service as its listeners serve it. */
export interface StreamBinding {
  readonly service: string;
  readonly connector: string;
  readonly principal: Principal;
  readonly instance: StreamService;
  readonly source: CredentialSource;
  /** TCP, and then TLS. */
  readonly connectSeconds: number;
  /** All that the upstream says during one login. */
  readonly loginSeconds: number;
  /** Neither side sends a byte; 0: no limit. */
  readonly idleSeconds: number;
  readonly upstreamConnections: number;
  readonly metrics: ServiceMetrics;
}

/** The parts every stream connection uses. */
export interface StreamParts extends AdmissionContext {
  readonly policy: AdmissionContext['policy'] & { permits(request: AccessRequest): boolean };
  readonly log: Log;
  /** Shared by all configurations of a sidecar. */
  readonly recollections: Recollections;
  /** Connections to upstreams by service. */
  readonly upstreams: Tally;
  /** The sidecar's own certificate for `localhost`, made at the first use. */
  readonly localIdentity: () => Promise<{ readonly certificate: string; readonly key: string }>;
}

/** What a front serves just now. */
export interface StreamHandler {
  readonly parts: StreamParts;
  readonly binding: StreamBinding;
  /** Counts logins, so that what they use is closed only after the last. */
  enter(): void;
  leave(): void;
}
