import type { Duplex } from 'node:stream';
import type { Secret } from 'secretless-sidecar/connector';
import { withDeadline } from './deadline.ts';
import { answerPrompts, readPrompts, type AnswerPrompt } from './keyboard-interactive.ts';
import type { LoginAlgorithm, LoginKey } from './login-key.ts';
import { type Failure, LoginOrder } from './login-order.ts';
import { Message } from './message-numbers.ts';
import { RawSide } from './raw-side.ts';
import { SshError } from './ssh-error.ts';
import type { Negotiated } from './ssh2-protocol.ts';
import { openTransport, type Transport, type TransportOptions } from './transport.ts';
import { wire, WireReader } from './wire.ts';

export const LOGIN_SECONDS = 20;
const ROUNDS_MAX = 8;
const BANNER_BYTES_MAX = 64 * 1024;
const EXTENSIONS_MAX = 64;
const METHODS_BYTES_MAX = 1024;
/** Servers lock out after some failures: OpenSSH after 6. */
const METHODS_MAX = 6;

/** One way of logging in. They are tried in the order given, each once, those that the upstream takes. */
export type LoginMethod =
  | { readonly method: 'publickey'; readonly key: LoginKey }
  | { readonly method: 'password'; readonly password: Secret }
  | {
      readonly method: 'keyboard-interactive';
      readonly answer: AnswerPrompt;
      /** Left out where that way was refused: it would give the same password once more, and servers count. */
      readonly insteadOf?: 'password';
    };

export interface LoginOptions extends TransportOptions {
  readonly user: string;
  /**
   * Whether the upstream's host key (blob of RFC 4253 §6.6) is one that is known. Nothing but `true` connects: not a
   * promise, not a truthy value.
   */
  readonly hostKeyCheck: (key: Buffer) => boolean;
  readonly auth: readonly LoginMethod[];
  /** From the first byte until the upstream says yes. */
  readonly loginSeconds?: number;
  readonly signal?: AbortSignal;
}

export interface ClientLeg {
  readonly raw: RawSide;
  readonly negotiated: Negotiated;
  /** Whether strict key exchange is on (no cutting of the conversation's beginning). */
  readonly strict: boolean;
  readonly hostKey: Buffer;
  readonly peerIdent: string;
  /** The way of `auth` that was accepted last. */
  readonly method: LoginMethod['method'];
  readonly closed: Promise<SshError>;
}

/** Logs in on `socket` as an SSH client. Errors: `SshError`; the socket is closed then. */
export async function loginSsh(socket: Duplex, options: LoginOptions): Promise<ClientLeg> {
  const transport = openTransport(socket, { role: 'client', hostKeyCheck: options.hostKeyCheck }, options);
  const login = new ClientLogin(transport, options);
  const work = (async (): Promise<ClientLeg> => {
    if (options.auth.length === 0 || options.auth.length > METHODS_MAX) {
      throw new SshError('unfit', `between 1 and ${METHODS_MAX} ways of logging in are needed`);
    }
    const negotiated = await transport.start();
    const { method, raw } = await login.run();
    const { hostKey, strict, peerIdent, closed } = transport;
    if (hostKey === undefined) throw new SshError('host-key', 'the host key was not accepted');
    return { raw, negotiated, strict, hostKey, peerIdent, method, closed };
  })();
  return withDeadline(transport, options.loginSeconds ?? LOGIN_SECONDS, options.signal, work);
}

type Outcome = { readonly success: RawSide } | Failure;

/** The client's half of RFC 4252. */
class ClientLogin {
  readonly #transport: Transport;
  readonly #options: LoginOptions;
  #answer = Promise.withResolvers<Buffer>();
  /** Whether an answer is due: a second one to the same request is an error. */
  #due = false;
  #bannerBytes = 0;
  /** Signature algorithms that the upstream says it takes (RFC 8308 §3.1). */
  #serverAlgorithms: readonly string[] | undefined;
  #success: RawSide | undefined;

  constructor(transport: Transport, options: LoginOptions) {
    this.#transport = transport;
    this.#options = options;
    transport.onMessage = (message) => this.#take(message);
  }

  async run(): Promise<{ method: LoginMethod['method']; raw: RawSide }> {
    const accepted = await this.#ask(wire({ byte: Message.serviceRequest }, 'ssh-userauth'));
    if (accepted[0] !== Message.serviceAccept) throw new SshError('protocol', 'the upstream offers no login');
    const order = new LoginOrder(this.#options.auth);
    for (let way = order.next(); way !== undefined; way = order.next()) {
      const outcome = await this.#try(way);
      if ('success' in outcome) return { method: way.method, raw: outcome.success };
      order.failed(way, outcome);
    }
    throw order.error();
  }

  #try(way: LoginMethod): Promise<Outcome> {
    switch (way.method) {
      case 'publickey':
        return this.#publicKey(way.key);
      case 'password':
        return this.#password(way.password);
      case 'keyboard-interactive':
        return this.#interactive(way.answer);
    }
  }

  #begin(method: string): readonly [{ byte: number }, string, string, string] {
    return [{ byte: Message.userauthRequest }, this.#options.user, 'ssh-connection', method];
  }

  /** Signs at once, without asking first whether the key is taken: one round trip, one attempt (RFC 4252 §7). */
  async #publicKey(key: LoginKey): Promise<Outcome> {
    const algorithm = this.#choose(key.algorithms);
    const request = wire(...this.#begin('publickey'), { boolean: true }, algorithm.request, key.blob);
    const signature = await key.sign(wire(this.#transport.sessionId, { raw: request }), algorithm.signature);
    return this.#outcome(await this.#ask(wire({ raw: request }, signature)));
  }

  #choose(algorithms: readonly LoginAlgorithm[]): LoginAlgorithm {
    const known = this.#serverAlgorithms;
    const taken = algorithms.find(
      (each) => known?.includes(each.signature) === true || known?.includes(each.request) === true,
    );
    const chosen = taken ?? algorithms[0];
    if (chosen === undefined) throw new SshError('unfit', 'a key without an algorithm');
    return chosen;
  }

  async #password(password: Secret): Promise<Outcome> {
    const request = password.expose((bytes) => wire(...this.#begin('password'), { boolean: false }, bytes));
    const answer = await this.#ask(request, true);
    // 60: the password is too old and another is wanted, which is not ours to choose.
    if (answer[0] === Message.userauthMethod60) throw new SshError('denied', 'the upstream wants the password changed');
    return this.#outcome(answer);
  }

  async #interactive(answer: AnswerPrompt): Promise<Outcome> {
    let message = await this.#ask(wire(...this.#begin('keyboard-interactive'), '', ''));
    for (let round = 0; message[0] === Message.userauthMethod60; round++) {
      if (round === ROUNDS_MAX) throw new SshError('protocol', 'the upstream asks without end');
      const response = answerPrompts(readPrompts(message), answer);
      if (response === undefined) throw new SshError('unsupported', 'the upstream asks what there is no answer to');
      message = await this.#ask(response, true);
    }
    return this.#outcome(message);
  }

  #outcome(message: Buffer): Outcome {
    if (message[0] === Message.userauthSuccess && this.#success !== undefined) return { success: this.#success };
    if (message[0] !== Message.userauthFailure) throw new SshError('protocol', 'an answer that fits no question');
    const reader = new WireReader(message, 1);
    const methods = reader.name(METHODS_BYTES_MAX).split(',');
    return { partial: reader.boolean(), methods };
  }

  async #ask(request: Buffer, wipe = false): Promise<Buffer> {
    this.#answer = Promise.withResolvers<Buffer>();
    this.#due = true;
    this.#transport.send(request, wipe);
    if (wipe) request.fill(0);
    return this.#answer.promise;
  }

  #take(message: Buffer): void {
    switch (message[0] ?? 0) {
      case Message.extInfo:
        return this.#extensions(new WireReader(message, 1));
      case Message.userauthBanner:
        // Text of the upstream: it is nobody's to read here.
        this.#bannerBytes += message.length;
        if (this.#bannerBytes > BANNER_BYTES_MAX) throw new SshError('protocol', 'the upstream sends too many banners');
        return;
      case Message.userauthSuccess:
        // Before the next message is looked at, which may follow in the same packet of the network.
        this.#expected();
        this.#success = new RawSide(this.#transport);
        return this.#answer.resolve(message);
      case Message.serviceAccept:
      case Message.userauthFailure:
      case Message.userauthMethod60:
        this.#expected();
        return this.#answer.resolve(message);
      default:
        throw new SshError('protocol', 'a message came before the login was over');
    }
  }

  #expected(): void {
    if (!this.#due) throw new SshError('protocol', 'an answer came unasked');
    this.#due = false;
  }

  #extensions(reader: WireReader): void {
    const count = reader.uint32();
    if (count > EXTENSIONS_MAX) throw new SshError('protocol', 'the upstream has too many extensions');
    for (let each = 0; each < count; each++) {
      const name = reader.name(256);
      const value = reader.string(16 * 1024);
      if (name === 'server-sig-algs') this.#serverAlgorithms = value.toString('latin1').split(',');
    }
  }
}
