import { WireReader as FormatReader } from 'secretless-sidecar/connector/ssh';
import { SshError } from './ssh-error.ts';

/** Reads the fields of a message. What does not fit is the peer's fault: `SshError` `protocol`. */
export class WireReader extends FormatReader {
  protected override fail(problem: string): SshError {
    return new SshError('protocol', problem);
  }

  /** Text in US-ASCII, as RFC 4251 §6 wants names; blanks are for the paths that are sent the same way. */
  override name(bytesMax = 64): string {
    const bytes = this.string(bytesMax);
    for (const byte of bytes) {
      if (byte < 0x20 || byte > 0x7e) throw this.fail('a name holds a byte that no name may hold');
    }
    return bytes.toString('latin1');
  }
}

/** One field for `wire`: a Buffer or text is sent as a `string` of RFC 4251 §5. */
export type WireField =
  { byte: number } | { boolean: boolean } | { uint32: number } | { raw: Uint8Array } | string | Uint8Array;

/** Puts fields together; text is sent as UTF-8. The result is its own memory, so that it can be wiped. */
export function wire(...fields: readonly WireField[]): Buffer {
  const out = Buffer.allocUnsafeSlow(fields.reduce((sum, field) => sum + fieldBytes(field), 0));
  let at = 0;
  for (const field of fields) at = writeField(out, field, at);
  return out;
}

function fieldBytes(field: WireField): number {
  if (typeof field === 'string') return 4 + Buffer.byteLength(field);
  if (field instanceof Uint8Array) return 4 + field.length;
  if ('uint32' in field) return 4;
  return 'raw' in field ? field.raw.length : 1;
}

function writeField(out: Buffer, field: WireField, at: number): number {
  if (typeof field === 'string') {
    const length = Buffer.byteLength(field);
    out.writeUInt32BE(length, at);
    return at + 4 + out.write(field, at + 4);
  }
  if (field instanceof Uint8Array) {
    out.writeUInt32BE(field.length, at);
    out.set(field, at + 4);
    return at + 4 + field.length;
  }
  if ('uint32' in field) return out.writeUInt32BE(field.uint32, at);
  if ('raw' in field) {
    out.set(field.raw, at);
    return at + field.raw.length;
  }
  return out.writeUInt8('byte' in field ? field.byte : Number(field.boolean), at);
}
