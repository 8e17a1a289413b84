import { WireReader } from '../transport/wire.ts';

const NAME_BYTES_MAX = 256;
const HOST_BYTES_MAX = 1024;
const PATH_BYTES_MAX = 4096;

/** What is asked of the connection as a whole (RFC 4254 §4, PROTOCOL of OpenSSH). */
export type GlobalAsk =
  | { readonly kind: 'tcpip-forward'; readonly host: string; readonly port: number }
  | { readonly kind: 'cancel-tcpip-forward'; readonly host: string; readonly port: number }
  | { readonly kind: 'streamlocal-forward'; readonly path: string }
  | { readonly kind: 'cancel-streamlocal-forward'; readonly path: string }
  | { readonly kind: 'host-keys' }
  | { readonly kind: 'no-more-sessions' }
  | { readonly kind: 'keepalive' }
  | { readonly kind: 'other'; readonly type: string };

export interface GlobalRequest {
  readonly wantsReply: boolean;
  readonly ask: GlobalAsk;
}

/** Reads a GLOBAL_REQUEST. Errors: `SshError` `protocol`. */
export function readGlobalRequest(message: Buffer): GlobalRequest {
  const reader = new WireReader(message, 1);
  const type = reader.name(NAME_BYTES_MAX);
  const wantsReply = reader.boolean();
  return { wantsReply, ask: readAsk(type, reader) };
}

function readAsk(type: string, reader: WireReader): GlobalAsk {
  switch (type) {
    case 'tcpip-forward':
    case 'cancel-tcpip-forward':
      return { kind: type, host: reader.name(HOST_BYTES_MAX), port: reader.uint32() };
    case 'streamlocal-forward@openssh.com':
      return { kind: 'streamlocal-forward', path: reader.name(PATH_BYTES_MAX) };
    case 'cancel-streamlocal-forward@openssh.com':
      return { kind: 'cancel-streamlocal-forward', path: reader.name(PATH_BYTES_MAX) };
    case 'hostkeys-00@openssh.com':
      return { kind: 'host-keys' };
    case 'no-more-sessions@openssh.com':
      return { kind: 'no-more-sessions' };
    case 'keepalive@openssh.com':
      return { kind: 'keepalive' };
    default:
      return { kind: 'other', type };
  }
}
