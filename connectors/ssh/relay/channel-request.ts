import { WireReader } from '../transport/wire.ts';

const NAME_BYTES_MAX = 256;
const COMMAND_BYTES_MAX = 256 * 1024;
const ENV_BYTES_MAX = 64 * 1024;
const TERM_BYTES_MAX = 256;
const MODES_BYTES_MAX = 4096;
const TEXT_BYTES_MAX = 4096;

/** What is asked of a channel (RFC 4254 §6). Bytes are bytes: a command need not be UTF-8. */
export type ChannelAsk =
  | {
      readonly kind: 'pty';
      readonly term: Buffer;
      readonly columns: number;
      readonly rows: number;
      readonly modes: Buffer;
    }
  | { readonly kind: 'env'; readonly name: Buffer; readonly value: Buffer }
  | { readonly kind: 'exec'; readonly command: Buffer }
  | { readonly kind: 'shell' }
  | { readonly kind: 'subsystem'; readonly name: string }
  | { readonly kind: 'agent-forwarding' }
  | { readonly kind: 'x11-forwarding' }
  | { readonly kind: 'window-change'; readonly columns: number; readonly rows: number }
  | { readonly kind: 'signal'; readonly name: string }
  | { readonly kind: 'exit-status'; readonly status: number }
  | { readonly kind: 'exit-signal'; readonly name: string; readonly coreDumped: boolean }
  | { readonly kind: 'xon-xoff' }
  | { readonly kind: 'break' }
  | { readonly kind: 'end-of-write' }
  | { readonly kind: 'keepalive' }
  | { readonly kind: 'other'; readonly type: string };

export interface ChannelRequest {
  readonly wantsReply: boolean;
  readonly ask: ChannelAsk;
}

/** Reads a CHANNEL_REQUEST. Errors: `SshError` `protocol`. */
export function readChannelRequest(message: Buffer): ChannelRequest {
  const reader = new WireReader(message, 1 + 4);
  const type = reader.name(NAME_BYTES_MAX);
  const wantsReply = reader.boolean();
  return { wantsReply, ask: readAsk(type, reader) };
}

function readAsk(type: string, reader: WireReader): ChannelAsk {
  switch (type) {
    case 'pty-req':
      return readPty(reader);
    case 'env':
      return { kind: 'env', name: reader.string(ENV_BYTES_MAX), value: reader.string(ENV_BYTES_MAX) };
    case 'exec':
      return { kind: 'exec', command: whole(reader, reader.string(COMMAND_BYTES_MAX)) };
    case 'shell':
      return whole(reader, { kind: 'shell' });
    case 'subsystem':
      return whole(reader, { kind: 'subsystem', name: reader.name(NAME_BYTES_MAX) });
    case 'auth-agent-req@openssh.com':
      return { kind: 'agent-forwarding' };
    case 'x11-req':
      return { kind: 'x11-forwarding' };
    case 'window-change':
      return { kind: 'window-change', columns: reader.uint32(), rows: reader.uint32() };
    case 'signal':
      return { kind: 'signal', name: reader.name(TERM_BYTES_MAX) };
    case 'exit-status':
      return { kind: 'exit-status', status: reader.uint32() };
    case 'exit-signal':
      return readExitSignal(reader);
    case 'xon-xoff':
      return { kind: 'xon-xoff' };
    case 'break':
      return { kind: 'break' };
    case 'eow@openssh.com':
      return { kind: 'end-of-write' };
    case 'keepalive@openssh.com':
      return { kind: 'keepalive' };
    default:
      return { kind: 'other', type };
  }
}

/** What decides on an action must be all that there is: bytes behind it could be read by one side only. */
function whole<Value>(reader: WireReader, value: Value): Value {
  reader.end();
  return value;
}

function readPty(reader: WireReader): ChannelAsk {
  const term = reader.string(TERM_BYTES_MAX);
  const columns = reader.uint32();
  const rows = reader.uint32();
  reader.uint32();
  reader.uint32();
  return { kind: 'pty', term, columns, rows, modes: reader.string(MODES_BYTES_MAX) };
}

function readExitSignal(reader: WireReader): ChannelAsk {
  const name = reader.name(TERM_BYTES_MAX);
  const coreDumped = reader.boolean();
  reader.string(TEXT_BYTES_MAX);
  return { kind: 'exit-signal', name, coreDumped };
}
