import {
  credentials,
  makeGenericClientConstructor,
  Metadata,
  Server,
  ServerCredentials,
  status,
  type Client,
  type sendUnaryData,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { startApi, type ApiRig } from './http-kit.ts';
import { eventually } from './rig.ts';

/** gRPC, as it is in the field: @grpc/grpc-js on both ends, a sidecar in between that puts the credential on each call. */

const MIB = 1024 * 1024;
const folder = join(import.meta.dirname, 'testdata', 'tls');
const pem = (name: string): Buffer => readFileSync(join(folder, name));

const bytes = (value: Buffer): Buffer => value;
const method = (path: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/probe.Probe/${path}`,
  requestStream,
  responseStream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});
const PROBE: ServiceDefinition = {
  unary: method('Unary', false, false),
  collect: method('Collect', true, false),
  count: method('Count', false, true),
  echo: method('Echo', true, true),
};

interface GrpcUpstream {
  readonly port: number;
  readonly calls: Metadata[];
  /** Calls that the client gave up. */
  readonly cancelled: string[];
  /** Cuts every connection. */
  readonly stop: () => void;
}

async function startGrpc(tls: boolean): Promise<GrpcUpstream> {
  const calls: Metadata[] = [];
  const cancelled: string[] = [];
  const server = new Server({ 'grpc.max_receive_message_length': 16 * MIB });
  const seen = (call: { metadata: Metadata; on(event: 'cancelled', listener: () => void): unknown }, name: string) => {
    calls.push(call.metadata);
    call.on('cancelled', () => cancelled.push(name));
  };
  server.addService(PROBE, {
    unary: (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
      seen(call, 'unary');
      if (call.request.toString() === 'never') return;
      if (call.request.toString() === 'fail') {
        const metadata = new Metadata();
        metadata.set('why-bin', Buffer.from([0, 255, 10, 13]));
        callback({ code: status.FAILED_PRECONDITION, details: 'nöt now', metadata });
        return;
      }
      const trailer = new Metadata();
      trailer.set('tail', 'end');
      const head = new Metadata();
      for (const value of call.metadata.get('given-bin')) head.add('given-bin', value);
      call.sendMetadata(head);
      callback(null, call.request, trailer);
    },
    collect: (call: ServerReadableStream<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
      seen(call, 'collect');
      let length = 0;
      call.on('data', (chunk: Buffer) => (length += chunk.length));
      call.on('end', () => callback(null, Buffer.from(String(length))));
    },
    count: (call: ServerWritableStream<Buffer, Buffer>) => {
      seen(call, 'count');
      if (call.request.toString() === 'cut') {
        call.write(Buffer.from('one'));
        call.emit('error', { code: status.ABORTED, details: 'half-way' });
        return;
      }
      for (let at = 0; at < 100; at += 1) call.write(Buffer.from(String(at)));
      call.end();
    },
    echo: (call: ServerDuplexStream<Buffer, Buffer>) => {
      seen(call, 'echo');
      call.on('data', (chunk: Buffer) => call.write(chunk));
      call.on('end', () => call.end());
    },
  });
  const own = tls
    ? ServerCredentials.createSsl(null, [{ private_key: pem('local.key'), cert_chain: pem('local.pem') }])
    : ServerCredentials.createInsecure();
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', own, (error, bound) => (error === null ? resolve(bound) : reject(error))),
  );
  onTestFinished(() => server.forceShutdown());
  return { port, calls, cancelled, stop: () => server.forceShutdown() };
}

type Call = (...args: unknown[]) => never;

function clientOf(port: number): Client & Record<'unary' | 'collect' | 'count' | 'echo', Call> {
  const Probe = makeGenericClientConstructor(PROBE, 'Probe');
  const client = new Probe(`127.0.0.1:${port}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': 16 * MIB,
  });
  onTestFinished(() => client.close());
  return client as unknown as Client & Record<'unary' | 'collect' | 'count' | 'echo', Call>;
}

async function setUp(tls: boolean): Promise<ApiRig & { upstream: GrpcUpstream; client: ReturnType<typeof clientOf> }> {
  const upstream = await startGrpc(tls);
  const rig = tls
    ? await startApi(`https://localhost:${upstream.port}`, { service: [`tls: { ca: ${join(folder, 'ca.pem')} }`] })
    : await startApi(`http://127.0.0.1:${upstream.port}`, { service: ['http2: always'] });
  return { ...rig, upstream, client: clientOf(rig.port) };
}

interface Answer {
  readonly value: Buffer | undefined;
  readonly error: ServiceError | null;
  readonly head: Metadata | undefined;
  readonly trailer: Metadata | undefined;
}

function unary(
  client: ReturnType<typeof clientOf>,
  request: Buffer,
  metadata = new Metadata(),
  options = {},
): Promise<Answer> {
  return new Promise((resolve) => {
    let head: Metadata | undefined;
    let answer: Omit<Answer, 'head' | 'trailer'> | undefined;
    const call = client.unary(request, metadata, options, (error: ServiceError | null, value?: Buffer) => {
      answer = { value, error };
    }) as { on(event: string, listener: (value: never) => void): void };
    call.on('metadata', (metadata: Metadata) => (head = metadata));
    call.on('status', ({ metadata }: { metadata: Metadata }) =>
      setImmediate(() => resolve({ ...answer!, head, trailer: metadata })),
    );
  });
}

interface Messages {
  write(chunk: Buffer): boolean;
  end(): void;
  cancel(): void;
  on(event: 'data', listener: (chunk: Buffer) => void): this;
  on(event: 'end', listener: () => void): this;
  on(event: 'error', listener: (error: ServiceError) => void): this;
}

function collected(messages: Messages): Promise<{ got: string[]; error: ServiceError | undefined }> {
  const got: string[] = [];
  return new Promise((resolve) => {
    messages.on('data', (chunk) => got.push(chunk.toString()));
    messages.on('end', () => resolve({ got, error: undefined }));
    messages.on('error', (error) => resolve({ got, error }));
  });
}

describe.each([
  ['in clear', false],
  ['over TLS', true],
])('gRPC to an upstream %s', (_, tls) => {
  test('a unary call has the credential, its message, its metadata and its trailers', async () => {
    const { client, upstream, token } = await setUp(tls);
    const metadata = new Metadata();
    metadata.add('given-bin', Buffer.from([1, 0, 255]));
    metadata.add('given-bin', Buffer.from('two'));
    metadata.set('x-api-key', 'mine');
    const { value, error, head, trailer } = await unary(client, Buffer.from('hello'), metadata);
    expect(error).toBeNull();
    expect(value!.toString()).toBe('hello');
    expect(head!.get('given-bin')).toEqual([Buffer.from([1, 0, 255]), Buffer.from('two')]);
    expect(trailer!.get('tail')).toEqual(['end']);
    const keys = upstream.calls[0]!.get('x-api-key');
    expect(keys.length === 1 && keys[0] === token).toBe(true);
  });

  test('a message of four megabytes comes back whole', async () => {
    const { client } = await setUp(tls);
    const message = Buffer.alloc(4 * MIB - 64, 'abcdefg');
    const { value, error } = await unary(client, message);
    expect(error).toBeNull();
    expect(value!.equals(message)).toBe(true);
  });

  test('an error that is all trailers keeps its status, its text and its details', async () => {
    const { client } = await setUp(tls);
    const { error } = await unary(client, Buffer.from('fail'));
    expect(error).toMatchObject({ code: status.FAILED_PRECONDITION, details: 'nöt now' });
    expect(error!.metadata.get('why-bin')).toEqual([Buffer.from([0, 255, 10, 13])]);
  });

  test('a deadline ends the call on both sides', async () => {
    const { client, upstream, rig } = await setUp(tls);
    const { error } = await unary(client, Buffer.from('never'), new Metadata(), { deadline: Date.now() + 300 });
    expect(error!.code).toBe(status.DEADLINE_EXCEEDED);
    await eventually(() => upstream.cancelled.length === 1);
    await eventually(() => rig.events('exchange.ended').length === 1);
  });

  test('messages of the client come one by one', async () => {
    const { client } = await setUp(tls);
    const answer = await new Promise<string>((resolve, reject) => {
      const call = client.collect((error: ServiceError | null, value?: Buffer) =>
        error === null ? resolve(value!.toString()) : reject(error),
      ) as Messages;
      for (let at = 0; at < 50; at += 1) call.write(Buffer.alloc(10_000));
      call.end();
    });
    expect(answer).toBe('500000');
  });

  test('messages of the server come in order, and an error half-way stays one', async () => {
    const { client } = await setUp(tls);
    const { got, error } = await collected(client.count(Buffer.from('all')));
    expect(error).toBeUndefined();
    expect(got).toEqual(Array.from({ length: 100 }, (_, at) => String(at)));
    const cut = await collected(client.count(Buffer.from('cut')));
    expect(cut.error).toMatchObject({ code: status.ABORTED, details: 'half-way' });
  });

  test('both sides talk at once, message by message', async () => {
    const { client } = await setUp(tls);
    const call = client.echo() as Messages;
    const got: string[] = [];
    const ended = new Promise<void>((resolve) => call.on('end', resolve));
    call.on('data', (chunk) => {
      got.push(chunk.toString());
      if (got.length === 20) call.end();
      else call.write(Buffer.from(`message ${got.length}`));
    });
    call.write(Buffer.from('message 0'));
    await ended;
    expect(got).toEqual(Array.from({ length: 20 }, (_, at) => `message ${at}`));
  });

  test('a call that the client gives up is given up upstream', async () => {
    const { client, upstream } = await setUp(tls);
    const call = client.echo() as Messages;
    call.on('error', () => undefined);
    await new Promise<void>((resolve) => {
      call.on('data', () => resolve());
      call.write(Buffer.from('one'));
    });
    call.cancel();
    await eventually(() => upstream.cancelled.length === 1);
  });
});

test('an upstream that ends in the middle of a call is an error, never a short answer', async () => {
  const { client, upstream } = await setUp(false);
  const call = client.echo() as Messages;
  const over = collected(call);
  const first = new Promise<void>((resolve) => call.on('data', () => resolve()));
  call.write(Buffer.from('one'));
  await first;
  upstream.stop();
  const { got, error } = await over;
  expect(got).toEqual(['one']);
  expect(error).toBeDefined();
});

test('what policy refuses is PERMISSION_DENIED, and no call reaches the upstream', async () => {
  const upstream = await startGrpc(false);
  const { port } = await startApi(`http://127.0.0.1:${upstream.port}`, {
    service: ['http2: always'],
    top: ['rules: [{ id: echo-only, effect: allow, paths: [/probe.Probe/Echo] }]'],
  });
  const { error } = await unary(clientOf(port), Buffer.from('hello'));
  expect(error!.code).toBe(status.PERMISSION_DENIED);
  expect(upstream.calls).toHaveLength(0);
});
