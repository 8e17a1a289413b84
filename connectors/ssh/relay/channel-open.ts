import { WireReader } from '../transport/wire.ts';

const NAME_BYTES_MAX = 256;
const HOST_BYTES_MAX = 1024;
const PATH_BYTES_MAX = 4096;

/** What a channel is asked for (RFC 4254 §5.1). Addresses are text of the peer's: nothing but ASCII gets this far. */
export type ChannelPurpose =
  | { readonly kind: 'session' }
  | {
      readonly kind: 'direct-tcpip';
      readonly host: string;
      readonly port: number;
      readonly from: string;
      readonly fromPort: number;
    }
  | {
      readonly kind: 'forwarded-tcpip';
      readonly host: string;
      readonly port: number;
      readonly from: string;
      readonly fromPort: number;
    }
  | { readonly kind: 'direct-streamlocal'; readonly path: string }
  | { readonly kind: 'forwarded-streamlocal'; readonly path: string }
  | { readonly kind: 'x11'; readonly from: string; readonly fromPort: number }
  | { readonly kind: 'auth-agent' }
  | { readonly kind: 'other'; readonly type: string };

export interface ChannelOpen {
  /** The opener's own number for it. */
  readonly sender: number;
  /** Bytes that the opener takes before it must be told to go on. */
  readonly window: number;
  readonly maxPacket: number;
  readonly purpose: ChannelPurpose;
}

/** Reads a CHANNEL_OPEN. Errors: `SshError` `protocol`. */
export function readChannelOpen(message: Buffer): ChannelOpen {
  const reader = new WireReader(message, 1);
  const type = reader.name(NAME_BYTES_MAX);
  const common = { sender: reader.uint32(), window: reader.uint32(), maxPacket: reader.uint32() };
  return { ...common, purpose: readPurpose(type, reader) };
}

/** Offset of `maxPacket` in a CHANNEL_OPEN. */
export function maxPacketAt(message: Buffer): number {
  return 1 + 4 + message.readUInt32BE(1) + 4 + 4;
}

function readPurpose(type: string, reader: WireReader): ChannelPurpose {
  switch (type) {
    case 'session':
      return { kind: 'session' };
    case 'direct-tcpip':
    case 'forwarded-tcpip':
      return { kind: type, ...readAddress('host', 'port', reader), ...readAddress('from', 'fromPort', reader) };
    // PROTOCOL §2.4 of OpenSSH: path, then two reserved fields.
    case 'direct-streamlocal@openssh.com':
      return { kind: 'direct-streamlocal', path: reader.name(PATH_BYTES_MAX) };
    case 'forwarded-streamlocal@openssh.com':
      return { kind: 'forwarded-streamlocal', path: reader.name(PATH_BYTES_MAX) };
    case 'x11':
      return { kind: 'x11', ...readAddress('from', 'fromPort', reader) };
    case 'auth-agent@openssh.com':
      return { kind: 'auth-agent' };
    default:
      return { kind: 'other', type };
  }
}

function readAddress<Host extends string, Port extends string>(
  host: Host,
  port: Port,
  reader: WireReader,
): Record<Host, string> & Record<Port, number> {
  const entry = { [host]: reader.name(HOST_BYTES_MAX), [port]: reader.uint32() };
  return entry as Record<Host, string> & Record<Port, number>;
}
