import dnsPromises from 'node:dns/promises';
import { syncBuiltinESMExports } from 'node:module';
import { connect as connectTcp, isIP, Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { onTestFinished } from 'vitest';
import { keepArtefact } from './canary.ts';
import type { EgressRig } from './egress-core-kit.ts';
import { END_HEADERS, END_STREAM, frame, framesOf, literals, PREFACE, TYPE } from './http2-kit.ts';

/** Where this process connected to, and which names it asked a resolver for, while a test runs. */
export interface Watch {
  /** `host:port`, as given to the socket. */
  readonly dials: string[];
  readonly lookups: string[];
}

/** Sees every connection and lookup of this process, the sidecar's among them. `zone`: what the resolver says of names. */
export function watchWires(zone: Readonly<Record<string, readonly string[]>> = {}): Watch {
  const dials: string[] = [];
  const lookups: string[] = [];
  const connect = Reflect.get(Socket.prototype, 'connect') as (...given: unknown[]) => Socket;
  const { lookup } = dnsPromises;
  Socket.prototype.connect = function (this: Socket, ...given: unknown[]) {
    // As `net.connect` gives it on: a list of options and callback.
    const [first] = given;
    const options = (Array.isArray(first) ? first[0] : first) as { host?: string; port?: number } | number;
    if (typeof options === 'object') dials.push(`${options.host ?? 'localhost'}:${options.port}`);
    return Reflect.apply(connect, this, given);
  };
  dnsPromises.lookup = ((host: string, ...rest: unknown[]) => {
    lookups.push(host);
    const known = zone[host];
    if (known !== undefined) return Promise.resolve(known.map((address) => ({ address, family: isIP(address) })));
    return Reflect.apply(lookup, dnsPromises, [host, ...rest]) as unknown;
  }) as typeof lookup;
  syncBuiltinESMExports();
  onTestFinished(() => {
    Socket.prototype.connect = connect;
    dnsPromises.lookup = lookup;
    syncBuiltinESMExports();
  });
  return { dials, lookups };
}

/** What was answered: the code of a problem, or a status; `closed` where nothing came, `hung` where nothing ever did. */
export type Answer = string;

const PATIENCE_MS = 8_000;

/** All that comes until the other side closes; of what stays open, what came until `enough`. */
function collect(socket: Socket, enough: (bytes: Buffer) => boolean): Promise<{ bytes: Buffer; hung: boolean }> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const done = (hung: boolean): void => {
      clearTimeout(timer);
      socket.off('data', took).off('close', over).off('end', over);
      socket.pause();
      const bytes = Buffer.concat(chunks);
      keepArtefact('downstream', bytes);
      resolve({ bytes, hung });
    };
    const over = (): void => done(false);
    const took = (chunk: Buffer): void => {
      chunks.push(chunk);
      if (enough(Buffer.concat(chunks))) done(false);
    };
    const timer = setTimeout(() => done(true), PATIENCE_MS);
    socket
      .on('error', () => undefined)
      .on('data', took)
      .on('close', over)
      .on('end', over)
      .resume();
    if (socket.destroyed) over();
  });
}

/** One line for a whole answer of HTTP/1: `200`, `403 no-service`. */
export function readAnswer(text: string): Answer {
  const status = /^HTTP\/1\.1 ([0-9]{3}) /.exec(text)?.[1];
  if (status === undefined) return text === '' ? 'closed' : `bytes ${text.slice(0, 40)}`;
  const code = /"code":\s*"([a-z0-9-]+)"/.exec(text)?.[1];
  return code === undefined ? status : `${status} ${code}`;
}

export function open(port: number): Socket {
  const socket = connectTcp(port, '127.0.0.1');
  onTestFinished(() => void socket.destroy());
  return socket;
}

const wholeHead = (bytes: Buffer): boolean => /^HTTP\/1\.1 (?:2|101)[^]*\r\n\r\n/.test(bytes.toString('latin1'));

/** Bytes to a listener, and the answer to them. */
export async function askRaw(port: number, bytes: string | Buffer): Promise<Answer> {
  const socket = open(port);
  socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  const { bytes: got, hung } = await collect(socket, wholeHead);
  socket.destroy();
  return hung && got.length === 0 ? 'hung' : readAnswer(got.toString('latin1'));
}

export interface Tunnelled {
  readonly ca: string;
  readonly port: number;
  /** Of the CONNECT. */
  readonly authority: string;
  /** Absent: the host of the authority. */
  readonly servername?: string;
  readonly protocols?: string[];
  /** Fields of the CONNECT. */
  readonly fields?: readonly string[];
}

/** A TLS connection through a tunnel; what the proxy answered instead, where it opened none. */
export async function openTunnel(given: Tunnelled): Promise<TLSSocket | Answer> {
  const socket = open(given.port);
  const head = [`CONNECT ${given.authority} HTTP/1.1`, `Host: ${given.authority}`, ...(given.fields ?? []), '', ''];
  socket.write(Buffer.from(head.join('\r\n'), 'latin1'));
  const { bytes } = await collect(socket, wholeHead);
  const answer = readAnswer(bytes.toString('latin1'));
  if (answer !== '200') return answer;
  return handshake(socket, given);
}

export async function handshake(
  socket: Socket,
  { ca, authority, servername, protocols }: Tunnelled,
): Promise<TLSSocket | Answer> {
  const host = authority.replace(/:[0-9]+$/, '').replace(/^\[|\]$/g, '');
  const tls = connectTls({
    socket,
    ca,
    servername: servername ?? host,
    checkServerIdentity: () => undefined,
    ...(protocols === undefined ? {} : { ALPNProtocols: protocols }),
  });
  onTestFinished(() => void tls.destroy());
  return new Promise((resolve) => {
    tls.once('secureConnect', () => resolve(tls));
    tls.once('error', () => resolve('no TLS'));
    tls.once('close', () => resolve('no TLS'));
  });
}

/** Bytes inside of a tunnel, and all answers to them until the connection is closed. */
export async function askInside(given: Tunnelled, bytes: string): Promise<Answer> {
  const tls = await openTunnel(given);
  if (typeof tls === 'string') return tls;
  tls.write(Buffer.from(bytes, 'latin1'));
  const { bytes: got, hung } = await collect(tls, () => false);
  tls.destroy();
  if (hung) return 'hung';
  const answers = got.toString('latin1').split(/(?=HTTP\/1\.1 [0-9]{3} )/);
  return answers.map(readAnswer).join(', ');
}

export type Field = readonly [string, string];

/** One HTTP/2 request, byte for byte, on a connection that agreed on it or knows it; the answer is a code or a reset. */
export async function askHttp2On(socket: Socket, fields: readonly Field[], endStream = true): Promise<Answer> {
  const flags = END_HEADERS | (endStream ? END_STREAM : 0);
  socket.write(Buffer.concat([PREFACE, frame(TYPE.settings, 0, 0), frame(TYPE.headers, flags, 1, literals(fields))]));
  const answered = (bytes: Buffer): boolean =>
    framesOf(bytes).some(
      ({ type, stream, flags: set }) =>
        (stream === 1 && (type === TYPE.reset || (type < 2 && (set & END_STREAM) !== 0))) || type === TYPE.goaway,
    );
  const { bytes, hung } = await collect(socket, answered);
  socket.destroy();
  if (hung) return 'hung';
  const frames = framesOf(bytes);
  const body = Buffer.concat(frames.filter(({ type, stream }) => type === 0 && stream === 1).map((one) => one.payload));
  const code = /"code":\s*"([a-z0-9-]+)"/.exec(body.toString('latin1'))?.[1];
  if (code !== undefined) return code;
  const reset = frames.find(({ type, stream }) => type === TYPE.reset && stream === 1);
  if (reset !== undefined) return 'reset';
  if (frames.some(({ type }) => type === TYPE.goaway)) return 'goaway';
  return body.length > 0 ? 'answered' : 'closed';
}

export async function askHttp2(given: Tunnelled, fields: readonly Field[], endStream = true): Promise<Answer> {
  const tls = await openTunnel({ ...given, protocols: ['h2'] });
  return typeof tls === 'string' ? tls : askHttp2On(tls, fields, endStream);
}

/** `reply 2`, or what the greeting came to. `host`: bytes of a name, a quad, or sixteen bytes. */
export async function askSocks(port: number, type: number, host: Buffer, to: number): Promise<Answer> {
  const socket = open(port);
  const length = type === 3 ? [host.length] : [];
  socket.write(
    Buffer.concat([Buffer.from([5, 1, 0, 5, 1, 0, type, ...length]), host, Buffer.from([to >> 8, to & 255])]),
  );
  const { bytes, hung } = await collect(socket, (got) => got.length >= 12);
  socket.destroy();
  return hung ? 'hung' : bytes.length < 4 ? 'closed' : `reply ${bytes[3]}`;
}

/** Runs cases a few at a time, and says which were answered otherwise. */
export async function failing<Case>(
  cases: readonly Case[],
  run: (one: Case) => Promise<Answer>,
  fits: (answer: Answer, one: Case) => boolean,
): Promise<string[]> {
  const wrong: string[] = [];
  for (let at = 0; at < cases.length; at += 12) {
    await Promise.all(
      cases.slice(at, at + 12).map(async (one) => {
        const answer = await run(one);
        if (!fits(answer, one)) wrong.push(`${JSON.stringify(one)} was answered ${answer}`);
      }),
    );
  }
  return wrong;
}

/** Dials that are neither to the listener nor to one of `honest`. */
export function strayDials({ dials }: Watch, { port, rig }: EgressRig, honest: readonly number[] = []): string[] {
  const telemetry = Number(new URL(rig.telemetry()).port);
  const known = new Set([port, telemetry, ...honest].map((each) => `127.0.0.1:${each}`));
  return dials.filter((one) => !known.has(one));
}
