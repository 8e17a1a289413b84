import { isDeepStrictEqual } from 'node:util';
import type { Credentials } from '../credential/lease.ts';
import { SidecarError, type ErrorCode } from '../error.ts';
import type { Facts } from '../policy/request.ts';
import type { Address, Authorized, Handover, Handshake, Peer, Side, Splice, TlsFacts } from './handshake.ts';
import type { TlsClientOptions, TlsServerOptions } from './handshake.ts';
import { perform, type StepOf } from './perform.ts';
import { Rehearsal, type Remembered, type Replies } from './rehearsal.ts';
import { credentialsOf } from './testing.ts';
import { Transcript, type Expected, type Question, type Sent, type TranscriptMismatch } from './transcript.ts';

export interface PlaybookOptions {
  /** What other logins of the same service remember; given to two Playbooks, each finds what the other left. */
  readonly remembered?: Remembered;
  /** Bytes that arrive at a time, at most: 1 shows a login that only works where a message arrives whole. */
  readonly chunkBytes?: number;
}

export interface AuthorizeExpectations {
  readonly facts?: Facts;
  /** What the login names for the ledger. */
  readonly upstream?: string;
  /** Version of the credentials; default `v1`. */
  readonly version?: string;
}

/** How a login ended. */
export interface Outcome {
  readonly handover: Handover;
  /** Bytes that the login left to the splice. */
  readonly unread: Readonly<Record<Side, Buffer>>;
  /** Bytes that the login has read of each side: there is something to cut before each of them. */
  readonly readBytes: Readonly<Record<Side, number>>;
}

/** As the driver, the end of a login that lets an error through included. */
interface Ended extends Outcome {
  readonly thrown: SidecarError | undefined;
}

type Values = Readonly<Record<string, string | Uint8Array>>;
type TlsStep = StepOf<'startTls'>;

const NO_TLS_FACTS: TlsFacts = { alpn: undefined, peerCertificate: undefined };

/**
 * A login against the transcript of a conversation: no sockets and no timers.
 *
 * ```ts
 * await new Playbook(service.handshake(streamContext('id', 'db')))
 *   .downstreamSends('HELLO\n')
 *   .authorizes({ password: 'hunter2' })
 *   .dials({ host: 'db.internal', port: 7 })
 *   .upstreamReceives('PASS hunter2\n')
 *   .upstreamSends('OK\n')
 *   .downstreamReceives('OK\n')
 *   .splices();
 * ```
 *
 * Bytes are a stream: those of one `sends` arrive together (or `chunkBytes` at a time) once the login waits for them.
 * What it has written must be accounted for, by `receives`, before the next line that is none; the parts of one
 * `receives` may be written in many steps. `remember`, `recall` and `compute` answer themselves. Ends with `splices`,
 * `closes`, `throws` or `isCutAfter`, which run it and throw `TranscriptMismatch` where the login does anything else.
 */
export class Playbook {
  readonly #handshake: Handshake;
  readonly #chunkBytes: number;
  readonly #transcript = new Transcript();
  readonly #rehearsal: Rehearsal;
  readonly #deliveredBytes = { downstream: 0, upstream: 0 };
  #cut: { readonly side: Side; readonly afterBytes: number } | undefined;
  #isCut = false;

  constructor(handshake: Handshake, { remembered, chunkBytes = Infinity }: PlaybookOptions = {}) {
    this.#handshake = handshake;
    this.#chunkBytes = chunkBytes;
    this.#rehearsal = new Rehearsal(this.#replies(), remembered);
  }

  downstreamSends(sent: Sent): this {
    return this.#push({ is: 'sends', side: 'downstream', sent });
  }

  upstreamSends(sent: Sent): this {
    return this.#push({ is: 'sends', side: 'upstream', sent });
  }

  downstreamReceives(expected: Expected): this {
    return this.#push({ is: 'receives', side: 'downstream', expected });
  }

  upstreamReceives(expected: Expected): this {
    return this.#push({ is: 'receives', side: 'upstream', expected });
  }

  downstreamEnds(): this {
    return this.#push({ is: 'ends', side: 'downstream' });
  }

  upstreamEnds(): this {
    return this.#push({ is: 'ends', side: 'upstream' });
  }

  /** The login that waits for more hears `login-timeout`. */
  downstreamStalls(): this {
    return this.#push({ is: 'stalls', side: 'downstream' });
  }

  /** The login that waits for more hears `upstream-timeout`. */
  upstreamStalls(): this {
    return this.#push({ is: 'stalls', side: 'upstream' });
  }

  authorizes(credentials: Credentials | Values, expected: AuthorizeExpectations = {}): this {
    const answer = authorizedOf(credentials, expected.version);
    return this.#answers('authorize', 'authorizes', ({ facts, upstream }: StepOf<'authorize'>) => {
      if (expected.facts !== undefined) this.#same('facts', expected.facts, facts);
      if (expected.upstream !== undefined) this.#same('upstream', expected.upstream, upstream(answer.credentials));
      return answer;
    });
  }

  authorizeFails(error: SidecarError, expected: Pick<AuthorizeExpectations, 'facts'> = {}): this {
    return this.#answers('authorize', `authorize fails: ${error.code}`, ({ facts }: StepOf<'authorize'>) => {
      if (expected.facts !== undefined) this.#same('facts', expected.facts, facts);
      throw error;
    });
  }

  /** The login asks for a newer credential; undefined: there is none. */
  reauthorizes(credentials: Credentials | Values | undefined, version = 'v2'): this {
    const answer = credentials === undefined ? undefined : authorizedOf(credentials, version);
    return this.#answers('reauthorize', 'reauthorizes', () => answer);
  }

  reauthorizeFails(error: SidecarError): this {
    return this.#answers('reauthorize', `reauthorize fails: ${error.code}`, () => {
      throw error;
    });
  }

  /** `peer`: the address that was reached, where names were resolved; default: `address`. */
  dials(address: Address, peer: Peer = address): this {
    return this.#answers('dial', `dials ${placeOf(address)}`, (step: StepOf<'dial'>) => {
      this.#same('address', address, step.address);
      return peer;
    });
  }

  dialFails(address: Address, error: SidecarError = new SidecarError('upstream-unreachable')): this {
    return this.#answers('dial', `dial ${placeOf(address)} fails: ${error.code}`, (step: StepOf<'dial'>) => {
      this.#same('address', address, step.address);
      throw error;
    });
  }

  upstreamStartsTls(facts: Partial<TlsFacts> = {}, check?: (options: TlsClientOptions) => void): this {
    return this.#startsTls('upstream', facts, (step) => step.side === 'upstream' && check?.(step.options));
  }

  downstreamStartsTls(facts: Partial<TlsFacts> = {}, check?: (options: TlsServerOptions) => void): this {
    return this.#startsTls('downstream', facts, (step) => step.side === 'downstream' && check?.(step.options));
  }

  /** The TLS handshake with that side fails; default error: `upstream-tls`, `downstream-protocol`. */
  tlsFails(side: Side, error?: SidecarError): this {
    const thrown = error ?? new SidecarError(side === 'upstream' ? 'upstream-tls' : 'downstream-protocol');
    return this.#startsTls(side, {}, () => {
      throw thrown;
    });
  }

  /** The login ends with a splice; `unread` of each side is left to it, nothing unless it is said. */
  async splices(unread: Partial<Record<Side, Uint8Array | string>> = {}): Promise<Outcome & { handover: Splice }> {
    const ended = await this.#whole();
    const { handover, thrown } = ended;
    if (thrown !== undefined || handover.then !== 'splice') throw this.#unlike('a splice', ended);
    for (const side of ['downstream', 'upstream'] as const) {
      const left = Buffer.from(unread[side] ?? '');
      this.#same(`unread bytes of ${side}`, left.toString('hex'), ended.unread[side].toString('hex'));
    }
    return { ...ended, handover };
  }

  /** The login ends without a splice; `code`: for the reason that it gives, absent where it gives none. */
  async closes(code?: ErrorCode): Promise<Outcome> {
    const ended = await this.#whole();
    const { handover, thrown } = ended;
    const isClose = thrown === undefined && handover.then === 'close' && handover.error?.code === code;
    if (!isClose) throw this.#unlike(`a close (${code ?? 'no error'})`, ended);
    return ended;
  }

  /** The login lets that error through: the driver closes the connection without a word. */
  async throws(code: ErrorCode): Promise<SidecarError> {
    const ended = await this.#whole();
    if (ended.thrown?.code !== code) throw this.#unlike(code, ended);
    return ended.thrown;
  }

  /**
   * Runs the conversation up to that byte of one side, which then ends. From then on nothing that the login writes is
   * compared; the other side says what it would have said, and whatever is asked beyond the transcript fails.
   */
  async isCutAfter(side: Side, bytes: number): Promise<Outcome & { thrown: SidecarError | undefined }> {
    this.#cut = { side, afterBytes: bytes };
    return this.#run();
  }

  #push(line: Parameters<Transcript['push']>[0]): this {
    this.#transcript.push(line);
    return this;
  }

  #answers<Asked extends Question>(question: Asked, words: string, give: (step: StepOf<Asked>) => unknown): this {
    return this.#push({ is: 'answers', question, words, give: give as (step: StepOf<Question>) => unknown });
  }

  #startsTls(side: Side, facts: Partial<TlsFacts>, check: (step: TlsStep) => unknown): this {
    return this.#answers('startTls', `starts TLS with ${side}`, (step: TlsStep) => {
      this.#same('side', side, step.side);
      check(step);
      return { ...NO_TLS_FACTS, ...facts };
    });
  }

  #replies(): Replies {
    const ask = (step: StepOf<Question>): unknown =>
      this.#isCut ? this.#askAnyway(step) : this.#transcript.answer(step, this.#feed);
    return {
      arrives: (side) => {
        if (!this.#isCut) {
          const bytes = this.#transcript.arrives(side, this.#chunkBytes, this.#feed);
          return bytes === undefined ? undefined : this.#delivered(side, bytes);
        }
        return side === this.#cut?.side ? undefined : this.#transcript.arrivesAnyway(side);
      },
      hasten: (side) => this.#transcript.hasten(side, this.#feed),
      written: (side, bytes) => this.#transcript.written(side, bytes),
      authorize: (step) => ask(step) as Authorized,
      reauthorize: () => ask({ do: 'reauthorize' }) as Authorized | undefined,
      dial: (address) => ask({ do: 'dial', address }) as Peer,
      startTls: (step) => ask(step) as TlsFacts,
    };
  }

  readonly #feed = (side: Side, bytes: Buffer | undefined): void => {
    const arrived = bytes === undefined ? undefined : this.#delivered(side, bytes);
    if (arrived === undefined) this.#rehearsal.end(side);
    else this.#rehearsal.feed(side, arrived);
  };

  /** What arrives of these bytes where the conversation is cut. */
  #delivered(side: Side, bytes: Buffer): Buffer | undefined {
    const before = this.#deliveredBytes[side];
    this.#deliveredBytes[side] += bytes.length;
    if (this.#cut?.side !== side || before + bytes.length < this.#cut.afterBytes) return bytes;
    this.#isCut = true;
    const rest = this.#cut.afterBytes - before;
    return rest <= 0 ? undefined : bytes.subarray(0, rest);
  }

  #askAnyway(step: StepOf<Question>): unknown {
    const found = this.#transcript.answerAnyway(step);
    if (found !== undefined) return found.answer;
    switch (step.do) {
      case 'reauthorize':
        return undefined;
      case 'authorize':
        throw new SidecarError('draining');
      case 'dial':
        throw new SidecarError('upstream-unreachable');
      case 'startTls':
        throw new SidecarError(step.side === 'upstream' ? 'upstream-tls' : 'downstream-protocol');
      default:
        return step satisfies never;
    }
  }

  async #whole(): Promise<Ended> {
    const ended = await this.#run();
    this.#transcript.finish(endOf(ended), this.#feed);
    return { ...ended, unread: this.#unread() };
  }

  async #run(): Promise<Ended> {
    let handover: Handover = { then: 'close' };
    let thrown: SidecarError | undefined;
    try {
      handover = await perform(this.#handshake, this.#rehearsal);
    } catch (error) {
      if (!(error instanceof SidecarError)) throw error;
      thrown = error;
    }
    if (this.#rehearsal.violations.length > 0) {
      throw this.#transcript.mismatch(`the login ${this.#rehearsal.violations.join('; it ')}`);
    }
    const unread = this.#unread();
    const readBytes = {
      downstream: this.#deliveredBytes.downstream - unread.downstream.length,
      upstream: this.#deliveredBytes.upstream - unread.upstream.length,
    };
    return { handover, thrown, unread, readBytes };
  }

  #unread(): Record<Side, Buffer> {
    return { downstream: this.#rehearsal.rest('downstream'), upstream: this.#rehearsal.rest('upstream') };
  }

  #same(what: string, expected: unknown, found: unknown): void {
    if (isDeepStrictEqual(expected, found)) return;
    const shown = `${what}: ${JSON.stringify(expected)} expected, ${JSON.stringify(found)} found`;
    throw this.#transcript.mismatch(shown, -1);
  }

  #unlike(expected: string, ended: Ended): TranscriptMismatch {
    const mismatch = this.#transcript.mismatch(`${expected} was expected, and the login ${endOf(ended)}`);
    mismatch.cause = ended.thrown ?? (ended.handover.then === 'close' ? ended.handover.error : undefined);
    return mismatch;
  }
}

function endOf({ handover, thrown }: Ended): string {
  if (thrown !== undefined) return `lets through ${thrown.code}`;
  return handover.then === 'splice'
    ? 'ends with a splice'
    : `ends with a close (${handover.error?.code ?? 'no error'})`;
}

function authorizedOf(credentials: Credentials | Values, version = 'v1'): Authorized {
  const isLease = typeof credentials.get === 'function' && typeof credentials.has === 'function';
  return { credentials: isLease ? (credentials as Credentials) : credentialsOf(credentials as Values), version };
}

function placeOf(address: Address): string {
  return 'path' in address ? address.path : `${address.host}:${address.port}`;
}
