import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { expect, onTestFinished, vi } from 'vitest';
import type { StreamService } from '../../connector/connector.ts';
import * as ask from '../../connector/handshake.ts';
import { Secret } from '../../credential/secret.ts';
import { openSource } from '../../credential/source.ts';
import { SidecarError } from '../../error.ts';
import type { LedgerEvent } from '../../ledger/event.ts';
import { Policy } from '../../policy/policy.ts';
import type { Rule } from '../../policy/rules.ts';
import { openLog } from '../../telemetry/log.ts';
import type { StreamBinding, StreamParts } from '../binding.ts';
import { StreamFront } from '../front.ts';
import { Recollections } from '../recollections.ts';
import { Tally } from '../../upstream/tally.ts';

/** The toy protocol: the client says `hi` and a letter; the upstream hears the password and answers `ok`. */
export function toyService(port: () => number, splice: Partial<ask.Splice> = {}): StreamService {
  return {
    *handshake(context) {
      try {
        const greeting = yield* ask.read('downstream', 3);
        if (!greeting.toString().startsWith('hi')) throw new SidecarError('downstream-protocol');
        const { credentials } = yield* context.authorize({ database: greeting.toString().slice(2) }, () => 'toy://up');
        yield* ask.dial({ host: '127.0.0.1', port: port() });
        const message = credentials.get('password').expose((bytes) => Buffer.concat([bytes, Buffer.from('\n')]));
        yield* ask.writeSecret('upstream', message);
        const answer = (yield* ask.read('upstream', 2)).toString();
        if (answer !== 'ok') throw new SidecarError('credential-refused');
        yield* ask.write('downstream', Buffer.from('welcome\n'));
        return { then: 'splice', ...splice };
      } catch (thrown) {
        const error = thrown as SidecarError;
        yield* ask.write('downstream', Buffer.from(`refused ${error.code}\n`));
        return { then: 'close', error };
      }
    },
  };
}

export interface ToyOptions {
  readonly service?: (port: () => number) => StreamService;
  readonly upstream?: (socket: Socket) => void;
  readonly rules?: readonly Rule[];
  readonly binding?: Partial<StreamBinding>;
  readonly headerSeconds?: number;
  readonly record?: (event: LedgerEvent) => Promise<void>;
}

/** A front on a real listener with a real upstream: everything but the sidecar around it. */
export async function startToy(options: ToyOptions = {}) {
  const events: LedgerEvent[] = [];
  const recalls: string[] = [];
  const outcomes: string[] = [];
  const upstreamSockets = new Set<Socket>();
  const upstream = await listen((socket) => {
    upstreamSockets.add(socket);
    socket.on('error', () => undefined).on('close', () => upstreamSockets.delete(socket));
    (options.upstream ?? echoAfterLogin)(socket);
  });
  const rules: { current: readonly Rule[] | undefined } = { current: options.rules };
  let policy = new Policy(rules.current);
  const parts: StreamParts = {
    policy: { decide: (request) => policy.decide(request), permits: (request) => policy.permits(request) },
    ledger: {
      record: async (event) => {
        await options.record?.(event);
        events.push(event);
      },
      note: (event) => void events.push(event),
    },
    log: openLog({ level: 'error', stream: { write: () => undefined } }),
    recollections: new Recollections(),
    upstreams: new Tally(),
    localIdentity: () => Promise.reject(new SidecarError('internal')),
  };
  const source = openSource({
    service: 'toy',
    references: { password: { from: 'literal', get: 'swordfish' } },
    store: () => ({
      fetch: (id) => Promise.resolve({ secret: new Secret(id) }),
      close: () => Promise.resolve(),
    }),
    cacheSeconds: 0,
    timeoutSeconds: 5,
  });
  const binding: StreamBinding = {
    service: 'toy',
    connector: 'toy',
    principal: { agent: 'local', attested: 'listener' },
    instance: (options.service ?? toyService)(() => portOf(upstream)),
    source,
    connectSeconds: 2,
    loginSeconds: 2,
    idleSeconds: 0,
    upstreamConnections: 100,
    metrics: { ended: (outcome) => void outcomes.push(outcome), recalled: (outcome) => void recalls.push(outcome) },
    ...options.binding,
  };
  const counts = { running: 0 };
  const handler = { parts, binding, enter: () => void (counts.running += 1), leave: () => void (counts.running -= 1) };
  const front = new StreamFront(
    'tcp://toy',
    { headerSeconds: options.headerSeconds ?? 2, drainSeconds: 1 },
    () => handler,
  );
  const server = await listen((socket) => front.attach(socket), true);
  onTestFinished(() => front.close());
  return {
    front,
    events,
    outcomes,
    recalls,
    counts,
    upstreamSockets,
    upstream,
    server,
    setRules: (next: readonly Rule[]) => void (policy = new Policy(next)),
    /** Waits until the newest event holds this. */
    noted: (expected: object) => vi.waitFor(() => expect(events.at(-1)).toMatchObject(expected)),
    connect: () => client(portOf(server)),
  };
}

async function listen(accept: (socket: Socket) => void, allowHalfOpen = false): Promise<Server> {
  const server = createServer({ allowHalfOpen }, accept);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return server;
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function echoAfterLogin(socket: Socket): void {
  socket.once('data', (data) => {
    socket.write(data.toString() === 'swordfish\n' ? 'ok' : 'no');
    socket.on('data', (more) => socket.write(more));
  });
}

/** A client that collects what it hears; of a port, or of the path of a socket. */
export async function client(at: number | string) {
  const socket = typeof at === 'string' ? connect(at) : connect({ port: at, host: '127.0.0.1' });
  const heard: Buffer[] = [];
  let wake = (): void => undefined;
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => {
    heard.push(chunk);
    wake();
  });
  const closed = new Promise<void>((resolve) => void socket.once('close', () => resolve()));
  socket.once('end', () => wake());
  onTestFinished(() => void socket.destroy());
  await once(socket, 'connect');
  const text = (): string => Buffer.concat(heard).toString('latin1');
  return {
    socket,
    closed,
    text,
    send: (data: string | Buffer): void => void socket.write(data),
    /** Waits until what was heard ends with `ending`. */
    hears: async (ending: string): Promise<string> => {
      while (!text().endsWith(ending)) {
        if (socket.readableEnded || socket.destroyed) throw new Error(`heard only ${JSON.stringify(text())}`);
        await new Promise<void>((resolve) => (wake = resolve));
      }
      return text();
    },
  };
}
