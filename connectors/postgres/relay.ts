import { type Asking, remember, SidecarError, unread, write } from 'secretless-sidecar/connector';
import { type Frame, readFrame, TYPE } from './frame.ts';
import type { LoggedIn } from './login.ts';
import { UpstreamRefusal } from './upstream-refusal.ts';

/** Collected before it is written, where more is there already. */
const BATCH_BYTES = 16 * 1024;
/** All that a server says between AuthenticationOk and ReadyForQuery at most: some dozen settings, and notices. */
const RELAYED_BYTES_MAX = 1024 * 1024;
/** Process id, then a key of 4 to 256 bytes (protocol 3.2). */
const KEY_BYTES = { min: 4 + 4, max: 4 + 256 } as const;

/**
 * Copies what the upstream says, frame by frame and unchanged, up to ReadyForQuery, which is returned unwritten
 * together with what was not written yet. Errors: `upstream-protocol`; `UpstreamRefusal`, which is not written either.
 */
export function* relayToReady({ route, seen }: LoggedIn): Asking<Buffer> {
  let batch: Buffer[] = [...seen];
  let batchedBytes = 0;
  let relayedBytes = 0;
  let hasKey = false;
  for (;;) {
    if (batch.length > 0 && (batchedBytes >= BATCH_BYTES || (yield* unread('upstream')) === 0)) {
      yield* write('downstream', Buffer.concat(batch));
      batch = [];
      batchedBytes = 0;
    }
    const frame = yield* readFrame('upstream');
    relayedBytes += frame.bytes.length;
    if (relayedBytes > RELAYED_BYTES_MAX) throw unexpected('more than 1 MiB before ReadyForQuery');
    switch (frame.type) {
      case TYPE.error:
        if (batch.length > 0) yield* write('downstream', Buffer.concat(batch));
        throw new UpstreamRefusal(frame);
      case TYPE.backendKey:
        if (hasKey) throw unexpected('a second BackendKeyData');
        hasKey = true;
        yield* remember(keyOf(frame), route);
        break;
      case TYPE.ready:
        if (frame.body.length !== 1) throw unexpected('ReadyForQuery of another length');
        return Buffer.concat([...batch, frame.bytes]);
      case TYPE.parameterStatus:
      case TYPE.notice:
        break;
      default:
        throw unexpected(`a frame of type ${frame.type} before ReadyForQuery`);
    }
    batch.push(frame.bytes);
    batchedBytes += frame.bytes.length;
  }
}

function keyOf({ body }: Frame): Buffer {
  if (body.length < KEY_BYTES.min || body.length > KEY_BYTES.max) throw unexpected('BackendKeyData of another length');
  return body;
}

function unexpected(what: string): SidecarError {
  return new SidecarError('upstream-protocol', { detail: what });
}
