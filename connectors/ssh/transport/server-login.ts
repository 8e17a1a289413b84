import type { Duplex } from 'node:stream';
import type { KeyObject } from 'node:crypto';
import { withDeadline } from './deadline.ts';
import { agentOfToken, methodOf, type Identity } from './identity.ts';
import { hostKeyOf } from './login-key.ts';
import { DisconnectReason, Message } from './message-numbers.ts';
import { isProven, readOffered } from './offered-key.ts';
import { RawSide } from './raw-side.ts';
import { SshError } from './ssh-error.ts';
import { openTransport, type Transport, type TransportOptions } from './transport.ts';
import { wire, WireReader } from './wire.ts';

export const LOGIN_SECONDS = 10;
/** Requests that may fail (OpenSSH's MaxAuthTries), and requests at all: looking for a key that is known is no failure. */
const FAILURES_MAX = 6;
const REQUESTS_MAX = 32;
const USER_BYTES_MAX = 255;
const TOKEN_BYTES_MAX = 4096;
const SIGNATURE_BYTES_MAX = 16 * 1024;
const BANNER_BYTES_MAX = 4096;

export interface AcceptOptions extends TransportOptions {
  /** Private ed25519 key. */
  readonly hostKey: KeyObject;
  /** A function: asked once, with what the downstream asks to log in as. What it throws ends the connection. */
  readonly identity: Identity | ((user: string) => Identity);
  /** From the first byte until the identity is proven. */
  readonly loginSeconds?: number;
  readonly signal?: AbortSignal;
}

/** A downstream that has proven who it is and waits for our word. */
export interface ServerLeg {
  /** What it asked to log in as; valid UTF-8 without control characters, no more is known of it. */
  readonly user: string;
  /** Absent where `identity` is `none`. */
  readonly agent?: string;
  readonly peerIdent: string;
  readonly closed: Promise<SshError>;
  /** Lets it in, once: from now on it may open channels. Errors: `unfit` at the second time. */
  readonly accept: () => RawSide;
  /** Shows `text`, one or a few lines of plain text, where the user looks, and closes: as a banner (RFC 4252 §5.4), and
   * the first line as the reason, which clients that are told to be quiet show too.
   * Closes without a word where it was let in. */
  readonly refuse: (text: string) => void;
}

/**
 * Speaks SSH as the server on `socket` until whoever connects has proven who it is. It is let in by `accept` only, so
 * that the upstream can be ready before. Errors: `SshError`; the socket is closed then.
 */
export async function acceptSsh(socket: Duplex, options: AcceptOptions): Promise<ServerLeg> {
  const transport = openTransport(socket, { role: 'server', hostKey: hostKeyOf(options.hostKey) }, options);
  const login = new ServerLogin(transport, options.identity);
  const work = transport.start().then(() => login.proven);
  const proof = await withDeadline(transport, options.loginSeconds ?? LOGIN_SECONDS, options.signal, work);
  let answered = false;
  return {
    ...proof,
    peerIdent: transport.peerIdent,
    closed: transport.closed,
    accept: () => {
      if (answered) throw new SshError('unfit', 'a login is answered once');
      answered = true;
      const raw = new RawSide(transport);
      transport.send(wire({ byte: Message.userauthSuccess }));
      return raw;
    },
    refuse: (text) => {
      if (answered) return transport.disconnect(new SshError('aborted', 'the connection was ended'));
      answered = true;
      const shown = Buffer.from(`${text.trimEnd()}\r\n`).subarray(0, BANNER_BYTES_MAX);
      const [firstLine = ''] = text.split('\n');
      transport.send(wire({ byte: Message.userauthBanner }, shown, ''));
      const reason = DisconnectReason.noMoreAuthMethods;
      transport.disconnect(new SshError('aborted', 'the login was refused'), firstLine.slice(0, 255), reason);
    },
  };
}

interface Proof {
  readonly user: string;
  readonly agent?: string;
}

interface Request {
  readonly user: string;
  readonly reader: WireReader;
  readonly message: Buffer;
}

/** The server's half of RFC 4252. */
class ServerLogin {
  readonly #transport: Transport;
  readonly #identityOf: AcceptOptions['identity'];
  readonly #proof = Promise.withResolvers<Proof>();
  #service = false;
  #user: string | undefined;
  #identity: Identity = { kind: 'none' };
  #failures = 0;
  #requests = 0;
  #done = false;

  constructor(transport: Transport, identity: AcceptOptions['identity']) {
    this.#transport = transport;
    this.#identityOf = identity;
    transport.onMessage = (message) => this.#take(message);
  }

  get proven(): Promise<Proof> {
    return this.#proof.promise;
  }

  #take(message: Buffer): void {
    switch (message[0] ?? 0) {
      case Message.serviceRequest:
        return this.#serve(new WireReader(message, 1).name(64));
      case Message.extInfo:
        return;
      case Message.userauthRequest:
        return this.#request(message);
      default:
        throw new SshError('protocol', 'a message came before the login was over');
    }
  }

  #serve(service: string): void {
    if (service !== 'ssh-userauth' || this.#service) throw new SshError('protocol', 'a service was asked for in vain');
    this.#service = true;
    this.#transport.send(wire({ byte: Message.serviceAccept }, service));
  }

  #request(message: Buffer): void {
    if (!this.#service || this.#done) throw new SshError('protocol', 'a login was asked for at the wrong time');
    if (++this.#requests > REQUESTS_MAX) throw new SshError('denied', 'the peer asked to log in too often');
    const reader = new WireReader(message, 1);
    const user = readUser(reader.string(USER_BYTES_MAX));
    if (reader.name(64) !== 'ssh-connection') throw new SshError('protocol', 'a login for another service');
    // Whoever changes the name half way wants to be taken for two (RFC 4252 §5 lets us close).
    if (this.#user !== undefined && this.#user !== user)
      throw new SshError('protocol', 'the user changed during the login');
    if (this.#user === undefined) {
      this.#identity = typeof this.#identityOf === 'function' ? this.#identityOf(user) : this.#identityOf;
    }
    this.#user = user;
    const method = reader.name(64);
    if (method !== methodOf(this.#identity)) return this.#fail(method !== 'none');
    const request = { user, reader, message };
    switch (this.#identity.kind) {
      case 'none':
        reader.end();
        return this.#prove({ user });
      case 'token':
        return this.#token(request, this.#identity);
      case 'keys':
        return this.#key(request, this.#identity);
    }
  }

  #token({ user, reader, message }: Request, identity: Identity & { kind: 'token' }): void {
    const changes = reader.boolean();
    const given = reader.string(TOKEN_BYTES_MAX);
    const agent = changes ? undefined : agentOfToken(identity.tokens, given);
    message.fill(0);
    if (agent === undefined) return this.#fail(true);
    this.#prove({ user, agent });
  }

  #key({ user, reader, message }: Request, identity: Identity & { kind: 'keys' }): void {
    const signed = reader.boolean();
    const key = { algorithm: reader.name(128), blob: reader.string(SIGNATURE_BYTES_MAX) };
    const signedBytes = reader.position;
    const agent = readOffered(key) && identity.agentOf(key);
    if (!signed) {
      // Says only that a signature by it would be looked at (RFC 4252 §7): nobody is known by it.
      reader.end();
      if (agent === undefined) return this.#fail(false);
      return this.#transport.send(wire({ byte: Message.userauthMethod60 }, key.algorithm, key.blob));
    }
    const signature = reader.string(SIGNATURE_BYTES_MAX);
    reader.end();
    const what = wire(this.#transport.sessionId, { raw: message.subarray(0, signedBytes) });
    if (agent === undefined || !isProven(key, what, signature)) return this.#fail(true);
    this.#prove({ user, agent });
  }

  #fail(counts: boolean): void {
    if (counts && ++this.#failures >= FAILURES_MAX) throw new SshError('denied', 'too many logins failed');
    this.#transport.send(wire({ byte: Message.userauthFailure }, methodOf(this.#identity), { boolean: false }));
  }

  #prove(proof: Proof): void {
    this.#done = true;
    this.#proof.resolve(proof);
  }
}

function readUser(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  // eslint-disable-next-line no-control-regex -- control characters are what must not be there
  if (!Buffer.from(text).equals(bytes) || /[\u0000-\u001f\u007f-\u009f]/.test(text)) {
    throw new SshError('protocol', 'the user name is not plain text');
  }
  return text;
}
