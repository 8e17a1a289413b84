import { createHash, timingSafeEqual } from 'node:crypto';
import type { Secret } from 'secretless-sidecar/connector';
import type { OfferedKey } from './offered-key.ts';

/**
 * How whoever connects says who it is.
 *
 * - `none`: nobody is asked, the listener alone tells.
 * - `keys`: a key, and only the one that signed the login. `agentOf` may be asked several times and tells nobody that it
 *   was.
 * - `token`: a password that is one of `tokens`.
 */
export type Identity =
  | { readonly kind: 'none' }
  | { readonly kind: 'keys'; readonly agentOf: (key: OfferedKey) => string | undefined }
  | { readonly kind: 'token'; readonly tokens: readonly AgentToken[] };

export interface AgentToken {
  readonly agent: string;
  readonly token: Secret;
}

/** The method of RFC 4252 that proves it: no other is offered. */
export function methodOf(identity: Identity): 'none' | 'publickey' | 'password' {
  switch (identity.kind) {
    case 'none':
      return 'none';
    case 'keys':
      return 'publickey';
    case 'token':
      return 'password';
  }
}

/** The agent whose token it is. Takes as long for a wrong one as for a right one, wherever in the list that is. */
export function agentOfToken(tokens: readonly AgentToken[], given: Uint8Array): string | undefined {
  const digest = createHash('sha256').update(given).digest();
  let found: string | undefined;
  for (const { agent, token } of tokens) {
    const own = token.expose((bytes) => createHash('sha256').update(bytes).digest());
    if (timingSafeEqual(own, digest) && token.length > 0) found = agent;
  }
  return found;
}
