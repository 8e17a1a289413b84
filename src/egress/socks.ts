import type { ErrorCode } from '../error.ts';
import { parseHost } from '../http/authority.ts';

/**
 * SOCKS 5 (RFC 1928, RFC 1929) as a server speaks it: what came in is read from its first byte each time, and nothing is
 * kept. The longest message has 513 bytes.
 */

/** `used`: bytes that the message took. `answer`: the last thing to send before the connection is closed. */
export type SocksReading<Message> =
  | { readonly need: 'more' }
  | { readonly message: Message; readonly used: number }
  | { readonly problem: string; readonly answer: Buffer };

export interface SocksGreeting {
  /** Ways to log in that the client offers. */
  readonly methods: readonly number[];
}

/** As sent; the password must be overwritten once it was looked at. */
export interface SocksLogin {
  readonly user: Buffer;
  readonly password: Buffer;
}

export interface SocksRequest {
  /** As `parseHost` returns it. */
  readonly host: string;
  readonly port: number;
}

export const SOCKS_VERSION = 5;
const LOGIN_VERSION = 1;
const CONNECT = 1;
const IPV4 = 1;
const NAME = 3;
const IPV6 = 4;
const ADDRESS_BYTES: Readonly<Record<number, number>> = { [IPV4]: 4, [IPV6]: 16 };
const NO_LOGIN = 0;
const USER_PASSWORD = 2;
const NO_METHOD = 0xff;

const REPLIES = {
  succeeded: 0,
  failed: 1,
  refused: 2,
  'network-unreachable': 3,
  'host-unreachable': 4,
  'connection-refused': 5,
  'command-unsupported': 7,
  'address-unsupported': 8,
} as const;

/** RFC 1928 section 6. */
export type SocksReply = keyof typeof REPLIES;

const REPLY_FOR: Partial<Record<ErrorCode, SocksReply>> = {
  'policy-denied': 'refused',
  'no-service': 'refused',
  'address-refused': 'refused',
  'rate-limited': 'refused',
  'grant-ended': 'refused',
  'proxy-auth-required': 'refused',
  'upstream-unreachable': 'host-unreachable',
  'upstream-timeout': 'host-unreachable',
  'upstream-closed': 'connection-refused',
  'request-malformed': 'address-unsupported',
};

const NEED_MORE = { need: 'more' } as const;

export function readSocksGreeting(bytes: Uint8Array): SocksReading<SocksGreeting> {
  const [version, count] = bytes;
  if (version === undefined) return NEED_MORE;
  // "Request rejected or failed" of SOCKS 4, which has no way to ask who is calling.
  if (version === 4) return { problem: 'SOCKS 4', answer: Buffer.from([0, 0x5b, 0, 0, 0, 0, 0, 0]) };
  if (version !== SOCKS_VERSION) return { problem: 'not SOCKS 5', answer: Buffer.alloc(0) };
  if (count === undefined) return NEED_MORE;
  if (count === 0) return { problem: 'no way to log in', answer: socksMethod('none-fits') };
  const used = 2 + count;
  if (bytes.length < used) return NEED_MORE;
  return { message: { methods: [...bytes.subarray(2, used)] }, used };
}

/**
 * Which of the offered ways is taken. `asks`: some agents have tokens. `anonymous`: without one something is allowed too.
 */
export function chooseSocksMethod(
  { methods }: SocksGreeting,
  { asks, anonymous }: { readonly asks: boolean; readonly anonymous: boolean },
): 'login' | 'no-login' | 'none-fits' {
  // Who offers to log in and would be let in without has a token to show, if anybody has.
  const login = methods.includes(USER_PASSWORD);
  if (login && asks) return 'login';
  if (anonymous && methods.includes(NO_LOGIN)) return 'no-login';
  return login ? 'login' : 'none-fits';
}

/** Answer to the greeting. */
export function socksMethod(method: 'login' | 'no-login' | 'none-fits'): Buffer {
  return Buffer.from([SOCKS_VERSION, { login: USER_PASSWORD, 'no-login': NO_LOGIN, 'none-fits': NO_METHOD }[method]]);
}

/** RFC 1929 section 2. Empty users and passwords pass: some clients have a token for one of the two alone. */
export function readSocksLogin(bytes: Uint8Array): SocksReading<SocksLogin> {
  const [version, userLength] = bytes;
  if (version === undefined) return NEED_MORE;
  if (version !== LOGIN_VERSION) return { problem: 'not a SOCKS login', answer: socksLoginReply(false) };
  if (userLength === undefined) return NEED_MORE;
  const passwordLength = bytes[2 + userLength];
  if (passwordLength === undefined) return NEED_MORE;
  const from = 3 + userLength;
  const used = from + passwordLength;
  if (bytes.length < used) return NEED_MORE;
  const user = Buffer.from(bytes.subarray(2, 2 + userLength));
  return { message: { user, password: Buffer.from(bytes.subarray(from, used)) }, used };
}

/** Answer to the login; after a failure the connection must be closed. */
export function socksLoginReply(success: boolean): Buffer {
  return Buffer.from([LOGIN_VERSION, success ? 0 : 1]);
}

/** RFC 1928 section 4. CONNECT alone; the host is one that `parseHost` reads in exactly one way. */
export function readSocksRequest(bytes: Uint8Array): SocksReading<SocksRequest> {
  const [version, command, reserved, type, first] = bytes;
  if (version === undefined) return NEED_MORE;
  if (version !== SOCKS_VERSION) return refusal('not a SOCKS 5 request', 'failed');
  if (command === undefined) return NEED_MORE;
  if (command !== CONNECT) return refusal('a command other than CONNECT', 'command-unsupported');
  if (reserved === undefined) return NEED_MORE;
  if (reserved !== 0) return refusal('a reserved byte is set', 'failed');
  if (type === undefined) return NEED_MORE;
  const named = type === NAME;
  if (named && first === undefined) return NEED_MORE;
  const length = named ? first! : ADDRESS_BYTES[type];
  if (length === undefined) return refusal('an unknown type of address', 'address-unsupported');
  const from = named ? 5 : 4;
  const used = from + length + 2;
  if (bytes.length < used) return NEED_MORE;
  const address = Buffer.from(bytes.subarray(from, from + length));
  const host = hostOf(address, type);
  if (host === undefined) return refusal('a host that nothing is called', 'address-unsupported');
  const port = bytes[used - 2]! * 256 + bytes[used - 1]!;
  if (port === 0) return refusal('port 0', 'failed');
  return { message: { host, port }, used };
}

/** Answer to the request. Which address of ours leads upstream is nobody's business: it is always `0.0.0.0:0`. */
export function socksReply(reply: SocksReply): Buffer {
  return Buffer.from([SOCKS_VERSION, REPLIES[reply], 0, IPV4, 0, 0, 0, 0, 0, 0]);
}

/** The reply that comes nearest to an error. */
export function socksReplyFor(code: ErrorCode): SocksReply {
  return REPLY_FOR[code] ?? 'failed';
}

/** Addresses in the text forms that `parseHost` reads, so that it is the one judge of all three types. */
function hostOf(address: Buffer, type: number): string | undefined {
  const text =
    type === NAME
      ? address.toString('latin1')
      : type === IPV4
        ? address.join('.')
        : `[${(address.toString('hex').match(/.{4}/g) ?? []).join(':')}]`;
  try {
    return parseHost(text);
  } catch {
    return undefined;
  }
}

function refusal(problem: string, reply: SocksReply): { readonly problem: string; readonly answer: Buffer } {
  return { problem, answer: socksReply(reply) };
}
