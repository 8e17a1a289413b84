import { Worker, type WorkerOptions } from 'node:worker_threads';

/** Nothing that it prints is shown, and it gets no variables. */
export const DERIVER_OPTIONS: WorkerOptions = { stdout: true, stderr: true, env: {} };

/** A thread that runs `derive-worker.ts`, whose file has the ending of this one: `.ts` in a checkout, `.js` in a build. */
export function openDeriver(): Worker {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new Worker(new URL(`./derive-worker.${ending}`, import.meta.url), DERIVER_OPTIONS);
}
