import { type Credentials, defineHttpConnector, type HttpService, SidecarError } from 'secretless-sidecar/connector';
import type { Arrival, Authenticated, Begun, RequestHead, ResponseHead } from 'secretless-sidecar/connector';
import { beginExchange } from './begin.ts';
import { environmentOf } from './environment.ts';
import { Callers } from './callers.ts';
import { bytesOf, Config } from './config.ts';
import { refuseInDialect } from './dialect/refuse.ts';
import type { Kept } from './exchange.ts';
import { isPlaceable } from './placing.ts';
import { BucketRegions } from './learnt/bucket-regions.ts';
import { Clocks } from './learnt/clocks.ts';
import { Signers } from './signers.ts';
import type { CredentialName } from './signing-credentials.ts';

const MEMORY_DEFAULT = '1MiB';
const DISK_DEFAULT = '256MiB';

/** AWS Signature Version 4 and 4a: verifies what the agent signed with its made-up key, signs with the real one. */
export const aws = defineHttpConnector({
  kind: 'http',
  name: 'aws',
  routes: true,
  summary: 'AWS SDK calls, signed anew (Signature Version 4 and 4a)',
  config: Config,
  credentials: [
    { name: 'accessKeyId', required: true, meaning: 'access key id', example: 'AKIAIOSFODNN7EXAMPLE' },
    { name: 'secretAccessKey', required: true, meaning: 'secret access key', example: 'wJalrXUtnFEMI/K7MDENG/bPx…' },
    {
      name: 'sessionToken',
      required: false,
      meaning: 'session token of temporary credentials',
      example: 'IQoJb3JpZ2lu…',
    },
    {
      name: 'accessToken',
      required: false,
      meaning: 'the same, as CyberArk’s broker calls it',
      example: 'IQoJb3JpZ2lu…',
    },
  ],
  check: (config, names) => [
    ...(names.includes('sessionToken') && names.includes('accessToken')
      ? [
          {
            path: [],
            credential: 'accessToken',
            message: '`sessionToken` and `accessToken` are the same: leave one out',
          },
        ]
      : []),
    ...sharedKeys(config),
    ...(bytesOf(config.bodyDisk ?? DISK_DEFAULT) < bytesOf(config.bodyMemory ?? MEMORY_DEFAULT)
      ? [{ path: ['bodyDisk'], message: 'is less than `bodyMemory`' }]
      : []),
  ],
  environment: environmentOf,
  reaches: (_, host) => isPlaceable(host),
  open: (config) => new AwsService(config),
});

function sharedKeys({ agents = {} }: Config) {
  const seen = new Map<string, string>();
  return Object.entries(agents).flatMap(([agent, { accessKeyId }]) => {
    const other = seen.get(accessKeyId);
    seen.set(accessKeyId, agent);
    if (other === undefined) return [];
    return [{ path: ['agents', agent, 'accessKeyId'], message: `is that of the agent "${other}" too` }];
  });
}

class AwsService implements HttpService<CredentialName> {
  readonly #config: Config;
  readonly #kept: Kept;

  constructor(config: Config) {
    this.#config = config;
    this.#kept = {
      callers: new Callers(config.agents),
      signers: new Signers(),
      clocks: new Clocks(),
      regions: new BucketRegions(),
      digest: { memory: bytesOf(config.bodyMemory ?? MEMORY_DEFAULT), disk: bytesOf(config.bodyDisk ?? DISK_DEFAULT) },
    };
  }

  begin(arrival: Arrival): Begun<CredentialName> {
    return beginExchange(this.#kept, this.#config, arrival);
  }

  authenticate(_: RequestHead, __: Credentials<CredentialName>): Authenticated {
    throw new SidecarError('internal', { detail: 'every request of this connector begins' });
  }

  refuse(error: SidecarError, head: RequestHead, id: string): ResponseHead & { readonly body: Uint8Array } {
    return refuseInDialect(error, head, this.#config.service, id);
  }

  close(): void {
    this.#kept.callers.close();
    this.#kept.signers.close();
  }
}
