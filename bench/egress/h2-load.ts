import { once } from 'node:events';
import { connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import type { Load, Question } from './messages.ts';
import { openTls, type Route } from './route.ts';
import { loadOf, tallied } from './tally.ts';

const WINDOW_BYTES = 1024 * 1024;

async function openSession(route: Route): Promise<ClientHttp2Session> {
  const socket = await openTls(route, 'h2');
  const session = connect(`https://${route.host}:${route.port}`, { createConnection: () => socket });
  session.on('error', () => undefined);
  session.setLocalWindowSize(WINDOW_BYTES);
  return session;
}

export async function requestStreams(question: Extract<Question, { do: 'streams' }>): Promise<Load> {
  const { route, headers, streams, ms } = question;
  const session = await openSession(route);
  const load = await tallied(streams, ms, () => requestOnce(session, headers));
  session.destroy();
  return load;
}

function requestOnce(session: ClientHttp2Session, headers: Readonly<Record<string, string>>): Promise<void> {
  return new Promise((resolve, reject) => {
    const stream = session.request(headers, { endStream: true });
    let status = 0;
    stream.on('response', ({ ':status': given }) => (status = given ?? 0));
    stream.on('error', reject);
    stream.on('end', () => (status === 200 ? resolve() : reject(new Error(`status ${status}`))));
    stream.resume();
  });
}

/** Small messages of gRPC: 5 bytes of prefix, 59 of content. */
const MESSAGE = Buffer.alloc(64, 'x');
MESSAGE.writeUInt8(0);
MESSAGE.writeUInt32BE(MESSAGE.length - 5, 1);
const WARM_MESSAGES = 200;

export async function exchangeMessages(question: Extract<Question, { do: 'messages' }>): Promise<Load> {
  const { route, headers, count } = question;
  const session = await openSession(route);
  const stream = session.request({
    ...headers,
    ...{ ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' },
  });
  const failed = once(stream, 'close').then(() => {
    throw new Error(`the stream ended, code ${stream.rstCode}`);
  });
  failed.catch(() => undefined);
  const answered = once(stream, 'response') as Promise<[Record<string, unknown>]>;
  const trailers = once(stream, 'trailers') as Promise<[Record<string, unknown>]>;
  trailers.catch(() => undefined);
  const exchange = (): Promise<void> => Promise.race([echoed(stream), failed]);
  await exchange();
  const [{ ':status': status }] = await answered;
  if (status !== 200) throw new Error(`status ${String(status)}`);
  for (let at = 0; at < Math.min(WARM_MESSAGES, count); at += 1) await exchange();
  const times: number[] = [];
  const begun = performance.now();
  for (let at = 0; at < count; at += 1) {
    const sent = performance.now();
    await exchange();
    times.push(performance.now() - sent);
  }
  const seconds = (performance.now() - begun) / 1000;
  stream.end();
  const [{ 'grpc-status': code }] = await trailers;
  session.destroy();
  return code === '0'
    ? loadOf(times, count / seconds, 0, undefined)
    : loadOf(times, 0, 1, `grpc-status ${String(code)}`);
}

function echoed(stream: ClientHttp2Stream): Promise<void> {
  return new Promise((resolve) => {
    let left = MESSAGE.length;
    const take = (chunk: Buffer): void => {
      left -= chunk.length;
      if (left > 0) return;
      stream.off('data', take);
      resolve();
    };
    stream.on('data', take);
    stream.write(MESSAGE);
  });
}
