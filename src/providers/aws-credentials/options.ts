import { Type } from '../../schema.ts';
import { Seconds } from '../quantity.ts';

/** Of 1 to 32 characters as partitions and regions are named: it becomes part of a host name. */
export const REGION_PATTERN = '^[a-z0-9-]{1,32}$';

/** Longest that one asking may take, below the 10 s that a service waits for a credential. */
export const TIMEOUT_SECONDS = 8;

/** Options of every provider that uses AWS credentials. */
export const ChainProperties = {
  region: Type.Optional(Type.String({ pattern: REGION_PATTERN, description: 'Default: AWS_REGION' })),
  configFile: Type.Optional(Type.String({ minLength: 1, description: 'Default: AWS_CONFIG_FILE, or ~/.aws/config' })),
  credentialsFile: Type.Optional(
    Type.String({ minLength: 1, description: 'Default: AWS_SHARED_CREDENTIALS_FILE, or ~/.aws/credentials' }),
  ),
  timeout: Type.Optional(Seconds),
};

/** The region that the environment names, where the configuration names none. */
export function regionFromEnvironment(): string | undefined {
  const region = process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION'];
  return region !== undefined && new RegExp(REGION_PATTERN).test(region) ? region : undefined;
}
