import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { parseArgs } from 'node:util';
import { attend, beginRecord, type Desk, type Recorded } from './exchange.ts';
import { MessageSurfaces } from './message-surfaces.ts';
import { ObjectStore } from './object-store.ts';
import { answerS3 } from './s3-surface.ts';
import type { Account } from './verify-head.ts';

/**
 * A server that verifies Signature Version 4 as AWS does and keeps what it is given: S3, and as much of DynamoDB, SQS
 * and STS as a client needs. Written from the specification, without a line of the signer that it is there to judge.
 */

export interface ServerOptions {
  readonly accounts: readonly Account[];
  /** Default: any free one. */
  readonly port?: number;
  readonly region?: string;
  readonly services?: readonly string[];
  readonly buckets?: readonly string[];
  /** Bodies are verified, counted and dropped; an object reads as zeros. */
  readonly sink?: boolean;
  readonly anonymous?: boolean;
  readonly now?: () => Date;
}

export interface VerifyingServer {
  readonly port: number;
  /** `http://127.0.0.1:port`. */
  readonly url: string;
  readonly region: string;
  readonly store: ObjectStore;
  readonly messages: MessageSurfaces;
  /** Every request in the order of arrival; nothing is recorded of a sink. */
  readonly requests: Recorded[];
  close(): Promise<void>;
}

const REGION = 'eu-central-1';
const SERVICES = ['s3', 's3express', 'dynamodb', 'sqs', 'sts'];
/** Session tokens may be long. */
const HEADER_BYTES_MAX = 64 * 1024;

export async function startVerifyingServer(options: ServerOptions): Promise<VerifyingServer> {
  const accounts = [...options.accounts];
  const store = new ObjectStore(options.sink === true);
  for (const name of options.buckets ?? []) store.buckets.set(name, new Map());
  const messages = new MessageSurfaces(accounts);
  const region = options.region ?? REGION;
  const desk: Desk = {
    accounts,
    store,
    services: new Set(options.services ?? SERVICES),
    region,
    anonymous: options.anonymous === true,
    now: options.now ?? (() => new Date()),
    answer: (shape, call) => (shape === 's3' ? answerS3(store, region, call) : messages[shape](call)),
  };
  const requests: Recorded[] = [];
  const server = createServer({ maxHeaderSize: HEADER_BYTES_MAX, requestTimeout: 0, highWaterMark: 256 * 1024 });
  for (const event of ['request', 'checkContinue'] as const) {
    server.on(event, (request: IncomingMessage, response: ServerResponse) => {
      const record = beginRecord(request);
      if (options.sink !== true) requests.push(record);
      request.on('error', () => undefined);
      response.on('error', () => undefined);
      attend(desk, record, request, response, event === 'checkContinue').catch(() => response.destroy());
    });
  }
  server.listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${port}`,
    region,
    store,
    messages,
    requests,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '0' },
      sink: { type: 'boolean', default: false },
      region: { type: 'string', default: REGION },
      bucket: { type: 'string', default: 'bench' },
    },
  });
  const environment = process.env;
  const server = await startVerifyingServer({
    port: Number(values.port),
    sink: values.sink,
    region: values.region,
    buckets: [values.bucket],
    accounts: [
      {
        accessKeyId: environment['SERVER_ACCESS_KEY_ID'] ?? 'AKIAVERIFYINGSERVER',
        secretAccessKey: environment['SERVER_SECRET_ACCESS_KEY'] ?? 'secret-of-the-verifying-server',
      },
    ],
  });
  process.stdout.write(`${server.port}\n`);
}
