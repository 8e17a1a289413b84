import { randomBytes } from 'node:crypto';
import { type Asking, compute, peek, Secret, SidecarError, write, writeSecret } from 'secretless-sidecar/connector';
import { bearerMessage, passwordMessage, saslInitialResponse, saslResponse } from './client-messages.ts';
import { cStringAt, type Frame, frameOf, readFrame, TYPE } from './frame.ts';
import { md5Answer } from './md5.ts';
import { type ScramKeyCache, wipeKeys } from './scram-keys.ts';
import { type Binding, ScramExchange, type ServerFirst } from './scram.ts';
import { UpstreamRefusal } from './upstream-refusal.ts';
import type { AuthMethod, ChannelBinding } from './words.ts';

/** RFC 7677 section 4 asks for 4096 at least; fewer make the password cheap to guess for whoever listens. */
const ITERATIONS_MIN = 4096;
/** Some 400 ms of one thread. */
const ITERATIONS_MAX = 1_000_000;
const NONCE_BYTES = 18;
const MECHANISMS_MAX = 32;

/** Authentication requests: the code behind the length. PostgreSQL protocol, "Message Formats". */
const REQUEST = { ok: 0, cleartext: 3, md5: 5, sasl: 10, saslContinue: 11, saslFinal: 12 } as const;

export interface Account {
  readonly username: Buffer;
  readonly password: Secret | undefined;
  /** Version of the credentials. */
  readonly version: string;
  readonly requireAuth: readonly AuthMethod[];
  readonly channelBinding: ChannelBinding;
  readonly keys: ScramKeyCache;
}

/** What the login knows of the connection that it speaks on. */
export interface Channel {
  /** TLS with a certificate that was verified, or bytes that do not leave this machine. */
  readonly trusted: boolean;
  /** Bytes that do not leave this machine. */
  readonly local: boolean;
  /** `tls-server-end-point`, where the certificate allows one. */
  readonly endPoint: Buffer | undefined;
}

/**
 * Answers what the upstream asks for until AuthenticationOk; nothing but the ways that are allowed is ever answered.
 * Returns what the downstream is to see of it: NegotiateProtocolVersion where there was one, and AuthenticationOk.
 * Errors: `login-unsupported`, `credential-missing`, `credential-unfit`, `upstream-protocol`; `UpstreamRefusal`.
 */
export function* authenticate(account: Account, channel: Channel): Asking<Buffer[]> {
  const seen: Buffer[] = [];
  let answered: { readonly bound: boolean } | undefined;
  for (;;) {
    const frame = yield* readFrame('upstream');
    if (frame.type === TYPE.error) throw new UpstreamRefusal(frame);
    if (frame.type === TYPE.negotiateVersion) {
      // Once, and before anything else: clients end a connection that negotiates twice.
      if (seen.length > 0 || answered !== undefined) throw unexpected('a late NegotiateProtocolVersion');
      seen.push(frame.bytes);
      continue;
    }
    const code = requestCode(frame);
    if (code === REQUEST.ok) {
      if (frame.body.length !== 4) throw unexpected('AuthenticationOk of another length');
      if (answered === undefined) allow(account, 'none', 'no authentication');
      if (account.channelBinding === 'require' && answered?.bound !== true) {
        throw unsupported('channel binding is required and the upstream did without');
      }
      return [...seen, frame.bytes];
    }
    if (answered !== undefined) throw unexpected('a second authentication request');
    answered = { bound: yield* answer(account, channel, code, frame.body.subarray(4)) };
  }
}

function requestCode({ type, body }: Frame): number {
  if (type !== TYPE.authentication || body.length < 4) throw unexpected(`a frame of type ${type} during the login`);
  return body.readUInt32BE(0);
}

/** Whether the channel was bound. */
function* answer(account: Account, channel: Channel, code: number, body: Buffer): Asking<boolean> {
  switch (code) {
    case REQUEST.cleartext:
      allow(account, 'password', 'the password itself');
      requireTrust(channel, 'the password itself');
      yield* writeSecret('upstream', passwordMessage(passwordOf(account)));
      return false;
    case REQUEST.md5: {
      allow(account, 'md5', 'MD5');
      if (body.length !== 4) throw unexpected('a salt of another length');
      const hashed = new Secret(md5Answer(passwordOf(account), account.username, body));
      try {
        yield* writeSecret('upstream', passwordMessage(hashed));
      } finally {
        hashed.wipe();
      }
      return false;
    }
    case REQUEST.sasl:
      return yield* answerSasl(account, channel, mechanismsOf(body));
    default:
      // 2 Kerberos V5, 6 SCM, 7 and 8 GSSAPI, 9 SSPI: these need libraries of the operating system.
      throw unsupported(`authentication request ${code}`);
  }
}

function* answerSasl(account: Account, channel: Channel, offered: readonly string[]): Asking<boolean> {
  const isPlus = offered.includes('SCRAM-SHA-256-PLUS');
  const endPoint = account.channelBinding === 'disable' ? undefined : channel.endPoint;
  const allowed = account.requireAuth;
  if (allowed.includes('scram-sha-256') && isPlus && endPoint !== undefined) {
    yield* scram(account, channel, 'SCRAM-SHA-256-PLUS', { kind: 'bound', bytes: endPoint });
    return true;
  }
  if (account.channelBinding === 'require') throw unsupported('channel binding is required and not possible here');
  if (allowed.includes('scram-sha-256') && offered.includes('SCRAM-SHA-256')) {
    // RFC 5802 section 6: whoever took SCRAM-SHA-256-PLUS from the list on the way is found out by `y`.
    yield* scram(account, channel, 'SCRAM-SHA-256', { kind: endPoint === undefined ? 'none' : 'unused' });
    return false;
  }
  if (allowed.includes('oauth') && offered.includes('OAUTHBEARER')) {
    requireTrust(channel, 'a bearer token');
    yield* oauthBearer(account);
    return false;
  }
  throw unsupported('none of the SASL mechanisms is allowed');
}

/** The list ends with an empty name. */
function mechanismsOf(body: Buffer): readonly string[] {
  const names: string[] = [];
  for (let at = 0; names.length < MECHANISMS_MAX;) {
    const name = cStringAt(body, at);
    if (name === undefined) throw unexpected('a list of mechanisms without an end');
    if (name.value.length === 0) return names;
    names.push(name.value.toString('latin1'));
    at = name.next;
  }
  throw unexpected('too many mechanisms');
}

function* scram(account: Account, channel: Channel, mechanism: string, binding: Binding): Asking<void> {
  const password = passwordOf(account);
  const exchange = new ScramExchange(binding, randomBytes(NONCE_BYTES).toString('base64'));
  yield* write('upstream', saslInitialResponse(mechanism, exchange.clientFirst));
  const first = exchange.readServerFirst(yield* readSasl(REQUEST.saslContinue));
  const least = channel.local ? 1 : ITERATIONS_MIN;
  if (first.iterations < least || first.iterations > ITERATIONS_MAX) {
    throw unsupported(`${first.iterations} SCRAM iterations, where ${least} to ${ITERATIONS_MAX} are allowed`);
  }
  yield* write('upstream', saslResponse(yield* clientFinal(account, password, exchange, first)));
  exchange.readServerFinal(yield* readSasl(REQUEST.saslFinal));
}

function* clientFinal(account: Account, password: Secret, exchange: ScramExchange, first: ServerFirst): Asking<string> {
  const held = account.keys.held(account.version, first);
  if (held !== undefined) return exchange.clientFinal(held);
  const keys = yield* compute(() => account.keys.derive({ version: account.version, password, ...first }));
  try {
    return exchange.clientFinal(keys);
  } finally {
    wipeKeys(keys);
  }
}

/** RFC 7628 section 3: a failure comes as a challenge with a status in JSON, which an empty response ends. */
function* oauthBearer(account: Account): Asking<void> {
  yield* writeSecret('upstream', bearerMessage(passwordOf(account)));
  // Type and length first: to wait for more than a short answer has is to wait in vain.
  const header = yield* peek('upstream', 5);
  if (header[0] !== TYPE.authentication || header.readUInt32BE(1) < 8) return;
  if ((yield* peek('upstream', 9)).readUInt32BE(5) !== REQUEST.saslContinue) return;
  yield* readFrame('upstream');
  yield* write('upstream', frameOf(TYPE.password, Buffer.from([0x01])));
  const last = yield* readFrame('upstream');
  if (last.type === TYPE.error) throw new UpstreamRefusal(last);
  throw unexpected('something else than an error behind a refused bearer token');
}

/** The content of the next SASL message, which must be of that code: so AuthenticationOk cannot skip SASLFinal. */
function* readSasl(code: number): Asking<Buffer> {
  const frame = yield* readFrame('upstream');
  if (frame.type === TYPE.error) throw new UpstreamRefusal(frame);
  const got = requestCode(frame);
  if (got !== code) throw unexpected(`authentication request ${got} in the middle of SASL`);
  return frame.body.subarray(4);
}

function passwordOf({ password }: Account): Secret {
  if (password === undefined) throw new SidecarError('credential-missing', { detail: 'credential "password"' });
  // The server would hash the empty text; libpq and every server refuse it as a password.
  if (password.length === 0) throw new SidecarError('credential-unfit', { detail: 'credential "password" is empty' });
  return password;
}

function allow({ requireAuth }: Account, method: AuthMethod, what: string): void {
  if (!requireAuth.includes(method)) throw unsupported(`the upstream asks for ${what}, which requireAuth leaves out`);
}

function requireTrust({ trusted }: Channel, what: string): void {
  if (!trusted) throw unsupported(`the upstream asks for ${what}, which is sent over verified TLS only`);
}

function unsupported(detail: string): SidecarError {
  return new SidecarError('login-unsupported', { detail });
}

function unexpected(what: string): SidecarError {
  return new SidecarError('upstream-protocol', { detail: what });
}
