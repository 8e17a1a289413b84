import type { LimitsConfig } from '../config/config.ts';
import type { EgressFront, TunnelFront } from '../egress/front.ts';
import { SidecarError } from '../error.ts';
import { HttpFront, type HttpFrontLimits } from '../http/front.ts';
import type { RelayHandler } from '../relay/binding.ts';
import type { RelayFront } from '../relay/front.ts';
import type { StreamFront } from '../stream/front.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Endpoint, HttpEndpoint } from './endpoints.ts';

/** What serves an address, one kind of front a kind of connector. */
export type Front =
  | { readonly kind: 'http'; readonly front: HttpFront }
  | { readonly kind: 'tunnel'; readonly front: TunnelFront }
  | { readonly kind: 'egress'; readonly front: EgressFront }
  | { readonly kind: 'stream'; readonly front: StreamFront }
  | { readonly kind: 'relay'; readonly front: RelayFront };

/** What an http-only configuration does not need: its time to ready and its memory are what counts. */
const LOADERS = {
  egress: () => import('../egress/front.ts'),
  stream: () => import('../stream/front.ts'),
  relay: () => import('../relay/front.ts'),
};

type Code = { readonly [Part in keyof typeof LOADERS]: Awaited<ReturnType<(typeof LOADERS)[Part]>> };
const loaded: { -readonly [Part in keyof Code]?: Code[Part] } = {};

/** Loads the code of such fronts, where that has not happened yet. */
export async function loadFronts(kinds: readonly Endpoint['kind'][]): Promise<void> {
  const wanted = new Set(kinds);
  if (wanted.has('tunnel') || wanted.has('egress')) loaded.egress ??= await LOADERS.egress();
  if (wanted.has('stream')) loaded.stream ??= await LOADERS.stream();
  if (wanted.has('relay')) loaded.relay ??= await LOADERS.relay();
}

function codeOf<Part extends keyof Code>(part: Part): Code[Part] {
  const code: Code[Part] | undefined = loaded[part];
  if (code === undefined) throw new SidecarError('internal', { detail: `the code of ${part} was not loaded` });
  return code;
}

/** Its kind must have been loaded. `current`: what the address serves now; undefined once it is gone. */
export function openFront(
  key: string,
  endpoint: Endpoint,
  limits: LimitsConfig,
  metrics: Metrics,
  current: () => Endpoint | undefined,
): Front {
  switch (endpoint.kind) {
    case 'http': {
      const handler = lastOf(endpoint, current, (next) => (next.kind === 'http' ? next : undefined));
      return { kind: 'http', front: new HttpFront(key, httpLimits(endpoint, limits), () => handler().handler) };
    }
    case 'tunnel': {
      const handler = lastOf(endpoint, current, (next) => (next.kind === 'tunnel' ? next : undefined));
      return {
        kind: 'tunnel',
        front: new (codeOf('egress').TunnelFront)(
          key,
          httpLimits(endpoint, limits),
          metrics.tunnels(key),
          () => handler().handler,
        ),
      };
    }
    case 'egress': {
      const handler = lastOf(endpoint, current, (next) => (next.kind === 'egress' ? next : undefined));
      return {
        kind: 'egress',
        front: new (codeOf('egress').EgressFront)(
          key,
          httpLimits(endpoint, limits),
          metrics.tunnels(key),
          () => handler().handler,
        ),
      };
    }
    case 'stream': {
      const handler = lastOf(endpoint, current, (next) => (next.kind === 'stream' ? next : undefined));
      return { kind: 'stream', front: new (codeOf('stream').StreamFront)(key, limits, () => handler().handler) };
    }
    case 'relay': {
      const handler = (): RelayHandler | undefined => {
        const next = current();
        return next?.kind === 'relay' ? next.handler : undefined;
      };
      return { kind: 'relay', front: new (codeOf('relay').RelayFront)(key, limits, handler) };
    }
    default:
      return endpoint satisfies never;
  }
}

/** The present endpoint; where the address has gone over to another kind, the last that was of this one. */
function lastOf<Kind extends Endpoint>(
  first: Kind,
  current: () => Endpoint | undefined,
  ofKind: (endpoint: Endpoint) => Kind | undefined,
): () => Kind {
  let last = first;
  return () => {
    const next = current();
    last = (next === undefined ? undefined : ofKind(next)) ?? last;
    return last;
  };
}

export function httpLimits({ idleSeconds }: Pick<HttpEndpoint, 'idleSeconds'>, limits: LimitsConfig): HttpFrontLimits {
  const { headerBytes, headerSeconds, keepAliveSeconds, requestSeconds } = limits;
  return { headerBytes, headerSeconds, keepAliveSeconds, requestSeconds, idleSeconds };
}
