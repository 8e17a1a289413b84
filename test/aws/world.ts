import { afterAll, beforeAll, expect } from 'vitest';
import { canary } from '../canary.ts';
import { DUMMY, DUMMY_TOKEN, type Door } from './door.ts';
import type { Recorded } from './exchange.ts';
import { useSidecar, type RunningSidecar } from './sidecar.ts';
import { startVerifyingServer, type VerifyingServer } from './verifying-server.ts';

export interface World {
  readonly server: () => VerifyingServer;
  readonly sidecar: () => RunningSidecar;
  readonly direct: () => Door;
  readonly through: () => Door;
}

export const REGION = 'eu-central-1';
const KINDS = ['s3', 'dynamodb', 'sqs', 'sts'] as const;

/** A verifying server and a sidecar in front of it, for all tests of a `describe`. */
export function useWorld(): World {
  const real = { accessKeyId: 'AKIAREALONE', secretAccessKey: canary('/+='), sessionToken: canary('/+=') };
  let server: VerifyingServer | undefined;
  beforeAll(async () => {
    server = await startVerifyingServer({ accounts: [real], region: REGION, buckets: ['direct-side', 'sidecar-side'] });
  });
  const sidecar = useSidecar(() => {
    const target = server!.url;
    const config = { region: REGION, agents: { local: DUMMY } };
    const entries = KINDS.map((service) => [service, { target, credentials: real, config: { service, ...config } }]);
    return Object.fromEntries(entries) as Parameters<typeof useSidecar>[0] extends () => infer S ? S : never;
  });
  afterAll(() => server?.close());
  const door = (urlOf: (kind: (typeof KINDS)[number]) => string): Pick<Door, 'endpoints' | 'region' | 'trailers'> => {
    const endpoints = Object.fromEntries(KINDS.map((kind) => [kind, urlOf(kind)])) as Door['endpoints'];
    return { endpoints, region: REGION, trailers: true };
  };
  return {
    server: () => server!,
    sidecar,
    direct: () => ({ ...door(() => server!.url), credentials: real, bucket: 'direct-side' }),
    through: () => ({ ...door((kind) => sidecar().url(kind)), credentials: DUMMY, bucket: 'sidecar-side' }),
  };
}

/** Nothing of the agent's own key may have come through. */
export function expectNoDummies(requests: readonly Recorded[]): void {
  for (const { head, beginning } of requests) {
    const seen = [head.path, head.query, ...head.lines.flat(), beginning.toString('latin1')].join('\n');
    for (const dummy of [DUMMY.accessKeyId, DUMMY.secretAccessKey, DUMMY_TOKEN]) expect(seen).not.toContain(dummy);
  }
}
