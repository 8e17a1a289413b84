import { finished } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type RelayConnection, type RelayEnd, type RelayService, SidecarError } from 'secretless-sidecar/connector';
import { WireError } from 'secretless-sidecar/connector/ssh';
import type { SshAgentConfig } from './config.ts';
import { Confirmation } from './confirm.ts';
import { AgentConversation } from './conversation.ts';
import { LENGTH_BYTES, messagesOf } from './frames.ts';
import { ConnectionHolder, type ServiceParts } from './holder.ts';
import { SigningLimits } from './limits.ts';
import { failure } from './messages.ts';
import type { Moment } from './offer.ts';
import { Pace } from './pace.ts';
import { RingCache } from './ring-cache.ts';

/** An agent that signs and never gives. */
export class SshAgentService implements RelayService {
  readonly #config: SshAgentConfig;
  readonly #limits: SigningLimits;
  readonly #confirmation: Confirmation;
  readonly #opened = { wall: Date.now(), steady: performance.now() };
  #rings: RingCache | undefined;

  /** Errors: `config-invalid` where an entry of `hosts` cannot be read. */
  constructor(config: SshAgentConfig) {
    this.#config = config;
    this.#limits = limitsOf(config);
    this.#confirmation = new Confirmation(config.confirm ?? {});
  }

  async relay(connection: RelayConnection): Promise<RelayEnd> {
    connection.working();
    return new AgentConnection(connection, this.#partsFor(connection.service)).serve();
  }

  #partsFor(service: string): ServiceParts {
    const { comment = service, confirm } = this.#config;
    this.#rings ??= new RingCache({ comment, isConfirmed: confirm !== undefined });
    const parts = { limits: this.#limits, rings: this.#rings, confirmation: this.#confirmation };
    return { ...parts, moment: () => this.#moment() };
  }

  /** The clock of the wall can be set back, and the steady one stands still while the machine sleeps: whichever is later. */
  #moment(): Moment {
    const elapsed = Math.max(Date.now() - this.#opened.wall, performance.now() - this.#opened.steady);
    return { now: new Date(), ageSeconds: elapsed / 1000 };
  }

  close(): void {
    this.#rings?.close();
  }
}

function limitsOf(config: SshAgentConfig): SigningLimits {
  try {
    return new SigningLimits(config);
  } catch (cause) {
    if (!(cause instanceof WireError)) throw cause;
    throw new SidecarError('config-invalid', { detail: `hosts: ${cause.message}`, cause });
  }
}

/** One accepted connection, from its first byte to its end. */
class AgentConnection {
  readonly #connection: RelayConnection;
  readonly #holder: ConnectionHolder;
  readonly #pace: Pace;
  #error: SidecarError | undefined;
  #bytesUp = 0;
  #bytesDown = 0;

  constructor(connection: RelayConnection, service: ServiceParts) {
    this.#connection = connection;
    this.#holder = new ConnectionHolder(connection, service);
    this.#pace = new Pace(connection, (error, isAtRest) => this.#end(error, isAtRest));
  }

  async serve(): Promise<RelayEnd> {
    const { downstream, signal, refusal } = this.#connection;
    const cut = Promise.withResolvers<never>();
    const onAbort = (): void => cut.reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort);
    try {
      // A client that takes no answers is not read from. Whatever an answer still waits for is not waited for here.
      await Promise.race([pipeline(() => this.#answers(), downstream, { signal }), cut.promise]);
    } catch (error) {
      this.#note(error);
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#pace.close();
      downstream.destroy();
    }
    const error = refusal ?? this.#error ?? this.#holder.error;
    return { ...(error === undefined ? {} : { error }), bytesUp: this.#bytesUp, bytesDown: this.#bytesDown };
  }

  async *#answers(): AsyncGenerator<Buffer, void> {
    const { downstream, refusal } = this.#connection;
    const conversation = new AgentConversation(this.#holder);
    // What was answered is still to be sent when reading is over.
    const chunks = downstream.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
    for await (const message of messagesOf(chunks, (isInside) => this.#pace.waits(isInside))) {
      this.#pace.works();
      this.#bytesUp += message.length;
      const answer = refusal === undefined ? await conversation.answer(message) : failure();
      this.#bytesDown += answer.length - LENGTH_BYTES;
      yield answer;
      if (refusal !== undefined) return;
    }
  }

  #end(error: SidecarError | undefined, isAtRest: boolean): void {
    const { downstream } = this.#connection;
    this.#error ??= error;
    if (!isAtRest) return void downstream.destroy();
    finished(downstream, { readable: false }, () => downstream.destroy());
    downstream.end();
  }

  /** A client that left is no fault; nor is the pipeline's own word for what was ended from here. */
  #note(error: unknown): void {
    const { signal } = this.#connection;
    if (signal.aborted && signal.reason instanceof SidecarError) this.#error ??= signal.reason;
    else if (error instanceof WireError) {
      this.#error ??= new SidecarError('downstream-protocol', { detail: error.message, cause: error });
    }
  }
}
