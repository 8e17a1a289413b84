import type { BodyMode } from './requests.ts';

/** Something that requests are sent to: the upstream itself, or the sidecar. */
export interface Target {
  readonly name: string;
  /** Where calls go. */
  readonly port: number;
  /** Where a body of this mode goes; each compatibility mode is a service of its own. */
  readonly bodyPort: (mode: BodyMode) => number;
  /** Processes whose use counts as this target's; none for the upstream itself. */
  pids(): readonly number[];
  close(): Promise<void>;
}
