import { isDeepStrictEqual } from 'node:util';
import { asSidecarError, SidecarError } from '../error.ts';
import type { Address, Authorized, Peer, Side, TlsFacts } from './handshake.ts';
import type { Performer, StepOf } from './perform.ts';

/** What the connections of one service remember, by the key in hex. Logins that share it find each other's. */
export type Remembered = Map<string, { readonly value: unknown; readonly peer: Peer }>;

/** Bytes that one step may ask for at most: everything from a wire has a limit, checked before memory is given. */
export const READ_BYTES_MAX = 1024 * 1024;

/** The world of a rehearsed login. What is thrown, if it is a `SidecarError`, the login hears. */
export interface Replies {
  /** The next bytes of a side that is waited for; undefined: it has ended. */
  arrives(side: Side): Uint8Array | undefined;
  /** Asked for before TLS begins: bytes of that side that are on their way arrive now, by `feed`. */
  hasten?(side: Side): void;
  /** Told of every write, with a copy of the bytes. */
  written(side: Side, bytes: Buffer): void;
  authorize(step: StepOf<'authorize'>): Authorized;
  reauthorize(): Authorized | undefined;
  dial(address: Address): Peer;
  startTls(step: StepOf<'startTls'>): TlsFacts;
}

/**
 * Performs the steps of a login in memory: no sockets and no timers. It keeps the rules of the real driver: exact
 * reads, no dial before a permission, no TLS over unread plaintext, secret bytes overwritten once they are sent.
 */
export class Rehearsal implements Performer {
  /** Rules that the login broke; each was answered with `internal` as well. */
  readonly violations: string[] = [];
  /** Where the upstream is connected. */
  peer: Peer | undefined;
  authorized = false;
  readonly #replies: Replies;
  readonly #remembered: Remembered;
  readonly #streams = { downstream: new Arrivals(), upstream: new Arrivals() };
  #recalled: Peer | undefined;

  constructor(replies: Replies, remembered: Remembered = new Map()) {
    this.#replies = replies;
    this.#remembered = remembered;
  }

  /** Bytes arrive on a side that nobody waits for. */
  feed(side: Side, bytes: Uint8Array): void {
    this.#streams[side].push(bytes);
  }

  /** The side ends, behind what has arrived. */
  end(side: Side): void {
    this.#streams[side].ended = true;
  }

  /** Bytes that have arrived and were not read. */
  rest(side: Side): Buffer {
    return this.#streams[side].bytes;
  }

  /** Bytes that the login has taken from a side. */
  takenBytes(side: Side): number {
    return this.#streams[side].takenBytes;
  }

  readonly read = ({ side, count }: StepOf<'read'>): Buffer => {
    this.#await(side, count);
    return this.#streams[side].take(count);
  };

  readonly peek = ({ side, count }: StepOf<'peek'>): Buffer => {
    this.#await(side, count);
    return this.#streams[side].bytes.subarray(0, count);
  };

  readonly unread = ({ side }: StepOf<'unread'>): number => this.#streams[side].bytes.length;

  readonly readEnd = ({ side }: StepOf<'readEnd'>): void => {
    this.#needConnected(side, 'waits for the end of');
    const stream = this.#streams[side];
    stream.take(stream.bytes.length);
    while (!stream.ended && this.#arrive(side)) stream.take(stream.bytes.length);
  };

  readonly write = ({ side, data, secret }: StepOf<'write'>): void => {
    this.#needConnected(side, 'writes to');
    const copy = Buffer.from(data);
    if (secret === true) data.fill(0);
    this.#streams[side].isFresh = false;
    this.#replies.written(side, copy);
  };

  readonly authorize = (step: StepOf<'authorize'>): Authorized => {
    const answer = this.#replies.authorize(step);
    step.upstream(answer.credentials);
    this.authorized = true;
    return answer;
  };

  readonly reauthorize = (): Authorized | undefined => {
    if (!this.authorized) this.#refuse('asks for another credential before it has one');
    return this.#replies.reauthorize();
  };

  readonly dial = ({ address }: StepOf<'dial'>): Peer => {
    const allowed = this.authorized || (this.#recalled !== undefined && isDeepStrictEqual(this.#recalled, address));
    if (!allowed) this.#refuse('dials before it is authorized');
    this.peer = undefined;
    this.peer = this.#replies.dial(address);
    this.#streams.upstream = new Arrivals();
    return this.peer;
  };

  readonly startTls = (step: StepOf<'startTls'>): TlsFacts => {
    this.#needConnected(step.side, 'starts TLS with');
    const stream = this.#streams[step.side];
    if (stream.secured) this.#refuse(`starts TLS with ${step.side} twice`);
    this.#replies.hasten?.(step.side);
    // What is unread on a side where nothing went before is TLS already; it is gone once TLS has begun.
    if (stream.isFresh) stream.bytes = stream.bytes.subarray(stream.bytes.length);
    if (stream.bytes.length > 0) {
      throw new SidecarError(`${step.side}-protocol`, { detail: 'plaintext is unread where TLS begins' });
    }
    const facts = this.#replies.startTls(step);
    if (step.side === 'upstream') step.options.key?.fill(0);
    stream.secured = true;
    stream.isFresh = false;
    return facts;
  };

  readonly compute = async ({ work }: StepOf<'compute'>): Promise<unknown> => {
    try {
      return await work();
    } catch (thrown) {
      throw asSidecarError(thrown);
    }
  };

  readonly remember = ({ key, value }: StepOf<'remember'>): void => {
    if (this.peer === undefined) this.#refuse('remembers something before it is connected');
    else this.#remembered.set(Buffer.from(key).toString('hex'), { value, peer: this.peer });
  };

  readonly recall = ({ key }: StepOf<'recall'>): unknown => {
    const found = this.#remembered.get(Buffer.from(key).toString('hex'));
    this.#recalled = found?.peer;
    return found?.value;
  };

  #await(side: Side, count: number): void {
    this.#needConnected(side, 'reads');
    if (!Number.isSafeInteger(count) || count < 0 || count > READ_BYTES_MAX) {
      this.#refuse(`asks for ${count} bytes of ${side}, where 0 to ${READ_BYTES_MAX} is allowed`);
    }
    const stream = this.#streams[side];
    while (stream.bytes.length < count) {
      if (stream.ended || !this.#arrive(side)) throw new SidecarError(`${side}-closed`);
    }
  }

  #arrive(side: Side): boolean {
    const bytes = this.#replies.arrives(side);
    if (bytes === undefined) this.#streams[side].ended = true;
    else this.#streams[side].push(bytes);
    return bytes !== undefined;
  }

  #needConnected(side: Side, doing: string): void {
    if (side === 'upstream' && this.peer === undefined) this.#refuse(`${doing} the upstream before it is connected`);
  }

  #refuse(violation: string): never {
    this.violations.push(violation);
    throw new SidecarError('internal', { detail: `the login ${violation}` });
  }
}

const NOTHING = Buffer.alloc(0);

class Arrivals {
  bytes: Buffer = NOTHING;
  ended = false;
  secured = false;
  /** Nothing was read and nothing written yet. */
  isFresh = true;
  takenBytes = 0;

  push(more: Uint8Array): void {
    this.bytes = this.bytes.length === 0 ? Buffer.from(more) : Buffer.concat([this.bytes, more]);
  }

  take(count: number): Buffer {
    const taken = this.bytes.subarray(0, count);
    this.bytes = this.bytes.subarray(count);
    this.takenBytes += count;
    this.isFresh = false;
    return taken;
  }
}
