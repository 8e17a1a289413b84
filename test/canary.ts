import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Canary secrets and the artefacts they must not be found in. `npm test` sets the folder, collects what every test
 * leaves there together with everything the suite printed, and sweeps it at the end (see sweep.ts).
 */
const folder = process.env['SECRETLESS_SWEEP'];

/** A secret that the sweep will look for. `tail` adds characters that other encodings escape. */
export function canary(tail = ''): string {
  const secret = `canary${randomBytes(12).toString('hex')}${tail}`;
  if (folder !== undefined) appendFileSync(join(folder, 'canaries.jsonl'), `${JSON.stringify(secret)}\n`);
  return secret;
}

let serial = 0;

/** Keeps what the sidecar logged, stored, measured or sent back, for the sweep. */
export function keepArtefact(kind: string, content: string | Uint8Array): void {
  if (folder === undefined) return;
  serial += 1;
  const kept = join(folder, 'artefacts');
  mkdirSync(kept, { recursive: true });
  appendFileSync(join(kept, `${kind}-${process.pid}-${serial}`), content);
}
