import { VERSION } from 'secretless:embedded';

/** In place of `src/sidecar/version.ts`. */
export function productVersion(): string {
  return VERSION;
}
