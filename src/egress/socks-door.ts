import type { Socket } from 'node:net';
import { SidecarError, type ErrorCode } from '../error.ts';
import type { Principal } from '../policy/request.ts';
import type { Asked } from './binding.ts';
import type { TokenCallers } from './callers.ts';
import type { Answers } from './door.ts';
import {
  chooseSocksMethod,
  readSocksGreeting,
  readSocksLogin,
  readSocksRequest,
  socksLoginReply,
  socksMethod,
  socksReply,
  socksReplyFor,
  type SocksReading,
} from './socks.ts';

/** RFC 1928 section 6. */
export const SOCKS_ANSWERS: Answers = {
  yes: socksReply('succeeded'),
  no: (error) => (error instanceof SocksProblem ? error.answer : socksReply(socksReplyFor(error.code))),
};

/** A conversation that ended before anything was asked for; says so in its own words. */
class SocksProblem extends SidecarError {
  readonly answer: Buffer;

  constructor(code: ErrorCode, detail: string, answer: Buffer) {
    super(code, { detail });
    this.answer = answer;
  }
}

/**
 * Has the conversation of SOCKS 5 up to its request, which is not answered yet; what comes behind it stays unread. Errors:
 * `request-malformed`, `request-timeout`, `proxy-auth-required`.
 */
export async function readSocks(socket: Socket, callers: TokenCallers, seconds: number): Promise<Asked> {
  const untilMs = performance.now() + seconds * 1000;
  const greeting = await take(socket, readSocksGreeting, untilMs);
  const method = chooseSocksMethod(greeting, { asks: callers.asks, anonymous: callers.anonymous !== undefined });
  const answer = socksMethod(method);
  if (method === 'none-fits') throw new SocksProblem('proxy-auth-required', 'no way to log in that fits', answer);
  socket.write(answer);
  const principal = method === 'login' ? await logIn(socket, callers, untilMs) : callers.anonymous;
  const { host, port } = await take(socket, readSocksRequest, untilMs);
  return { host, port, principal };
}

async function logIn(socket: Socket, callers: TokenCallers, untilMs: number): Promise<Principal> {
  const { user, password } = await take(socket, readSocksLogin, untilMs);
  try {
    const principal = callers.identifySocks(user, password);
    socket.write(LOGGED_IN);
    return principal;
  } catch (thrown) {
    const { code, detail = '' } = thrown as SidecarError;
    throw new SocksProblem(code, detail, socksLoginReply(false));
  } finally {
    user.fill(0);
    password.fill(0);
  }
}

const LOGGED_IN = socksLoginReply(true);

/** One message; a byte behind it stays in the stream. */
function take<Message>(
  socket: Socket,
  read: (bytes: Uint8Array) => SocksReading<Message>,
  untilMs: number,
): Promise<Message> {
  let bytes = Buffer.alloc(0);
  return new Promise((resolve, reject) => {
    const settle = (outcome: () => void): void => {
      clearTimeout(timer);
      socket.off('readable', look).off('end', ended).off('close', ended);
      // It may hold a token.
      bytes.fill(0);
      outcome();
    };
    const fail = (code: ErrorCode, detail: string, answer: Buffer): void =>
      settle(() => reject(new SocksProblem(code, detail, answer)));
    const ended = (): void => fail('request-malformed', 'the connection ended in the middle', NOTHING);
    const look = (): void => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      const before = bytes;
      bytes = Buffer.concat([before, chunk]);
      before.fill(0);
      chunk.fill(0);
      const reading = read(bytes);
      if ('need' in reading) return;
      if ('problem' in reading) {
        fail('request-malformed', `SOCKS: ${reading.problem}`, reading.answer);
        return;
      }
      const { message, used } = reading;
      if (used < bytes.length) socket.unshift(Buffer.from(bytes.subarray(used)));
      settle(() => resolve(message));
    };
    const late = (): void => fail('request-timeout', 'no whole SOCKS message in time', NOTHING);
    const timer = setTimeout(late, Math.max(1, untilMs - performance.now()));
    socket.on('readable', look).on('end', ended).on('close', ended);
    if (socket.destroyed || socket.readableEnded) ended();
    else look();
  });
}

const NOTHING = Buffer.alloc(0);
