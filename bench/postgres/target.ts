/** Something that load is sent to: the server itself, the sidecar, or a peer. */
export interface Target {
  readonly name: string;
  readonly port: number;
  /** What a client needs to reach the server through it: variables of libpq, over those of this process. */
  readonly env: Readonly<Record<string, string>>;
  /** Processes whose use counts as this target's; none for the server itself. */
  pids(): readonly number[];
  close(): Promise<void>;
}
