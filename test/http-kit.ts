import { request as httpRequest, type IncomingMessage } from 'node:http';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { onTestFinished } from 'vitest';
import { canary, keepArtefact } from './canary.ts';
import { eventually, startRig, type Rig } from './rig.ts';

/** A sidecar with one service `api`, its port, and the credential it injects as `X-Api-Key`. */
export interface ApiRig {
  readonly rig: Rig;
  readonly port: number;
  readonly token: string;
}

export interface ApiOptions {
  /** More keys of the service, one YAML line each. */
  readonly service?: readonly string[];
  /** More top-level lines. */
  readonly top?: readonly string[];
  readonly credential?: string;
}

/** Reverse mode to a URL. After the test the sidecar must be without connections. */
export async function startApi(target: string, options: ApiOptions = {}): Promise<ApiRig> {
  return startApiRig([`target: ${target}`, 'config: { headers: { X-Api-Key: "{{ .token }}" } }'], options);
}

/** Forward-proxy mode for URLs that match; `config` lines are put into the service's `config`. */
export async function startForward(
  patterns: readonly string[],
  config: readonly string[] = [],
  options: ApiOptions = {},
): Promise<ApiRig> {
  const matching = `authenticateURLsMatching: ${JSON.stringify(patterns)}`;
  const lines = ['headers: { X-Api-Key: "{{ .token }}" }', matching, ...config];
  return startApiRig([`config: { ${lines.join(', ')} }`], options);
}

async function startApiRig(lines: readonly string[], options: ApiOptions): Promise<ApiRig> {
  const token = canary();
  const service = [
    'connector: http',
    'listenOn: tcp://127.0.0.1:0',
    `credentials: { token: ${options.credential ?? '{ from: env, get: HTTP_KIT_TOKEN }'} }`,
    ...lines,
    ...(options.service ?? []),
  ];
  const yaml = ['services:', '  api:', ...service.map((line) => `    ${line}`), ...(options.top ?? [])].join('\n');
  const rig = await startRig(yaml, { HTTP_KIT_TOKEN: token });
  expectNothingLeft(rig);
  return { rig, port: rig.port('api'), token };
}

/** After the test, once its clients are closed: no downstream connection is left. */
export function expectNothingLeft(rig: Rig): void {
  onTestFinished(() =>
    eventually(
      () => rig.sidecar.status().listeners.every(({ connections }) => connections === 0),
      'a sidecar without connections',
    ),
  );
}

/** One end of a connection: what came so far, and ways to wait for more. */
export class Peer {
  readonly socket: Socket;
  readonly #label: string;
  #chunks: Buffer[] = [];
  #bytes = 0;
  #waiting: (() => void)[] = [];
  #ended = false;
  #closed = false;
  #error: NodeJS.ErrnoException | undefined;

  constructor(socket: Socket, label: 'downstream' | 'upstream') {
    this.socket = socket;
    this.#label = label;
    socket.on('data', (chunk) => this.#took(chunk));
    socket.on('error', (error: NodeJS.ErrnoException) => (this.#error = error));
    socket.on('end', () => this.#settle(() => (this.#ended = true)));
    socket.on('close', () => this.#settle(() => (this.#closed = true)));
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A FIN came. */
  get ended(): boolean {
    return this.#ended;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** `ECONNRESET` where the other side cut the connection. */
  get errorCode(): string | undefined {
    return this.#error?.code;
  }

  get content(): Buffer {
    const whole = Buffer.concat(this.#chunks);
    this.#chunks = [whole];
    return whole;
  }

  get text(): string {
    return this.content.toString('latin1');
  }

  write(text: string | Uint8Array): void {
    this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  }

  /** Resolves once `text` came; fails if the connection closes first. */
  async until(text: string): Promise<void> {
    await this.#wait(() => this.text.includes(text), `"${text}"`);
  }

  async untilBytes(count: number): Promise<void> {
    await this.#wait(() => this.#bytes >= count, `${count} bytes`);
  }

  /** Resolves once the connection is closed, with all that came. */
  async end(): Promise<string> {
    while (!this.#closed && !this.#ended) await this.#more();
    this.socket.destroy();
    return this.text;
  }

  async #wait(holds: () => boolean, what: string): Promise<void> {
    while (!holds()) {
      if (this.#closed || this.#ended) {
        throw new Error(`${this.#label} closed before ${what} came, after ${JSON.stringify(this.text.slice(-300))}`);
      }
      await this.#more();
    }
  }

  #more(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #took(chunk: Buffer): void {
    if (this.#label === 'downstream' && this.#bytes < 1e6) keepArtefact('downstream', chunk);
    this.#settle(() => {
      this.#bytes += chunk.length;
      this.#chunks.push(chunk);
    });
  }

  #settle(change: () => void): void {
    change();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/** A raw client; destroyed after the test. */
export async function dial(port: number, bytes?: string | Uint8Array, host = '127.0.0.1'): Promise<Peer> {
  const socket = connect({ port, host, allowHalfOpen: true });
  onTestFinished(() => void socket.destroy());
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  const peer = new Peer(socket, 'downstream');
  if (bytes !== undefined) peer.write(bytes);
  return peer;
}

export interface Sent {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Chunked where it is a list. */
  readonly body?: Buffer | readonly Buffer[];
}

/** One whole exchange on a connection of its own, through node's client. */
export async function send(
  port: number,
  { method = 'GET', headers = {}, body }: Sent = {},
): Promise<{ message: IncomingMessage; body: Buffer }> {
  const length = Buffer.isBuffer(body) ? { 'content-length': String(body.length) } : {};
  const request = httpRequest({ port, host: '127.0.0.1', method, agent: false, headers: { ...length, ...headers } });
  if (body === undefined) request.end();
  else Readable.from(Buffer.isBuffer(body) ? [body] : body).pipe(request);
  const message = await new Promise<IncomingMessage>((resolve, reject) =>
    request.once('response', resolve).once('error', reject),
  );
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  const whole = Buffer.concat(chunks);
  if (whole.length < 1e6) keepArtefact('downstream', whole);
  return { message, body: whole };
}

export interface RawUpstream {
  readonly port: number;
  readonly url: string;
  /** Connections in order of arrival, closed ones included. */
  readonly connections: Peer[];
  /** Whole request heads seen, over all connections. */
  readonly requests: () => string[];
}

/** An upstream that is spoken byte by byte: `serve` runs for each connection. */
export async function startRawUpstream(serve: (peer: Peer, index: number) => unknown): Promise<RawUpstream> {
  const connections: Peer[] = [];
  const server = createServer({ allowHalfOpen: false, noDelay: true }, (socket) => {
    const peer = new Peer(socket, 'upstream');
    connections.push(peer);
    void Promise.resolve(serve(peer, connections.length - 1)).catch(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    for (const { socket } of connections) socket.destroy();
  });
  const { port } = server.address() as AddressInfo;
  const requests = () => connections.flatMap(({ text }) => text.match(/^[A-Z]+ \S+ HTTP\/1\.1\r\n/gm) ?? []);
  return { port, url: `http://127.0.0.1:${port}`, connections, requests };
}

/** An upstream that answers every request head on a connection with the same bytes. */
export function startScriptedUpstream(answer: string | Uint8Array): Promise<RawUpstream> {
  return startRawUpstream(async (peer) => {
    for (let count = 1; ; count += 1) {
      await heads(peer, count);
      peer.write(answer);
    }
  });
}

/** Resolves once `count` request heads came on that connection. */
export async function heads(peer: Peer, count: number): Promise<void> {
  while ((peer.text.match(/\r\n\r\n/g) ?? []).length < count) await peer.untilBytes(peer.bytes + 1);
}

/** `GET <target>` that leaves the connection open. */
export function get(target: string, ...fields: string[]): string {
  return ['GET ' + target + ' HTTP/1.1', 'Host: localhost', ...fields, '', ''].join('\r\n');
}

export interface Problem {
  readonly code: string;
  readonly id: string;
  readonly status: number;
  readonly title: string;
  readonly detail: string;
  readonly rule?: string;
}

/** The problem document behind a head. */
export function problemOf(text: string): Problem {
  const start = text.indexOf('\r\n\r\n');
  return JSON.parse(text.slice(start + 4)) as Problem;
}
