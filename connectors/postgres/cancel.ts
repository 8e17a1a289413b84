import {
  type Asking,
  dial,
  readEnd,
  recall,
  SidecarError,
  startUpstreamTls,
  write,
} from 'secretless-sidecar/connector';
import type { Opening } from './front.ts';
import { isTlsOffered, type Route } from './login.ts';

/**
 * Forwards a CancelRequest to the very server of its session, through TLS where the session has it. The client's own
 * connection is held until the upstream has ended, as a server would (PostgreSQL protocol, "Canceling Requests in
 * Progress"). A key that no living session has is dropped in silence: no oracle, and no way to make the sidecar dial.
 * Errors: those of `dial` and `startTls`, `upstream-plaintext`, `upstream-protocol`.
 */
export function* forwardCancel({ packet, key }: Extract<Opening, { kind: 'cancel' }>): Asking<void> {
  const route = (yield* recall(key)) as Route | undefined;
  if (route === undefined) return;
  yield* dial(route.peer);
  if (route.tls !== undefined) {
    if (!(yield* isTlsOffered(route.negotiation))) throw new SidecarError('upstream-plaintext');
    yield* startUpstreamTls(route.tls);
  }
  yield* write('upstream', packet);
  yield* readEnd('upstream');
}
