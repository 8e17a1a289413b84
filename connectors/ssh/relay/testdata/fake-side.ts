import type { RawReader } from '../../transport/raw-side.ts';
import type { SshError } from '../../transport/ssh-error.ts';
import { wire, type WireField } from '../../transport/wire.ts';
import type { RelaySide } from '../leg.ts';

/** A side whose other end is the test: what was sent to it is in `sent`, and it can be as slow as it likes. */
export class FakeSide implements RelaySide {
  readonly sent: Buffer[] = [];
  pending = 0;
  paused = false;
  ended: SshError | undefined;
  #reader: RawReader | undefined;
  readonly #closed = Promise.withResolvers<SshError>();

  get closed(): Promise<SshError> {
    return this.#closed.promise;
  }

  attach(reader: RawReader): void {
    this.#reader = reader;
  }

  send(message: Uint8Array): void {
    this.sent.push(Buffer.from(message));
  }

  /** Spoils the message, as a side may that was given it. */
  forward(message: Buffer): void {
    this.send(message);
    message.fill(0);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  end(error: SshError): void {
    this.ended ??= error;
    this.#closed.resolve(error);
  }

  drain(): void {
    this.pending = 0;
    this.#reader?.drained();
  }

  /** As the transport does it: what a message breaks ends the connection. */
  says(...fields: readonly WireField[]): void {
    this.saysBytes(wire(...fields));
  }

  saysBytes(message: Buffer): void {
    if (this.ended !== undefined) return;
    try {
      this.#reader?.message(message);
    } catch (error) {
      this.end(error as SshError);
    }
  }

  /** Everything sent since the last call. */
  take(): Buffer[] {
    return this.sent.splice(0);
  }

  types(): number[] {
    return this.take().map((message) => message[0] ?? -1);
  }
}

const u32 = (uint32: number): WireField => ({ uint32 });
const type = (byte: number): WireField => ({ byte });

export const say = {
  open: (sender: number, kind = 'session', ...rest: WireField[]): WireField[] => [type(90), kind, u32(sender), u32(1 << 20), u32(1 << 20), ...rest],
  confirm: (recipient: number, sender: number): WireField[] => [type(91), u32(recipient), u32(sender), u32(1 << 20), u32(1 << 20)],
  bytes: (recipient: number, text: string): WireField[] => [type(94), u32(recipient), text],
  eof: (recipient: number): WireField[] => [type(96), u32(recipient)],
  close: (recipient: number): WireField[] => [type(97), u32(recipient)],
  request: (recipient: number, kind: string, reply: boolean, ...rest: WireField[]): WireField[] => [type(98), u32(recipient), kind, { boolean: reply }, ...rest],
  success: (recipient: number): WireField[] => [type(99), u32(recipient)],
  failure: (recipient: number): WireField[] => [type(100), u32(recipient)],
  global: (kind: string, reply: boolean, ...rest: WireField[]): WireField[] => [type(80), kind, { boolean: reply }, ...rest],
} as const;
