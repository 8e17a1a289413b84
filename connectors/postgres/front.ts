import {
  type Asking,
  compute,
  peek,
  read,
  readPem,
  SidecarError,
  startDownstreamTls,
  type TlsServerOptions,
  unread,
  write,
} from 'secretless-sidecar/connector';
import type { PostgresConfig } from './config.ts';
import { FRAME_BYTES_MAX, readFrame, TYPE } from './frame.ts';
import {
  CANCEL_CODE,
  GSSENC_CODE,
  OPENING_HEADER_BYTES,
  parseStartup,
  type Startup,
  SSL_CODE,
  STARTUP_BYTES_MAX,
} from './startup.ts';
import { ALPN } from './tls-plan.ts';

/** First byte of a TLS record with a handshake (RFC 8446 section 5.1). */
const TLS_HANDSHAKE = 0x16;
/** Length, code, process id, and a key of 4 to 256 bytes (protocol 3.2). */
const CANCEL_BYTES = { min: 16, max: 12 + 256 } as const;
/** A password message that nobody asked for may carry a cloud provider's token. */
const LEFTOVER_BYTES_MAX = FRAME_BYTES_MAX + 8;

export type Opening =
  /** `refusal`: what the client is to hear, since it could not be told where it awaited the answer about TLS. */
  | { readonly kind: 'startup'; readonly startup: Startup; readonly refusal?: SidecarError }
  /** `key`: process id and secret key, as BackendKeyData had them. */
  | { readonly kind: 'cancel'; readonly packet: Buffer; readonly key: Buffer };

/**
 * Reads what a client begins with, and answers its questions about encryption: at most one for TLS and one for GSSAPI,
 * in any order (PostgreSQL protocol, "SSL Session Encryption", "GSSAPI Session Encryption").
 * Errors: `downstream-protocol`, `downstream-closed`, `login-timeout`.
 */
export function* readOpening(tls: PostgresConfig['tls']): Asking<Opening> {
  let isTlsOver = false;
  let isGssOver = false;
  let refusal: SidecarError | undefined;
  if ((yield* peek('downstream', 1))[0] === TLS_HANDSHAKE) {
    yield* startDirectTls(tls);
    isTlsOver = true;
    isGssOver = true;
  }
  for (;;) {
    const header = yield* read('downstream', OPENING_HEADER_BYTES);
    const length = header.readUInt32BE(0);
    const code = header.readUInt32BE(4);
    if (code === SSL_CODE && length === OPENING_HEADER_BYTES && !isTlsOver) {
      isTlsOver = true;
      const answer = yield* answerSslRequest(tls);
      // A client that has TLS asks for no other encryption.
      if (answer === 'tls') isGssOver = true;
      else refusal = answer;
    } else if (code === GSSENC_CODE && length === OPENING_HEADER_BYTES && !isGssOver) {
      isGssOver = true;
      yield* write('downstream', Buffer.from('N'));
    } else {
      const opening = yield* readRest(header, length, code);
      return refusal === undefined || opening.kind === 'cancel' ? opening : { ...opening, refusal };
    }
  }
}

function* readRest(header: Buffer, length: number, code: number): Asking<Opening> {
  const isCancel = code === CANCEL_CODE;
  const [min, max] = isCancel ? [CANCEL_BYTES.min, CANCEL_BYTES.max] : [OPENING_HEADER_BYTES + 1, STARTUP_BYTES_MAX];
  if (length < min || length > max) throw malformed(`a first message of ${length} bytes`);
  // 1234 is the major version of requests; one that is asked twice or is unknown is no StartupMessage.
  if (!isCancel && code >>> 16 === 1234) throw malformed(`an unexpected request ${code}`);
  const packet = Buffer.concat([header, yield* read('downstream', length - OPENING_HEADER_BYTES)]);
  if (isCancel) return { kind: 'cancel', packet, key: packet.subarray(OPENING_HEADER_BYTES) };
  // Of another major version only the number is known to mean what it does here.
  if (code >>> 16 !== 3) return { kind: 'startup', startup: { version: code, parameters: [] } };
  return { kind: 'startup', startup: parseStartup(packet) };
}

/** Whether the connection goes on in TLS; where it cannot, though it should, what the client is to hear later. */
function* answerSslRequest(tls: PostgresConfig['tls']): Asking<'tls' | SidecarError | undefined> {
  let identity: Pick<TlsServerOptions, 'identity'> | undefined;
  let refusal: SidecarError | undefined;
  try {
    if (tls !== undefined && tls !== 'off') identity = yield* identityOf(tls);
  } catch (error) {
    if (!(error instanceof SidecarError) || error.code !== 'config-invalid') throw error;
    refusal = error;
  }
  if (identity === undefined) {
    yield* write('downstream', Buffer.from('N'));
    return refusal;
  }
  // Nothing may follow before the answer: it would be taken for something said in TLS (CVE-2021-23214).
  if ((yield* unread('downstream')) > 0) throw malformed('bytes behind an SSLRequest');
  yield* write('downstream', Buffer.from('S'));
  yield* startDownstreamTls({ ...identity, alpn: [ALPN] });
  return 'tls';
}

/** A ClientHello first (PostgreSQL 17, `sslnegotiation=direct`): only ALPN tells that it was meant for PostgreSQL. */
function* startDirectTls(tls: PostgresConfig['tls']): Asking<void> {
  if (tls === undefined || tls === 'off') throw malformed('a TLS handshake, and `tls` of this service is off');
  const { alpn } = yield* startDownstreamTls({ ...(yield* identityOf(tls)), alpn: [ALPN] });
  if (alpn !== ALPN) throw malformed('a TLS handshake without ALPN');
}

function* identityOf(
  tls: Exclude<PostgresConfig['tls'], 'off' | undefined>,
): Asking<Pick<TlsServerOptions, 'identity'>> {
  if (tls === 'self-signed') return {};
  const [certificate, key] = yield* compute(() =>
    Promise.all([
      readPem(tls.certificate, 'tls.certificate', 'config-invalid'),
      readPem(tls.key, 'tls.key', 'config-invalid'),
    ]),
  );
  return {
    identity: {
      certificate: certificate.expose((bytes) => bytes.toString('utf8')),
      key: key.expose((bytes) => bytes.toString('utf8')),
    },
  };
}

/**
 * A client that sent its password unasked, right behind the StartupMessage, has it dropped: upstream it would be taken
 * for a message of the session. What else it sent ahead stays in the stream.
 */
export function* dropLeftoverPassword(): Asking<void> {
  if ((yield* unread('downstream')) === 0) return;
  if ((yield* peek('downstream', 1))[0] !== TYPE.password) return;
  const { body, bytes } = yield* readFrame('downstream', LEFTOVER_BYTES_MAX);
  body.fill(0);
  bytes.fill(0);
}

function malformed(detail: string): SidecarError {
  return new SidecarError('downstream-protocol', { detail });
}
