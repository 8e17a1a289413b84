import { Worker } from 'node:worker_threads';
import { DERIVE_WORKER } from 'secretless:embedded';

/** In place of `src/connector/ssh/derive-thread.ts`: there is no file beside a single executable. */
export function openDeriver(): Worker {
  return new Worker(DERIVE_WORKER, { eval: true, stdout: true, stderr: true, env: {} });
}
