import { availableParallelism, loadavg, release, type } from 'node:os';

/** Where figures were taken. */
export interface Machine {
  readonly node: string;
  readonly system: string;
  readonly processors: number;
  /** Load averages of 1, 5 and 15 minutes before the first measurement. */
  readonly load: readonly number[];
}

/** This machine, just now. */
export function thisMachine(): Machine {
  return {
    node: process.versions.node,
    system: `${type()} ${release()}`,
    processors: availableParallelism(),
    load: loadavg(),
  };
}

/** Whether others were at work on it. */
export function isBusy({ load, processors }: Machine): boolean {
  return load[0]! > processors / 2;
}
