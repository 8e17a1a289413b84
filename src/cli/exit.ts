/** Exit codes of `secretless` (sysexits.h). */
export const EXIT = {
  ok: 0,
  /** The command line was wrong (EX_USAGE). */
  usage: 64,
  /** It failed, or no sidecar runs, or the ledger does not verify (EX_SOFTWARE). */
  internal: 70,
  /** The configuration, or what this process runs on, is not right (EX_CONFIG). */
  config: 78,
} as const;
