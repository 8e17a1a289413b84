import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { SidecarError } from '../error.ts';

export const FILE_OPTION = {
  type: 'string',
  short: 'f',
  value: 'file',
  meaning: 'configuration; default: ./secretless.yml, ~/.secretless.yml, /etc/secretless.yml, the first that exists',
} as const;

/**
 * The configuration file of a command. Only existence decides: a broken file is an error, never a reason to try the
 * next place. Errors: `config-invalid`.
 */
export function configFile(given: string | undefined, env: NodeJS.ProcessEnv): string {
  if (given !== undefined) return resolve(given);
  const places = ['secretless.yml', join(env['HOME'] ?? homedir(), '.secretless.yml'), '/etc/secretless.yml'];
  const found = places.find((place) => existsSync(place));
  if (found === undefined) {
    const detail = `no configuration file: none of ${places.join(', ')} exists; write one, or name it with -f`;
    throw new SidecarError('config-invalid', { detail });
  }
  return resolve(found);
}
