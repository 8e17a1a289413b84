import { once } from 'node:events';
import { createServer as createHttp1, type ServerResponse } from 'node:http';
import {
  createServer as createHttp2,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import { createServer as createHttps } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import { EventStreamCodec } from '@smithy/core/event-streams';
import { SignatureV4 } from '@smithy/signature-v4';
import { onTestFinished } from 'vitest';
import { NodeSha256 } from '../connectors/aws/testdata/node-sha256.ts';
import type { Identity } from '../src/certificate/certificate.ts';
import { issueServerIdentity } from '../src/certificate/server.ts';
import type { ReceivedHead } from './aws/received-head.ts';
import { AwsRefusal } from './aws/refusal.ts';
import { checkSignature, identifySigner, type Account, type Signer } from './aws/verify-head.ts';

/**
 * A service of AWS that takes event streams: verifies the head by the verifier of these tests, and every event with the
 * codec and the signer of the AWS SDK. Answers each event before it reads the next.
 */

export const EVENTS = 'STREAMING-AWS4-HMAC-SHA256-EVENTS';
/** Of the services that take such streams; S3 allows more. */
const SKEW_MS = 5 * 60_000;

export const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes as Uint8Array).toString('utf8'),
  (text) => Buffer.from(text, 'utf8'),
);

export interface Upload {
  readonly version: string;
  readonly head: ReceivedHead;
  /** Payloads that were proven, in their order, without the empty one at the end. */
  readonly events: Buffer[];
  /** Lengths of the frames that came. */
  readonly lengths: number[];
  /** `whole`, `running`, or what was wrong. */
  end: string;
}

type Answer = (event: Buffer, response: Http2ServerResponse, upload: Upload) => void;

export interface EventServerOptions {
  readonly account: Account;
  /** Absent: in clear. */
  readonly tls?: { readonly issuer: Identity; readonly names: readonly string[] };
  /** Default `2`; `both` by ALPN. */
  readonly speaks?: '1.1' | '2' | 'both';
  /** Default: the event comes back. */
  readonly answer?: Answer;
  /** True: the head of the answer comes with the first event only. */
  readonly late?: boolean;
}

export interface EventServer {
  readonly port: number;
  readonly uploads: Upload[];
  /** Bytes of all connections that came in, TLS and all. */
  readonly bytesRead: () => number;
}

export async function startEventServer(options: EventServerOptions): Promise<EventServer> {
  const uploads: Upload[] = [];
  const sockets = new Set<Socket>();
  const server = (await createFor(options)).on(
    'request',
    (request: Http2ServerRequest, response: Http2ServerResponse) => {
      const upload: Upload = {
        version: request.httpVersion,
        head: headOf(request),
        events: [],
        lengths: [],
        end: 'running',
      };
      uploads.push(upload);
      for (const one of [request, response]) one.on('error', () => undefined);
      attend(options, upload, request, response).catch((thrown: unknown) => {
        upload.end = thrown instanceof Error ? thrown.message : 'cut';
        response.destroy();
      });
    },
  );
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const bytesRead = (): number => [...sockets].reduce((sum, socket) => sum + socket.bytesRead, 0);
  return { port: (server.address() as AddressInfo).port, uploads, bytesRead };
}

async function createFor({ tls, speaks = '2' }: EventServerOptions): Promise<Server> {
  if (tls === undefined) return speaks === '1.1' ? createHttp1() : createHttp2();
  const { key, certificate: cert } = await issueServerIdentity(tls.issuer, tls.names);
  if (speaks === '1.1') return createHttps({ key, cert });
  return createSecureServer({ key, cert, allowHTTP1: speaks === 'both' });
}

function headOf(request: Http2ServerRequest): ReceivedHead {
  const raw = request.rawHeaders;
  const [path = '', query = ''] = request.url.split('?');
  const lines = raw.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), raw[at + 1]!] as const] : []));
  const authority = lines.find(([name]) => name === ':authority')?.[1];
  const plain = lines.filter(([name]) => !name.startsWith(':') || name === ':authority');
  // Whichever of the two is signed.
  const hosts = authority === undefined ? [] : ([['host', authority]] as const);
  return { method: request.method, path, query, lines: [...hosts, ...plain] };
}

async function attend(
  { account, answer = echo, late }: EventServerOptions,
  upload: Upload,
  request: Http2ServerRequest,
  response: Http2ServerResponse,
): Promise<void> {
  const signer = prove(upload.head, account);
  if (signer instanceof AwsRefusal) {
    upload.end = signer.code;
    response.writeHead(signer.status, { 'x-amzn-errortype': signer.code, 'content-type': 'application/json' });
    response.end(JSON.stringify({ __type: signer.code, message: signer.message }));
    return;
  }
  const begin = (): void => {
    if (response.headersSent) return;
    response.writeHead(200, { 'content-type': 'application/vnd.amazon.eventstream', 'x-amzn-request-id': 'r-1' });
    // Over HTTP/2 the head is out by now.
    if ('flushHeaders' in response) (response as unknown as ServerResponse).flushHeaders();
  };
  const verify = verifier(account, signer);
  let over = false;
  if (late !== true) begin();
  for await (const frame of framesOf(request)) {
    if (over) throw new Error('a frame after the last');
    upload.lengths.push(frame.length);
    const event = await verify(frame);
    begin();
    over = event.length === 0;
    if (over) continue;
    upload.events.push(event);
    answer(event, response, upload);
  }
  if (!over) throw new Error('no last frame');
  upload.end = 'whole';
  response.end();
}

function prove(head: ReceivedHead, account: Account): Signer | AwsRefusal {
  try {
    const signer = identifySigner(head, [account], new Date());
    if (signer?.claim.payload !== EVENTS) return new AwsRefusal(403, 'MissingAuthenticationToken', 'No event stream.');
    checkSignature(head, signer, EVENTS);
    return signer;
  } catch (thrown) {
    if (thrown instanceof AwsRefusal) return thrown;
    throw thrown;
  }
}

/** Payloads of frames whose checksums, date and signature hold, by the SDK's own means. */
function verifier({ accessKeyId, secretAccessKey }: Account, { claim }: Signer): (frame: Buffer) => Promise<Buffer> {
  const credentials = { accessKeyId, secretAccessKey };
  const signer = new SignatureV4({ credentials, region: claim.region!, service: claim.service, sha256: NodeSha256 });
  let priorSignature = claim.signature;
  return async (frame) => {
    const { headers, body } = codec.decode(frame);
    const date = headers[':date'];
    const signature = headers[':chunk-signature'];
    if (date?.type !== 'timestamp' || signature?.type !== 'binary') throw new Error('an unsigned frame');
    const message = { headers: { ':date': date }, body };
    const expected = await signer.sign({ message, priorSignature }, { signingDate: date.value });
    if (expected.signature !== Buffer.from(signature.value).toString('hex')) throw new Error('a wrong signature');
    if (Math.abs(date.value.getTime() - Date.now()) > SKEW_MS) throw new Error('a wrong date');
    priorSignature = expected.signature;
    return Buffer.from(body);
  };
}

/** Frames by their announced length; everything else about them is the codec's to judge. */
export async function* framesOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let held = 0;
  for await (const chunk of source) {
    parts.push(Buffer.from(chunk));
    held += chunk.length;
    while (held >= 4) {
      const length = (parts[0]!.length < 4 ? (parts = [Buffer.concat(parts)]) : parts)[0]!.readUInt32BE(0);
      if (held < length) break;
      const all = Buffer.concat(parts);
      yield all.subarray(0, length);
      parts = all.length === length ? [] : [all.subarray(length)];
      held -= length;
    }
  }
  if (held > 0) throw new Error('cut within a frame');
}

const echo: Answer = (event, response) => void response.write(event);
