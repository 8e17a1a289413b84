import { once } from 'node:events';
import { request as requestHttp1, type IncomingMessage } from 'node:http';
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import type { Duplex, Readable, Writable } from 'node:stream';
import { SignatureV4 } from '@smithy/signature-v4';
import { onTestFinished } from 'vitest';
import { WELL_KNOWN_KEY } from '../connectors/aws/config.ts';
import { NodeSha256 } from '../connectors/aws/testdata/node-sha256.ts';
import { codec, EVENTS, framesOf } from './aws-event-server.ts';
import { keepArtefact } from './canary.ts';

/** An agent's SDK that uploads an event stream with a made-up key: signs with the SDK's own signer and codec. */

export interface AgentOptions {
  /** `host:port` that it believes to speak to. */
  readonly host: string;
  readonly service?: string;
  readonly region?: string;
  readonly key?: { readonly accessKeyId: string; readonly secretAccessKey: string };
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The agent's clock. */
  readonly now?: () => Date;
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
}

/** One upload on its way. */
export class EventUpload {
  readonly answered: Promise<Answered>;
  readonly #up: Writable;
  readonly #sign: (payload: Uint8Array, date: Date) => Promise<Buffer>;
  readonly #now: () => Date;
  readonly #frames: Promise<AsyncGenerator<Buffer>>;
  /** What the answer has, where it is none of events. */
  readonly text: () => Promise<string>;

  constructor(up: Writable, answered: Promise<readonly [Answered, Readable]>, sign: Signing) {
    this.#up = up;
    this.#sign = sign.frame;
    this.#now = sign.now;
    this.answered = answered.then(([head]) => head);
    this.#frames = answered.then(([, down]) => framesOf(down));
    this.text = async () => textOf((await answered)[1]);
    for (const one of [this.answered, this.#frames]) one.catch(() => undefined);
  }

  /** The next frame, as it would be sent. */
  async frame(payload: Uint8Array, date = this.#now()): Promise<Buffer> {
    return this.#sign(payload, date);
  }

  /** Sends bytes as they are. */
  write(bytes: Uint8Array): void {
    this.#up.write(bytes);
  }

  /** Signs and sends one event; resolves once it may be followed by another. */
  async send(payload: Uint8Array, date?: Date): Promise<void> {
    if (!this.#up.write(await this.frame(payload, date))) await once(this.#up, 'drain');
  }

  /** The signed empty frame, and the end. */
  async end(): Promise<void> {
    this.#up.end(await this.frame(new Uint8Array()));
  }

  /** The end without it. */
  stop(): void {
    this.#up.end();
  }

  destroy(): void {
    this.#up.destroy();
  }

  /** The next answered event; undefined at the end. Rejects where the answer is cut. */
  async next(): Promise<Buffer | undefined> {
    const { value } = (await (await this.#frames).next()) as { value: Buffer | undefined };
    return value;
  }
}

interface Signing {
  readonly frame: (payload: Uint8Array, date: Date) => Promise<Buffer>;
  readonly now: () => Date;
}

/** The inner message of an event. */
export function event(body: Uint8Array | string): Buffer {
  const headers = {
    ':event-type': { type: 'string', value: 'AudioEvent' },
    ':message-type': { type: 'string', value: 'event' },
  } as const;
  return Buffer.from(codec.encode({ headers, body: typeof body === 'string' ? Buffer.from(body) : body }));
}

export async function uploadHttp2(session: ClientHttp2Session, options: AgentOptions): Promise<EventUpload> {
  const { head, signing } = await begin(options);
  const { host, ...headers } = head.headers;
  const stream: ClientHttp2Stream = session.request(
    { ':method': 'POST', ':path': head.path, ':authority': host, ...headers },
    { endStream: false },
  );
  stream.on('error', () => undefined);
  const answered = new Promise<readonly [Answered, Duplex]>((resolve, reject) => {
    stream.once('response', (fields) => resolve([{ status: fields[':status']!, headers: fields }, stream]));
    stream.once('close', () => reject(new Error(`reset with ${stream.rstCode}`)));
  });
  return new EventUpload(stream, answered, signing);
}

export async function uploadHttp1(port: number, options: AgentOptions): Promise<EventUpload> {
  const { head, signing } = await begin(options);
  const request = requestHttp1({ port, host: '127.0.0.1', method: 'POST', path: head.path, headers: head.headers });
  onTestFinished(() => void request.destroy());
  request.on('error', () => undefined);
  request.flushHeaders();
  const answered = new Promise<readonly [Answered, IncomingMessage]>((resolve, reject) => {
    request.once('response', (response) => {
      response.on('error', () => undefined);
      resolve([{ status: response.statusCode!, headers: response.headers }, response]);
    });
    request.once('close', () => reject(new Error('closed')));
  });
  return new EventUpload(request, answered, signing);
}

async function begin(options: AgentOptions) {
  const { host, service = 'transcribe', region = 'eu-central-1', key = WELL_KNOWN_KEY } = options;
  const { path = '/stream-transcription', now = () => new Date(), headers = {} } = options;
  const [hostname = '', port] = host.split(':');
  const signer = new SignatureV4({ credentials: key, region, service, sha256: NodeSha256 });
  const request = {
    method: 'POST',
    protocol: 'https:',
    hostname,
    path,
    query: {},
    headers: { host, 'content-type': 'application/vnd.amazon.eventstream', 'x-amz-content-sha256': EVENTS, ...headers },
    ...(port === undefined ? {} : { port: Number(port) }),
  };
  const signed = await signer.sign(request, { signingDate: now() });
  let priorSignature = /Signature=([0-9a-f]{64})$/.exec(signed.headers['authorization']!)![1]!;
  const frame = async (payload: Uint8Array, date: Date): Promise<Buffer> => {
    const dated = { ':date': { type: 'timestamp', value: date } } as const;
    const message = { headers: dated, body: payload };
    const { signature } = await signer.sign({ message, priorSignature }, { signingDate: date });
    priorSignature = signature;
    const value = Buffer.from(signature, 'hex');
    return Buffer.from(
      codec.encode({ headers: { ...dated, ':chunk-signature': { type: 'binary', value } }, body: payload }),
    );
  };
  return { head: { path, headers: signed.headers }, signing: { frame, now } };
}

async function textOf(down: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of down) chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  keepArtefact('downstream', bytes);
  return bytes.toString('latin1');
}
