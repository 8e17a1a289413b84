import { createRequire } from 'node:module';

/** Version of this build, from the package's own package.json (found by its public name from source and from dist). */
export function productVersion(): string {
  const require = createRequire(import.meta.url);
  return (require('secretless-sidecar/package.json') as { version: string }).version;
}
